"""Runs one trial in this process: claims it, trains it, writes its row. Knows nothing of workers and schedules."""

from __future__ import annotations

import faulthandler
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from doping import machine
from doping.errors import one_line
from sweeps.results.files import trouble, write_whole
from sweeps.results.folder import ResultsFolder
from sweeps.results.rows import row_of, write_row
from sweeps.trials.job import Job
from sweeps.trials.outcome import Hopeless, Interrupted, Outcome, Progress, Report, TimeIsUp
from sweeps.trials.trial import Trial
from sweeps.worker.latency import latency
from sweeps.worker.pause_others import Pauses

Train = Callable[[Trial, Path, Report, int], Outcome]
"""Trains a trial in its folder, with so many threads; goes on from the checkpoint it finds there."""

Measure = Callable[[Trial, Path], float]
"""Latency in microseconds of the model that a trial left in its folder."""

_PATIENCE_SECONDS = 10.0
"""How long after its time limit a training may take to report, before it counts as hung."""
_TICK_SECONDS = 2.0


@dataclass(frozen=True)
class Verdict:
    """How the execution of a trial ended."""

    kind: Literal["done", "busy", "interrupted", "crashed", "refused", "disk"]
    """``done``: its row is written; ``busy``: another process runs it; ``interrupted``: as the report asked; ``crashed``: an
    error that another attempt may not have; ``refused``: a ``ValueError``, which would come again; ``disk``: the folder
    cannot be written to."""
    message: str = ""
    """The error, in one line."""


@dataclass(frozen=True)
class Kept:
    """What ``clock.json`` in a trial's folder says of its attempts."""

    started: str
    """When the first one started, UTC."""
    seconds: float
    """Wall time of all of them, up to the last report."""
    attempts: int
    """How many there were, the running one included."""
    progress: Progress
    """The last report."""


def read_clock(folder: Path) -> Kept | None:
    """What is kept of a trial's attempts; None if there was none, or if the file is not whole."""
    try:
        kept = json.loads((folder / "clock.json").read_text(encoding="utf-8"))
        progress = Progress(**kept.get("progress", {"share": 0.0, "step": 0}))
        return Kept(str(kept["started"]), float(kept["seconds"]), int(kept["attempts"]), progress)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


class Clock:
    """Wall time and progress of a trial over all its attempts, kept in ``clock.json``: it survives a kill, and others
    can see how the trial fares.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "clock.json"
        kept = read_clock(folder)
        self.started = kept.started if kept else datetime.now(UTC).isoformat(timespec="seconds")
        self._before = kept.seconds if kept else 0.0
        self.attempt = kept.attempts + 1 if kept else 1
        self._progress = kept.progress if kept else Progress(0.0, 0)
        self._start = self._written = time.monotonic()
        self._write()

    @property
    def seconds(self) -> float:
        """Seconds of all attempts so far."""
        return self._before + time.monotonic() - self._start

    def tick(self, progress: Progress) -> None:
        """Keep the time and the progress; call it often."""
        self._progress = progress
        if time.monotonic() - self._written > _TICK_SECONDS:
            self._write()

    def stop(self) -> None:
        """Keep the time of an attempt that ends without a row."""
        self._write()

    def _write(self) -> None:
        kept = Kept(self.started, round(self.seconds, 3), self.attempt, self._progress)
        write_whole(self._path, json.dumps(asdict(kept)))
        self._written = time.monotonic()


def execute(
    job: Job, folder: ResultsFolder, train: Train, report: Report, threads: int, measure: Measure = latency
) -> Verdict:
    """Run the trial of a job to its end, unless another process runs it or has run it.

    The row is written here, last of all. What the training prints goes to ``log.txt`` in the trial's folder.
    """
    try:
        lock = folder.claim(job.trial)
        if lock is None:
            return Verdict("busy")
        with lock:
            if folder.results([job]):
                return Verdict("done")
            return _run(job, folder.of(job.trial.id), train, report, threads, measure)
    except OSError as error:
        disk = trouble(error, folder.path)
        return Verdict("disk", str(disk)) if disk else Verdict("crashed", one_line(error))


class TimeLimit:
    """The time that one attempt may take. A training that reports is ended by the report; where one hangs, the process ends
    (exit code 1) and the log says where it hung.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._until = math.inf if seconds is None else time.monotonic() + seconds

    def check(self) -> None:
        """Raises ``TimeIsUp``."""
        if self._seconds and time.monotonic() > self._until:
            raise TimeIsUp(f"an attempt may take {self._seconds:g} s (--time-limit)")

    def __enter__(self) -> None:
        if self._seconds:
            faulthandler.dump_traceback_later(self._seconds + _PATIENCE_SECONDS, exit=True)

    def __exit__(self, *error: object) -> None:
        faulthandler.cancel_dump_traceback_later()


def fail(job: Job, folder: ResultsFolder, error: str) -> bool:
    """Write the row of a trial whose attempts all failed; False if another process has taken it up. Raises ``OSError``."""
    trial = job.trial
    lock = folder.claim(trial)
    if lock is None:
        return False
    with lock:
        if not folder.results([job]):
            clock = Clock(folder.of(trial.id))
            write_row(folder.of(trial.id), row_of(trial, error, seconds=clock.seconds, started=clock.started))
    return True


def _run(job: Job, folder: Path, train: Train, report: Report, threads: int, measure: Measure) -> Verdict:
    trial = job.trial
    write_whole(folder / "trial.json", trial.settings + "\n")
    clock = Clock(folder)
    limit = TimeLimit(job.time_limit)

    def watched(progress: Progress) -> None:
        pauses.pause()
        clock.tick(progress)
        report(progress)
        limit.check()
        if progress.validation and progress.metric is not None and job.hopeless(progress.validation, progress.metric):
            raise Hopeless

    machine.reset_peak_memory()
    latency_us = None
    with _printing_to(folder / "log.txt"), limit, Pauses() as pauses:
        print(f"--- {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, attempt {clock.attempt}: {trial.label}", flush=True)
        try:
            outcome = train(trial, folder, watched, threads)
            if job.latency and outcome.status == "finished":
                with pauses.alone():
                    latency_us = measure(trial, folder)
        except Interrupted:
            clock.stop()
            return Verdict("interrupted")
        except Exception as error:
            traceback.print_exc()
            disk = trouble(error, folder.parents[1], hidden=True)
            if disk:
                return Verdict("disk", str(disk))
            clock.stop()
            return Verdict("refused" if isinstance(error, ValueError) else "crashed", one_line(error))
    peak = machine.peak_memory_mb()
    row = row_of(trial, outcome, seconds=clock.seconds, started=clock.started, peak_memory_mb=peak, latency_us=latency_us)
    write_row(folder, row)
    return Verdict("done")


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Append all that this process and its children print to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in zip((1, 2), kept, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
