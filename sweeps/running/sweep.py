"""One run of a plan, from an empty or half-full folder to its results."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType
from typing import Self

from doping.command_line import duration
from sweeps.engines.launch import GRACE_SECONDS, Launch
from sweeps.optuna_view.backends import open_storage, study_name, troubles_of
from sweeps.planning.due_trials import DueTrials
from sweeps.planning.plan import StudyPlan, changes, save_plan
from sweeps.results.files import shown
from sweeps.results.folder import ResultsFolder
from sweeps.results.kept_models import thin
from sweeps.results.study_readme import write_readme
from sweeps.results.views import write_views
from sweeps.running.progress import display
from sweeps.running.schedule import Schedule
from sweeps.running.standing import Standing, best_per_method


class Sweep:
    """Runs what a plan still lacks in a folder, and tells what came out."""

    def __init__(
        self, plan: StudyPlan, folder: ResultsFolder, quiet: bool = False, verbose: bool = False, command: str = ""
    ) -> None:
        """``command`` is the one that makes the plan, for the readers of the folder."""
        self._command = command
        self._plan, self._folder, self._quiet, self._verbose = plan, folder, quiet, verbose
        self._due = DueTrials(plan, folder)
        self._saved = 0

    def prepare(self, retry_failed: bool = False) -> None:
        """Save the plan in the folder. Raises ``OSError``."""
        if retry_failed:
            self._forget_failed()
        changed = changes(self._plan, self._due.jobs, self._due.rows(), self._folder.studies)
        self._folder.notices += [changed] if changed else []
        self._save()

    def _save(self) -> None:
        """Write the plan if it has grown since."""
        if len(self._due.jobs) > self._saved:
            self._saved = len(self._due.jobs)
            save_plan(self._plan, self._due.jobs.values(), self._folder.studies, self._command)
            write_readme(self._folder)

    def _forget_failed(self) -> None:
        # Tuning may have gone on without them, to other settings: those are asked for again only if they still follow.
        for trial_id, row in self._due.rows().items():
            if row.status == "failed":
                self._folder.forget(trial_id)
        self._due = DueTrials(self._plan, self._folder)

    def run(self, launch: Launch, retries: int, time_limit: float | None, storage_url: str | None) -> int:
        """Run the trials that are left; returns the exit code.

        Raises ``OSError``, ``UserError``, and ``KeyboardInterrupt`` when it was interrupted.
        """
        begun = time.monotonic()
        rows = self._due.rows()
        left = self._due.expected - len(rows)
        standing = Standing(self._due, launch.at_a_time(left), dict(rows))
        interrupt = _Interrupt()
        with display(standing, self._quiet, self._verbose) as watcher:
            engine = launch.engine(left, watcher.notice)
            try:
                watcher.notice(
                    f"{self._plan.study}: {self._due.expected} trials, {len(rows)} of them done before; "
                    f"{engine.free()} at a time; results in {shown(self._folder.path)}"
                )
                # Optuna is imported while the workers import what they need.
                from sweeps.optuna_view.entries import OptunaEntries

                with troubles_of(storage_url):
                    storage = open_storage(storage_url, self._folder.path, self._folder.notices.append)
                    name = study_name(storage_url, self._plan.study, self._folder.path)
                    entries = OptunaEntries(storage, name, self._plan, self._folder)
                    entries.agree(self._due.jobs.values(), rows)
                    for line in self._folder.notices:
                        watcher.notice(line)
                    with interrupt:
                        schedule = Schedule(
                            self._due,
                            self._folder,
                            entries,
                            watcher,
                            retries=retries,
                            time_limit=time_limit,
                            save=self._save,
                        )
                        schedule.run(engine, interrupt.asked)
                if interrupt.asked():
                    watcher.notice(f"stopping: running trials have {GRACE_SECONDS:g} s to end")
            finally:
                engine.close(GRACE_SECONDS)
        self._save()
        write_views(self._folder)
        thin(self._folder)
        if interrupt.asked():
            raise KeyboardInterrupt
        return self._end(standing, time.monotonic() - begun)

    def _end(self, standing: Standing, seconds: float) -> int:
        best = best_per_method(standing.rows.values())
        if best and not self._quiet:
            print("\n".join(["", *best, ""]))
        failed = standing.count("failed")
        counts = ", ".join(
            f"{count} {status}"
            for status in ("finished", "diverged", "stopped", "failed")
            if (count := standing.count(status))
        )
        print(f"{self._plan.study}: {counts} in {duration(seconds)}; wrote {shown(self._folder.path / 'results.csv')}")
        if failed:
            row = next(row for row in standing.rows.values() if row.status == "failed")
            log = self._folder.of(row.trial_id) / "log.txt"
            print(f"failed, for example: {row.error} (see {shown(log)}); --retry-failed runs them again")
        for cell in self._due.without_result:
            print(f"{cell}: no setting that was tried came to its end, so it has no final result; search elsewhere")
        print(f"next: python analysis/make_tables.py --results {shown(self._folder.path)}")
        return 1 if failed else 0


class _Interrupt:
    """Turns Ctrl-C and SIGTERM into a wish to stop; a second one interrupts at once."""

    def __init__(self) -> None:
        self._asked = False

    def asked(self) -> bool:
        return self._asked

    def __enter__(self) -> Self:
        self._kept = [(number, signal.signal(number, self._ask)) for number in (signal.SIGINT, signal.SIGTERM)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._kept:
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
