"""Who runs next, and what a failure means: works through a plan on any engine until every trial has a row."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

from sweeps.engines.base import Ended, Engine, Reported
from sweeps.planning.due_trials import DueTrials
from sweeps.results.files import FolderError
from sweeps.results.folder import ResultsFolder
from sweeps.results.rows import Row
from sweeps.results.views import Views
from sweeps.trials.job import Job
from sweeps.trials.outcome import Progress
from sweeps.trials.trial import Trial
from sweeps.worker.execute import fail

POLL_SECONDS = 1.0
"""How often to look whether a trial that another process runs is finished, or free again."""


class ResultListener(Protocol):
    """Is told how trials end: Optuna's entries."""

    def tell(self, job: Job, row: Row) -> None:
        """The trial of a job was run here and has a row."""
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
    """Due trials that have no result yet, on their way to one; and those that follow from the results."""

    def __init__(
        self,
        due: DueTrials,
        folder: ResultsFolder,
        listener: ResultListener,
        watcher: Watcher,
        *,
        retries: int,
        time_limit: float | None,
        save: Callable[[], None],
    ) -> None:
        """Prepare to run what has no result.

        Args:
            due: what to run.
            folder: where the results are.
            listener: is told the results.
            watcher: sees what happens.
            retries: how often a trial is run again after an error before it is recorded as failed.
            time_limit: seconds that one attempt may take.
            save: writes down the plan with the jobs so far.

        """
        self._due, self._folder, self._listener, self._watcher = due, folder, listener, watcher
        self._retries, self._time_limit = retries, time_limit
        done = due.rows()
        self._queue = deque(job for job in due.jobs.values() if job.trial.id not in done)
        self._running: dict[str, Job] = {}
        self._elsewhere: dict[str, tuple[float, Job]] = {}
        self._attempts: Counter[str] = Counter()
        self._views = Views(folder, save)
        self._said: set[str] = set()

    def run(self, engine: Engine, stopping: Callable[[], bool]) -> None:
        """Run all trials, or until ``stopping`` says so. Raises ``FolderError`` and ``EngineError``, ``OSError``."""
        while (self._queue or self._running or self._elsewhere) and not stopping():
            self._look_elsewhere()
            while self._queue and engine.free() and not stopping():
                self._submit(self._queue.popleft(), engine)
            for event in engine.wait(0.2):
                if isinstance(event, Reported):
                    self._say_once(event.progress.notice)
                    self._watcher.running(event.trial, event.progress)
                else:
                    self._ended(event)
            self._views.refresh()

    def _say_once(self, line: str) -> None:
        if line and line not in self._said:
            self._said.add(line)
            self._watcher.notice(line)

    def _submit(self, job: Job, engine: Engine) -> None:
        if self._record(job):
            return
        engine.submit(job.model_copy(update={"time_limit": self._time_limit}))
        self._running[job.trial.id] = job

    def _ended(self, event: Ended) -> None:
        job = self._running.pop(event.trial.id)
        if event.kind == "disk":
            raise FolderError(event.message)
        if event.kind == "busy":
            self._elsewhere[job.trial.id] = (time.monotonic() + POLL_SECONDS, job)
        elif event.kind == "interrupted":
            self._queue.appendleft(job)
        elif event.kind in ("crashed", "lost", "refused"):
            self._failed(job, event)
        elif not self._record(job, here=True):
            # Its row was there and is gone, or is torn: somebody meddled with the folder.
            self._queue.append(job)
        if not self._folder.results([job]):
            self._watcher.put_back(job.trial)

    def _failed(self, job: Job, event: Ended) -> None:
        trial = job.trial
        self._attempts[trial.id] += 1
        attempts = self._attempts[trial.id]
        if event.kind != "refused" and attempts <= self._retries:
            self._watcher.notice(f"{trial.label}: {event.message}; attempt {attempts + 1} of {self._retries + 1} follows")
            self._queue.append(job)
        elif fail(job, self._folder, event.message):
            self._record(job, here=True)
        else:
            self._elsewhere[trial.id] = (time.monotonic() + POLL_SECONDS, job)

    def _look_elsewhere(self) -> None:
        now = time.monotonic()
        for trial_id, (due, job) in list(self._elsewhere.items()):
            if now >= due:
                del self._elsewhere[trial_id]
                # To the end of the queue: what nobody has begun comes first.
                if not self._record(job):
                    self._queue.append(job)

    def _record(self, job: Job, here: bool = False) -> bool:
        """Tell everybody of the result of a job, if there is one, and take up what follows from it."""
        row = self._folder.results([job]).get(job.trial.id)
        if row is None:
            return False
        if here:
            self._listener.tell(job, row)
        self._watcher.finished(job.trial, row)
        self._queue.extend(self._due.advance())
        return True
