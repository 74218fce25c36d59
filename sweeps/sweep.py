"""One run of a plan on this machine, from an empty or half-full folder to its results."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Self

from sweeps.files import shown
from sweeps.folder import ResultsFolder
from sweeps.local import LocalEngine
from sweeps.machine import cores
from sweeps.plan import Plan, changes, save_plan
from sweeps.progress import display
from sweeps.schedule import Schedule
from sweeps.tally import Tally, duration
from sweeps.trial import Trial
from sweeps.views import write_views

GRACE_SECONDS = 5.0
"""How long trials may take to stop, before their processes are ended."""


class Sweep:
    """Runs what a plan still lacks in a folder, and tells what came out."""

    def __init__(self, plan: Plan, folder: ResultsFolder, quiet: bool = False) -> None:
        self._plan, self._folder, self._quiet = plan, folder, quiet
        self._ids = [trial.id for trial in plan.trials]

    def prepare(self, retry_failed: bool = False) -> list[Trial]:
        """Save the plan in the folder; returns the trials that have no result yet. Raises ``OSError``."""
        changed = changes(self._plan, self._folder.studies, self._folder.rows(self._ids))
        self._folder.notices += [changed] if changed else []
        save_plan(self._plan, self._folder.studies)
        if retry_failed:
            for trial_id, row in self._folder.rows(self._ids).items():
                if row.status == "failed":
                    self._folder.forget(trial_id)
        rows = self._folder.rows(self._ids)
        return [trial for trial in self._plan.trials if trial.id not in rows]

    def run(self, left: list[Trial], train: str, workers: int, retries: int, environment: Mapping[str, str]) -> int:
        """Run the trials that are left, ``workers`` at a time; returns the exit code.

        Raises ``OSError``, ``EngineError``, and ``KeyboardInterrupt`` when it was stopped.
        """
        begun = time.monotonic()
        # By the workers asked for, not by those that are needed: results must not depend on where a run went on.
        threads = max(1, cores() // workers)
        workers = min(workers, len(left))
        rows = self._folder.rows(self._ids)
        tally = Tally(self._plan.trials, workers, dict(rows))
        engine = LocalEngine(workers, self._folder.path, train, threads, environment)
        stopped = _Stop()
        try:
            with display(tally, self._quiet) as watcher:
                watcher.notice(
                    f"{self._plan.study}: {len(self._ids)} trials, {len(rows)} of them done before; "
                    f"{workers} workers; results in {shown(self._folder.path)}"
                )
                # Optuna is imported while the workers import what they need.
                from sweeps.storage import Ledger, open_journal

                storage = open_journal(self._folder.path, self._folder.notices.append)
                ledger = Ledger(storage, self._plan.study, self._folder.path / "plan.lock")
                ledger.agree(self._plan.trials, rows, self._folder.is_claimed)
                for line in self._folder.notices:
                    watcher.notice(line)
                with stopped:
                    Schedule(left, self._folder, ledger, watcher, retries).run(engine, stopped.asked)
                if stopped.asked():
                    watcher.notice(f"stopping: running trials have {GRACE_SECONDS:g} s to end")
        finally:
            engine.close(GRACE_SECONDS)
        write_views(self._folder)
        if stopped.asked():
            raise KeyboardInterrupt
        return self._end(tally, time.monotonic() - begun)

    def _end(self, tally: Tally, seconds: float) -> int:
        failed = tally.count("failed")
        counts = ", ".join(
            f"{count} {status}" for status in ("finished", "diverged", "failed") if (count := tally.count(status))
        )
        print(f"{self._plan.study}: {counts} in {duration(seconds)}; wrote {shown(self._folder.path / 'results.csv')}")
        if failed:
            row = next(row for row in tally.rows.values() if row.status == "failed")
            log = self._folder.of(row.trial_id) / "log.txt"
            print(f"failed, for example: {row.error} (see {shown(log)}); --retry-failed runs them again")
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
