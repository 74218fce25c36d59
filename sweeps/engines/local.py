"""The engine for one machine: warm worker processes, each with its share of the cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from doping.machine import ROOT, gpus
from sweeps.engines.base import Ended, EngineError, Event, Reported
from sweeps.trials.job import Job
from sweeps.trials.outcome import Progress
from sweeps.trials.trial import Trial
from sweeps.worker.environment import defaults, worker_environment

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""What numerical libraries read, when they are imported, to know how many threads to use."""

_STARTS = 3


class LocalEngine:
    """Runs trials in worker processes on this machine; a worker that dies is replaced.

    Where there are GPUs each worker has one; with more workers than GPUs several trials share each.

    A worker that is killed frees its trial's lock, and one whose parent is killed ends by itself.
    """

    def __init__(
        self, workers: int, folder: Path, train: str, threads: int, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the workers at once: their imports take longest. ``train`` is the dotted name of the function."""
        self._command = [sys.executable, "-m", "sweeps.worker", train, str(folder), str(threads)]
        kept = worker_environment(os.environ)
        # Workers run in the project's folder: a path from where the user is would name another one there.
        given = kept["PYTHONPATH"].split(os.pathsep) if kept.get("PYTHONPATH") else []
        path = os.pathsep.join([str(ROOT), *(str(Path(each).absolute()) for each in given)])
        limits = dict.fromkeys(THREAD_VARIABLES, str(threads))
        self._environment = {**defaults(kept), **kept, **limits, "PYTHONPATH": path, **(environment or {})}
        self._inbox: SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = SimpleQueue()
        self._failed_starts = 0
        self._gpus = gpus()
        self._workers = [self._start(place) for place in range(workers)]

    def free(self) -> int:
        """Workers without a trial; also those that are still starting, so that they have one when they are ready."""
        return sum(worker.trial is None for worker in self._workers)

    def submit(self, job: Job) -> None:
        """Give a trial to a worker without one, best to one that is ready."""
        idle = [worker for worker in self._workers if worker.trial is None]
        max(idle, key=lambda worker: worker.ready).run(job)

    def wait(self, seconds: float) -> list[Event]:
        """What has happened; waits for the first event, then takes all there are."""
        events: list[Event] = []
        try:
            message = self._inbox.get(timeout=seconds)
            while True:
                event = self._event(*message)
                if event:
                    events.append(event)
                message = self._inbox.get_nowait()
        except Empty:
            return events

    def close(self, grace: float) -> None:
        """Ask the workers to interrupt their trials, and end them after ``grace`` seconds or when they have."""
        busy = {worker for worker in self._workers if worker.trial}
        for worker in busy:
            worker.send({"order": "stop"})
        until = time.monotonic() + grace
        while busy and time.monotonic() < until:
            try:
                worker, message = self._inbox.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                break
            if message is None or message["event"] == "end":
                busy.discard(worker)
        for worker in self._workers:
            worker.end()

    def _start(self, place: int) -> _Worker:
        own = {"CUDA_VISIBLE_DEVICES": self._gpus[place % len(self._gpus)]} if self._gpus else {}
        return _Worker(self._command, self._environment | own, self._inbox)

    def _event(self, worker: _Worker, message: dict[str, Any] | None) -> Event | None:
        if message is None:
            return self._died(worker)
        match message.pop("event"):
            case "ready":
                worker.ready = True
                self._failed_starts = 0
            case "broken":
                raise EngineError(f"a worker cannot start: {message['message']}")
            case "progress" if worker.trial:
                return Reported(worker.trial, Progress(**message))
            case "end" if worker.trial:
                trial, worker.trial = worker.trial, None
                worker.leaving = message["kind"] == "crashed"
                if worker.leaving:
                    self._replace(worker)
                return Ended(trial, **message)
        return None

    def _died(self, worker: _Worker) -> Event | None:
        code = worker.end(patience=1.0)
        if worker.leaving:
            return None
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS * len(self._workers):
                raise EngineError(f"the workers die while they start ({_manner(code)}): {worker.last_words()}")
        self._replace(worker)
        if worker.trial is None:
            return None
        return Ended(worker.trial, "lost" if worker.ready else "interrupted", f"its process ended: {_manner(code)}")

    def _replace(self, worker: _Worker) -> None:
        place = self._workers.index(worker)
        self._workers[place] = self._start(place)


def worker_process(command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """A worker process, with pipes to its standard streams."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        # A session of its own: Ctrl-C in the terminal reaches the parent only, which then stops the workers in order.
        start_new_session=True,
    )


class _Worker:
    """A worker process, seen from the parent."""

    def __init__(
        self, command: list[str], environment: Mapping[str, str], inbox: SimpleQueue[tuple[_Worker, dict[str, Any] | None]]
    ) -> None:
        self.trial: Trial | None = None
        self.ready = False
        self.leaving = False
        self._words: deque[str] = deque(maxlen=20)
        self._process = worker_process(command, environment)
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()
        threading.Thread(target=self._overhear, daemon=True).start()

    def run(self, job: Job) -> None:
        self.trial = job.trial
        self.send({"order": "run", "job": job.model_dump(mode="json")})

    def send(self, order: dict[str, Any]) -> None:
        """Send an order; to a worker that is dead it is lost, and ``_listen`` tells of the death."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._words.append("(gone)")

    def end(self, patience: float = 0.0) -> int:
        """End the process, if it has not ended after so many seconds; returns its exit code, negative for a signal."""
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def last_words(self) -> str:
        """The last line it wrote to stderr outside a trial."""
        return self._words[-1] if self._words else "it said nothing"

    def _listen(self, inbox: SimpleQueue[tuple[_Worker, dict[str, Any] | None]]) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.endswith("\n"):
                inbox.put((self, json.loads(line)))
        inbox.put((self, None))

    def _overhear(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            if line.strip():
                self._words.append(line.strip())


def _manner(code: int) -> str:
    """How a process ended, from its exit code."""
    if code == -9:
        return "killed by signal 9 (out of memory?)"
    if code == 1:
        return "exit code 1 (hung beyond its time limit? then log.txt says where)"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
