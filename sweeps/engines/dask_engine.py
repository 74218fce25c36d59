"""The engine for many machines: a cluster of Dask ``distributed`` workers that share the folder of results.

Dask knows which workers there are, carries trials to them and events back, and notices when one dies. Which trial goes to
which worker is decided here, so that a worker never has more trials than it has room for: one with all its threads, or, on
a worker that declares the resource ``GPU``, as many as it has shares of a GPU.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from doping.errors import UserError, one_line
from doping.machine import ROOT
from sweeps.engines.base import Ended, EngineError, Event, Reported
from sweeps.results.shared_folder import Token
from sweeps.trials.job import Job
from sweeps.trials.outcome import Progress
from sweeps.trials.trial import Trial
from sweeps.worker.environment import PASSED_ON

try:
    from distributed import Client, Future, Security

    from sweeps.engines import dask_node
except ModuleNotFoundError as error:
    raise UserError(f"--engine dask needs the package {error.name}: pip install -r requirements-cluster.txt") from error

CONNECT_SECONDS = 10
"""How long to wait for an answer of the scheduler."""


@dataclass
class _Room:
    """What a worker gives to a trial."""

    threads: int
    resources: dict[str, float] | None


@dataclass
class _Run:
    """A trial on its way."""

    trial: Trial
    address: str
    future: Future[None]
    begun: bool = False


class DaskEngine:
    """Runs trials on all workers that a Dask scheduler has or gets; a trial whose worker is gone has ``Ended`` as lost."""

    def __init__(
        self,
        scheduler: str,
        folder: Path,
        train: str,
        environment: Mapping[str, str],
        notice: Callable[[str], None],
        *,
        gpu_share: float = 1.0,
        limit: int | None = None,
        grace: float = 5.0,
    ) -> None:
        """Connect to the scheduler, and examine the workers that it has.

        Args:
            scheduler: its address, like ``tcp://host:8786``.
            folder: the folder of results; every worker must see it under this path.
            train: dotted name of the function that trains a trial.
            environment: variables for the trials.
            notice: is told of workers that join later and cannot take part.
            gpu_share: how much of the resource ``GPU`` a trial takes, on workers that declare it.
            limit: most trials at a time; None for as many as there is room for.
            grace: seconds that a trial has to stop when it is not wanted any more.

        Raises:
            EngineError: no scheduler answers, or a worker cannot take part.

        """
        # What Dask logs of lost connections is said here in one line.
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._scheduler, self._folder, self._train, self._notice = scheduler, folder, train, notice
        self._gpu_share, self._limit, self._grace = gpu_share, limit, grace
        self._topic = f"sweep-{uuid4().hex}"
        self._environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | dict(environment)
        self._inbox: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._joined: SimpleQueue[str | None] = SimpleQueue()
        self._present: set[str] = set()
        self._rooms: dict[str, _Room] = {}
        self._free: deque[str] = deque()
        self._runs: dict[str, _Run] = {}
        self._said: set[str] = set()
        self._client = _connect(scheduler)
        self._token: Token | None = None
        try:
            self._token = Token(folder)
            self._listen()
            for address, report in self._examine(None).items():
                self._present.add(address)
                problem = self._admit(address, report)
                if problem:
                    raise EngineError(f"the Dask worker {address} cannot take part: {problem}")
        except BaseException:
            self.close(0)
            raise
        threading.Thread(target=self._examine_later, daemon=True).start()
        if not self._rooms:
            notice(f"the Dask scheduler at {scheduler} has no worker yet: waiting for one")

    def free(self) -> int:
        """Trials that there is room for on the workers of this moment."""
        free = len(self._free)
        return free if self._limit is None else min(free, max(0, self._limit - len(self._runs)))

    def submit(self, job: Job) -> None:
        """Send a trial to the worker that has had room for longest."""
        address = self._free.popleft()
        room = self._rooms[address]
        key = f"trial-{job.trial.id}-{uuid4().hex}"
        future = self._client.submit(
            _RUN,
            job.model_dump_json(),
            str(self._folder),
            self._train,
            room.threads,
            self._environment,
            self._topic,
            key,
            self._grace,
            key=key,
            workers=[address],
            allow_other_workers=False,
            resources=room.resources,
            pure=False,
        )
        future.add_done_callback(lambda future: self._inbox.put(("task", future)))
        self._runs[key] = _Run(job.trial, address, future)

    def wait(self, seconds: float) -> list[Event]:
        """What has happened; waits for the first event, then takes all there are."""
        events: list[Event] = []
        try:
            message = self._inbox.get(timeout=seconds)
            while True:
                event = self._event(*message)
                events += event if isinstance(event, list) else [event] if event else []
                message = self._inbox.get_nowait()
        except Empty:
            pass
        if self._client.status != "running":
            raise EngineError(
                f"the Dask scheduler at {self._scheduler} is gone: start it and its workers again, "
                "then the same command goes on"
            )
        return events

    def close(self, grace: float) -> None:
        """Have all trials interrupted by their workers, wait for that ``grace`` + 1 seconds at most, and disconnect."""
        for run in self._runs.values():
            run.future.release()
        until = time.monotonic() + grace + 1
        while self._runs and self._client.status == "running" and time.monotonic() < until:
            try:
                self._event(*self._inbox.get(timeout=0.2))
            except (Empty, EngineError):
                continue
        self._joined.put(None)
        if self._token:
            self._token.remove()
        self._client.close(timeout=2)

    def _listen(self) -> None:
        """Have events sent here, and wait until they are."""
        self._client.subscribe_topic("all", lambda event: self._inbox.put(("cluster", event[1])))
        echoed = threading.Event()
        self._client.subscribe_topic(self._topic, lambda event: echoed.set())
        while not echoed.wait(0.05):
            self._client.log_event(self._topic, {})
        self._client.subscribe_topic(self._topic, lambda event: self._inbox.put(("trial", event[1])))

    def _event(self, kind: str, message: Any) -> Event | list[Event] | None:
        """What a message means for the schedule."""
        if kind == "trial" and message.get("key") in self._runs:
            return self._heard(message["key"], message)
        if kind == "task" and message.key in self._runs and message.status in ("error", "cancelled"):
            if message.status == "error":
                raise EngineError(f"Dask cannot run a trial: {one_line(message.exception())}")
            return self._end(message.key, "interrupted")
        if kind == "broken":
            raise EngineError(f"Dask cannot examine its workers: {message}")
        if kind == "examined":
            for address, report in message.items():
                problem = self._admit(address, report) if address in self._present else ""
                if problem and problem not in self._said:
                    self._said.add(problem)
                    self._notice(f"the Dask worker {address} cannot take part: {problem}")
        if kind == "cluster" and message.get("action") == "add-worker":
            self._present.add(message["worker"])
            self._joined.put(message["worker"])
        if kind == "cluster" and message.get("action") == "remove-worker":
            return self._left(message["worker"], message["expected"])
        return None

    def _heard(self, key: str, message: Mapping[str, Any]) -> Event | None:
        """What a worker tells of a trial; see ``dask_node.run``."""
        run = self._runs[key]
        run.begun = True
        if "progress" in message:
            return Reported(run.trial, Progress(**message["progress"]))
        if message.get("ended") == "broken":
            raise EngineError(f"the Dask worker {run.address} cannot run trials: {message['message']}")
        return self._end(key, message["ended"], message["message"]) if "ended" in message else None

    def _end(self, key: str, kind: Any, message: str = "") -> Ended:
        run = self._runs.pop(key)
        run.future.release()
        if run.address in self._rooms:
            self._free.append(run.address)
        return Ended(run.trial, kind, message)

    def _left(self, address: str, expected: bool) -> list[Event]:
        """A worker has left the cluster, or died, and its trials with it."""
        self._present.discard(address)
        self._rooms.pop(address, None)
        self._free = deque(free for free in self._free if free != address)
        left = {key: run for key, run in self._runs.items() if run.address == address}
        return [
            self._end(key, "lost" if run.begun and not expected else "interrupted", f"its Dask worker {address} is gone")
            for key, run in left.items()
        ]

    def _examine(self, addresses: list[str] | None) -> dict[str, dict[str, Any]]:
        """What these workers offer, or all; see ``dask_node.examine``."""
        assert self._token
        mode = self._environment.get("WANDB_MODE", "")
        reports = self._client.run(_EXAMINE, self._token.path, dask_node.code(), mode, workers=addresses, on_error="return")
        return {
            address: {"problem": one_line(report)} if isinstance(report, BaseException) else report
            for address, report in reports.items()
        }

    def _examine_later(self) -> None:
        """Examine workers that join while the study runs: all at once that have joined meanwhile, there may be many."""
        while (address := self._joined.get()) is not None:
            addresses: set[str | None] = {address}
            while not self._joined.empty():
                addresses.add(self._joined.get())
            try:
                self._inbox.put(("examined", self._examine([there for there in addresses if there])))
            except Exception as error:  # whatever Dask makes of a connection that ends; of that ``wait`` tells
                if self._client.status == "running":
                    self._inbox.put(("broken", one_line(error)))
                return
            if None in addresses:
                return

    def _admit(self, address: str, report: Mapping[str, Any]) -> str:
        """Count with a worker, unless it has a problem: then return that."""
        if report["problem"] or address in self._rooms:
            return str(report["problem"])
        slots, resources = 1, None
        if report["gpus"] is not None:
            if report["gpus"] > 1:
                return "it has several GPUs: start a worker for each, with CUDA_VISIBLE_DEVICES=N and --resources GPU=1"
            slots, resources = min(report["threads"], int(report["gpus"] / self._gpu_share + 1e-9)), {"GPU": self._gpu_share}
            if not slots:
                return f"it offers {report['gpus']:g} of a GPU and a trial takes {self._gpu_share:g}; see --gpu-share"
        self._rooms[address] = _Room(max(1, report["threads"] // slots), resources)
        self._free.extend([address] * slots)
        return ""


def _connect(scheduler: str) -> Client:
    """A client of the scheduler. Raises ``EngineError`` where none answers."""
    host, _, port = scheduler.rpartition("//")[2].rpartition(":")
    _check_certificates(scheduler)
    question = "and is this its address?"
    if scheduler.startswith("tls://"):
        question = "is this its address, and are the certificates of the settings distributed.comm.tls by its authority?"
    try:
        # Dask tries again until the time is up; where nobody listens that is known at once.
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
        return Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise EngineError(
            f"no Dask scheduler answers at {scheduler}: is `dask scheduler` running, {question} ({one_line(error)})"
        ) from error


def _check_certificates(scheduler: str) -> None:
    """Raises ``EngineError`` where Dask's settings do not go with an address; Dask itself would stall, then show a trace."""
    try:
        security = Security()
        has_them = security.get_connection_args("client").get("ssl_context") is not None
    except (OSError, ValueError) as error:
        raise EngineError(
            f"cannot read the certificates of Dask's settings distributed.comm.tls: {one_line(error)}"
        ) from error
    if scheduler.startswith("tls://") and not has_them:
        needed = "distributed.comm.tls.ca-file, .client.key and .client.cert"
        raise EngineError(f"{scheduler} needs certificates: set {needed} (docs/cluster.md)")
    if security.require_encryption and not scheduler.startswith("tls://"):
        raise EngineError(f"Dask's settings demand encryption, and {scheduler} has none: expected tls://host:port")


def _sent_whole(root: str) -> tuple[Callable[..., dict[str, Any]], Callable[..., None]]:
    """``dask_node``'s ``examine`` and ``run`` for a project in ``root``, as functions that Dask sends whole: neither its
    scheduler nor its workers need to know where the project is.
    """

    def examine(*arguments: Any, dask_worker: Any) -> dict[str, Any]:
        import sys

        if root not in sys.path:
            sys.path.append(root)
        try:
            from sweeps.engines.dask_node import examine
        except ImportError as error:
            return {"problem": f"it cannot import the project, which is in {root} here: {error}"}
        return examine(dask_worker, *arguments)

    def run(*arguments: Any) -> None:
        from sweeps.engines.dask_node import run

        run(*arguments)

    return examine, run


_EXAMINE, _RUN = _sent_whole(str(ROOT))
