"""One run of a plan on this machine, from an empty or half-full folder to its results."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Self

from sweeps.agenda import Agenda
from sweeps.files import shown
from sweeps.folder import ResultsFolder
from sweeps.local import LocalEngine
from sweeps.machine import cores
from sweeps.plan import Plan, changes, save_plan
from sweeps.progress import display
from sweeps.schedule import Schedule
from sweeps.tally import Tally, duration
from sweeps.thinning import thin
from sweeps.views import write_views

GRACE_SECONDS = 5.0
"""How long trials may take to stop, before their processes are ended."""


class Sweep:
    """Runs what a plan still lacks in a folder, and tells what came out."""

    def __init__(self, plan: Plan, folder: ResultsFolder, quiet: bool = False) -> None:
        self._plan, self._folder, self._quiet = plan, folder, quiet
        self._agenda = Agenda(plan, folder)

    def prepare(self, retry_failed: bool = False) -> None:
        """Save the plan in the folder. Raises ``OSError``."""
        if retry_failed:
            self._forget_failed()
        changed = changes(self._plan, self._agenda.jobs, self._agenda.rows(), self._folder.studies)
        self._folder.notices += [changed] if changed else []
        self._save()

    def _save(self) -> None:
        save_plan(self._plan, self._agenda.jobs.values(), self._folder.studies)

    def _forget_failed(self) -> None:
        # Tuning may have gone on without them, to other settings: those are asked for again only if they still follow.
        for trial_id, row in self._agenda.rows().items():
            if row.status == "failed":
                self._folder.forget(trial_id)
        self._agenda = Agenda(self._plan, self._folder)

    def run(self, train: str, workers: int, retries: int, time_limit: float | None, environment: Mapping[str, str]) -> int:
        """Run the trials that are left, ``workers`` at a time; returns the exit code.

        Raises ``OSError``, ``EngineError``, and ``KeyboardInterrupt`` when it was stopped.
        """
        begun = time.monotonic()
        # By the workers asked for, not by those that are needed: results must not depend on where a run went on.
        threads = max(1, cores() // workers)
        rows = self._agenda.rows()
        workers = min(workers, self._agenda.expected - len(rows))
        tally = Tally(self._agenda, workers, dict(rows))
        engine = LocalEngine(workers, self._folder.path, train, threads, environment)
        stopped = _Stop()
        try:
            with display(tally, self._quiet) as watcher:
                watcher.notice(
                    f"{self._plan.study}: {self._agenda.expected} trials, {len(rows)} of them done before; "
                    f"{workers} workers; results in {shown(self._folder.path)}"
                )
                # Optuna is imported while the workers import what they need.
                from sweeps.storage import Ledger, open_journal

                storage = open_journal(self._folder.path, self._folder.notices.append)
                ledger = Ledger(storage, self._plan, self._folder)
                ledger.agree(self._agenda.jobs.values(), rows)
                for line in self._folder.notices:
                    watcher.notice(line)
                with stopped:
                    schedule = Schedule(
                        self._agenda,
                        self._folder,
                        ledger,
                        watcher,
                        retries=retries,
                        time_limit=time_limit,
                        save=self._save,
                    )
                    schedule.run(engine, stopped.asked)
                if stopped.asked():
                    watcher.notice(f"stopping: running trials have {GRACE_SECONDS:g} s to end")
        finally:
            engine.close(GRACE_SECONDS)
        write_views(self._folder)
        thin(self._folder)
        if stopped.asked():
            raise KeyboardInterrupt
        return self._end(tally, time.monotonic() - begun)

    def _end(self, tally: Tally, seconds: float) -> int:
        failed = tally.count("failed")
        counts = ", ".join(
            f"{count} {status}" for status in ("finished", "diverged", "stopped", "failed") if (count := tally.count(status))
        )
        print(f"{self._plan.study}: {counts} in {duration(seconds)}; wrote {shown(self._folder.path / 'results.csv')}")
        if failed:
            row = next(row for row in tally.rows.values() if row.status == "failed")
            log = self._folder.of(row.trial_id) / "log.txt"
            print(f"failed, for example: {row.error} (see {shown(log)}); --retry-failed runs them again")
        for cell in self._agenda.without_result:
            print(f"{cell}: no setting that was tried came to its end, so it has no final result; search elsewhere")
        print(f"next: python analysis/make_tables.py --results {shown(self._folder.path)}")
        return 1 if failed else 0


class _Stop:
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
