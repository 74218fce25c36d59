"""The far side of the Dask engine: carries out trials on a node of the cluster.

A Dask worker trains nothing itself. It runs a trial with a ``LocalEngine`` of one worker process, kept warm between trials,
and passes its events on. So a trial has what it has on a single machine: a process of its own, with its environment set
before anything is imported, that may be killed, and whose prints and crashes do not touch the Dask worker.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Status, Worker, get_worker

from doping import machine
from doping.errors import UserError, one_line
from sweeps.engines.base import Ended, EngineError
from sweeps.engines.local import LocalEngine
from sweeps.results.shared_folder import trouble_with
from sweeps.trials.job import Job
from sweeps.worker.wandb_mode import logged_in

IDLE_SECONDS = 30.0
"""How long a worker process waits for its next trial before it ends and gives its memory back."""

REPORT_SECONDS = 2.0
"""How often the progress of a trial crosses the network."""


@dataclass(frozen=True)
class _Setting:
    """What the trials of a study have in common on a worker."""

    folder: str
    train: str
    threads: int
    environment: tuple[tuple[str, str], ...]


def code() -> str:
    """What must be the same on all machines: ``commit=… python=… torch=…``."""
    machine.commit.cache_clear()  # a Dask worker may outlive a checkout
    return f"commit={machine.commit()} {machine.versions()}"


def examine(dask_worker: Worker, token: str, their_code: str, wandb_mode: str) -> dict[str, Any]:
    """What this worker offers (``threads``; ``gpus``, None if it declares none), or the ``problem`` that makes it unfit."""
    pairs = zip(code().split(), their_code.split(), strict=True)
    other = [f"{mine} (here {theirs.partition('=')[2]})" for mine, theirs in pairs if mine != theirs]
    problem = f"its code or packages are others: {', '.join(other)}" if other else trouble_with(token)
    if not problem and wandb_mode == "online" and not logged_in():
        problem = "it has no login for W&B: run `wandb login` there, or take --wandb offline"
    state = dask_worker.state
    return {"problem": problem, "threads": state.nthreads, "gpus": state.total_resources.get("GPU")}


def run(
    job: str, folder: str, train: str, threads: int, environment: dict[str, str], topic: str, key: str, grace: float
) -> None:
    """Run the trial of a job, given as JSON, as the Dask task ``key``. What happens is told as events of ``topic``; the last
    one has ``ended``.

    The trial is interrupted when the task is cancelled, as Dask does when the client that wants it is gone, and when the
    worker leaves the cluster.
    """
    worker = get_worker()

    def tell(**fields: Any) -> None:
        worker.log_event(topic, {"key": key, **fields})

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled" and worker.status in (Status.running, Status.paused)

    tell(begun=True)
    try:
        submitted = Job.of_order(json.loads(job))
    except UserError as error:
        tell(ended="broken", message=str(error))
        return
    setting = _Setting(folder, train, threads, tuple(environment.items()))
    engine = _pool.take(setting)
    try:
        engine.submit(submitted)
        ended = _follow(engine, tell, wanted)
    except (EngineError, OSError) as error:
        engine.close(0)
        tell(ended="broken", message=str(error) if isinstance(error, EngineError) else one_line(error))
        return
    if ended:
        _pool.give_back(engine, setting)
        tell(ended=ended.kind, message=ended.message)
    else:
        engine.close(grace)
        tell(ended="interrupted", message="")


def _follow(engine: LocalEngine, tell: Callable[..., None], wanted: Callable[[], bool]) -> Ended | None:
    """Pass the trial's reports on until it has ended, or is not wanted any more: None."""
    told = -math.inf
    while wanted():
        for event in engine.wait(0.2):
            if isinstance(event, Ended):
                return event
            if event.progress.notice or time.monotonic() - told > REPORT_SECONDS:
                told = time.monotonic()
                tell(progress=vars(event.progress))
    return None


class _Pool:
    """Engines without a trial; their worker processes have imported what they need."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[LocalEngine, tuple[_Setting, threading.Timer]] = {}

    def take(self, setting: _Setting) -> LocalEngine:
        """An engine of this setting, a warm one if there is one."""
        with self._lock:
            for engine, (its_setting, timer) in self._idle.items():
                if its_setting == setting:
                    timer.cancel()
                    del self._idle[engine]
                    return engine
        # Dask makes malloc return memory at once, for itself; in a training every step would ask for it anew.
        os.environ.pop("MALLOC_TRIM_THRESHOLD_", None)
        return LocalEngine(1, Path(setting.folder), setting.train, setting.threads, dict(setting.environment))

    def give_back(self, engine: LocalEngine, setting: _Setting) -> None:
        """Keep an engine for the next trial, for a while."""
        timer = threading.Timer(IDLE_SECONDS, self._expire, (engine,))
        timer.daemon = True
        with self._lock:
            self._idle[engine] = setting, timer
        timer.start()

    def _expire(self, engine: LocalEngine) -> None:
        with self._lock:
            expired = self._idle.pop(engine, None)
        if expired:
            engine.close(0)


_pool = _Pool()
