"""Who runs next, and what a failure means: works through a plan on any engine until every trial has a row."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Protocol

from sweeps.engine import Ended, Engine, Reported
from sweeps.execute import fail
from sweeps.files import FolderError
from sweeps.folder import ResultsFolder
from sweeps.outcome import Progress
from sweeps.rows import Row
from sweeps.trial import Trial
from sweeps.views import Views

POLL_SECONDS = 1.0
"""How often to look whether a trial that another process runs is finished, or free again."""


class Bookkeeper(Protocol):
    """Is told which trials start and how they end: Optuna's ledger."""

    def start(self, trial: Trial) -> None:
        """A trial is about to run."""
        ...

    def tell(self, trial: Trial, row: Row) -> None:
        """A trial has a row."""
        ...


class Watcher(Protocol):
    """Sees all that happens: the display."""

    def running(self, trial: Trial, progress: Progress) -> None:
        """A trial reports."""
        ...

    def finished(self, trial: Trial, row: Row) -> None:
        """A trial has a row, written by this process or another."""
        ...

    def put_back(self, trial: Trial) -> None:
        """A trial does not run any more, and will be run again."""
        ...

    def notice(self, line: str) -> None:
        """Something that the user should know."""
        ...


class Schedule:
    """The trials of a plan that have no row yet, on their way to one."""

    def __init__(
        self, trials: Iterable[Trial], folder: ResultsFolder, book: Bookkeeper, watcher: Watcher, retries: int
    ) -> None:
        """``retries``: how often a trial is run again after an error before it is recorded as failed."""
        self._queue = deque(trials)
        self._running: set[str] = set()
        self._elsewhere: dict[str, tuple[float, Trial]] = {}
        self._attempts: Counter[str] = Counter()
        self._folder, self._book, self._watcher, self._retries = folder, book, watcher, retries
        self._views = Views(folder)

    def run(self, engine: Engine, stopping: Callable[[], bool]) -> None:
        """Run all trials, or until ``stopping`` says so. Raises ``FolderError`` and ``EngineError``, ``OSError``."""
        while (self._queue or self._running or self._elsewhere) and not stopping():
            self._look_elsewhere()
            while self._queue and engine.free() and not stopping():
                self._submit(self._queue.popleft(), engine)
            for event in engine.wait(0.2):
                if isinstance(event, Reported):
                    self._watcher.running(event.trial, event.progress)
                else:
                    self._ended(event)
            self._views.refresh()

    def _submit(self, trial: Trial, engine: Engine) -> None:
        if self._record(trial):
            return
        engine.submit(trial)
        self._book.start(trial)
        self._running.add(trial.id)

    def _ended(self, event: Ended) -> None:
        trial = event.trial
        self._running.discard(trial.id)
        if event.kind == "disk":
            raise FolderError(event.message)
        if event.kind == "busy":
            self._elsewhere[trial.id] = (time.monotonic() + POLL_SECONDS, trial)
        elif event.kind == "stopped":
            self._queue.appendleft(trial)
        elif event.kind in ("crashed", "lost", "refused"):
            self._failed(event)
        elif not self._record(trial):
            # Its row was there and is gone, or is torn: somebody meddled with the folder.
            self._queue.append(trial)
        if trial.id not in self._folder.rows([trial.id]):
            self._watcher.put_back(trial)

    def _failed(self, event: Ended) -> None:
        trial = event.trial
        self._attempts[trial.id] += 1
        attempts = self._attempts[trial.id]
        if event.kind != "refused" and attempts <= self._retries:
            self._watcher.notice(f"{trial.label}: {event.message}; attempt {attempts + 1} of {self._retries + 1} follows")
            self._queue.append(trial)
        elif fail(trial, self._folder, event.message):
            self._record(trial)
        else:
            self._elsewhere[trial.id] = (time.monotonic() + POLL_SECONDS, trial)

    def _look_elsewhere(self) -> None:
        now = time.monotonic()
        for trial_id, (due, trial) in list(self._elsewhere.items()):
            if now >= due:
                del self._elsewhere[trial_id]
                # To the end of the queue: what nobody has begun comes first.
                if not self._record(trial):
                    self._queue.append(trial)

    def _record(self, trial: Trial) -> bool:
        """Tell everybody of the row of a trial, if there is one."""
        row = self._folder.row(trial.id)
        if row is None:
            return False
        self._book.tell(trial, row)
        self._watcher.finished(trial, row)
        return True
