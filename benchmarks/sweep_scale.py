"""How many trials a second a sweep can hand out and take back: trials of no work, on simulated and on real workers.

    python -m benchmarks.sweep_scale [--sizes 1000 10000] [--storage URL] [--dask 100 500] [--out sweep_scale.csv]

*Simulated*: a whole sweep (plan, schedule, rows on disk, tables, display, Optuna's storage) on an engine with ``--slots``
workers that need no time: what is measured is what the one process that everybody waits for does. Writing the rows is the
workers' share, spread over their machines, so it is measured but not counted. *Dask*: the real engine and a real scheduler,
with as many workers as fit into one process, and a task that only tells of its end.
"""

from __future__ import annotations

import argparse
import csv
import functools
import itertools
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import sweeps.running.sweep
from doping.machine import commit, hardware, versions
from sweeps.engines.base import Ended, Event
from sweeps.engines.launch import Launch
from sweeps.optuna_view.entries import OptunaEntries
from sweeps.planning.plan import StudyPlan, make_plan
from sweeps.results.folder import ResultsFolder
from sweeps.results.rows import row_of, write_row
from sweeps.results.views import Views
from sweeps.running.progress import Lines
from sweeps.running.sweep import Sweep
from sweeps.study.study import Study
from sweeps.study.study_file import parse
from sweeps.trials.job import Job
from sweeps.trials.outcome import Outcome
from sweeps.trials.trial import Trial

PARTS: list[tuple[str, Any, tuple[str, ...]]] = [
    ("storage", OptunaEntries, ("agree", "tell")),
    ("rows", ResultsFolder, ("row", "curve")),
    ("tables", Views, ("refresh",)),
    ("tables", sweeps.running.sweep, ("write_views", "thin")),
    ("display", Lines, ("finished",)),
]
"""What the time is split into: the functions that each part is entered by. What is left is the schedule's own."""

SHOWN = ("storage", "rows", "tables", "display", "schedule", "workers")
COLUMNS = ("what", "storage", "workers", "trials", "seconds", "trials_a_second", *(f"{part}_ms" for part in SHOWN))
MACHINE: dict[str, Callable[[], str]] = {"hardware": hardware, "versions": versions, "commit": commit}

OUTCOME = Outcome("finished", "perplexity", 2.0, 2.0, 2.0, 10, 100, 400, 100, 1000, 4000, 1000)


class Stopwatch:
    """Seconds spent in each part; a part that another one calls is not counted in the caller."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._stack = ["schedule"]
        self._since = time.perf_counter()

    @contextmanager
    def inside(self, part: str) -> Iterator[None]:
        """What happens here belongs to a part."""
        self._turn()
        self._stack.append(part)
        try:
            yield
        finally:
            self._turn()
            self._stack.pop()

    def _turn(self) -> None:
        now = time.perf_counter()
        self.seconds[self._stack[-1]] += now - self._since
        self._since = now

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Counts what the methods of ``PARTS`` take."""
        kept = [(part, owner, name, vars(owner)[name]) for part, owner, names in PARTS for name in names]
        for part, owner, name, function in kept:
            setattr(owner, name, self._watched(part, function))
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._turn()
            for _, owner, name, function in kept:
                setattr(owner, name, function)

    def _watched(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched(*arguments: Any, **named: Any) -> Any:
            with self.inside(part):
                return function(*arguments, **named)

        return watched


class SimulatedEngine:
    """So many workers that take no time: each trial's row is there at the next look."""

    def __init__(self, slots: int, folder: ResultsFolder, watch: Stopwatch) -> None:
        self._slots, self._folder, self._watch = slots, folder, watch
        self._running: list[Trial] = []

    def free(self) -> int:
        """Workers without a trial."""
        return self._slots - len(self._running)

    def submit(self, job: Job) -> None:
        """Give a trial to a worker."""
        self._running.append(job.trial)

    def wait(self, seconds: float) -> list[Event]:
        """All trials have ended."""
        with self._watch.inside("workers"):
            for trial in self._running:
                folder = self._folder.of(trial.id)
                folder.mkdir(exist_ok=True)
                write_row(folder, row_of(trial, OUTCOME, seconds=1.0, started=""))
        ended: list[Event] = [Ended(trial, "done") for trial in self._running]
        self._running.clear()
        return ended

    def close(self, grace: float) -> None:
        """Nothing runs."""


def simulate(trials: int, slots: int, storage: str | None) -> dict[str, Any]:
    """Seconds of a sweep of so many trials, by part."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as scratch, (Path(scratch) / "log").open("w") as log, redirect_stdout(log):
        folder = ResultsFolder(Path(scratch) / "out")
        folder.prepare()
        plan = planned(trials)

        class Simulated(Launch):
            def engine(self, trials: int, notice: Callable[[str], None]) -> SimulatedEngine:
                return SimulatedEngine(slots, folder, watch)

        with watch.watching():
            sweep = Sweep(plan, folder)
            sweep.prepare()
            sweep.run(Simulated(folder.path, "", {}), 0, None, storage)
    seconds = watch.seconds
    counted = sum(seconds.values()) - seconds["workers"]
    parts = {f"{part}_ms": round(1000 * seconds[part] / trials, 3) for part in SHOWN}
    return {
        "what": "simulated",
        "storage": "postgresql" if storage else "journal",
        "workers": slots,
        "trials": trials,
        "seconds": round(counted, 1),
        "trials_a_second": round(trials / counted, 1),
        **parts,
    }


def planned(trials: int) -> StudyPlan:
    """A plan of one method with so many seeds."""
    preset = {"task": {"model": {"hidden": 20}}, "seeds": list(range(trials)), "runs": [{"method": "dense"}]}
    content = {"description": "scale", "presets": {"scale": preset}}
    return make_plan(Study("scale", "scale", content, parse(content)), "scale", None, lambda corpus: "0" * 64)


def through_dask(trials: int, workers: int) -> dict[str, Any]:
    """Trials a second through the Dask engine, a scheduler in a process of its own, and workers in another."""
    from sweeps.engines import dask_engine

    def only_tells(*arguments: Any) -> None:
        from distributed import get_worker

        *_, topic, key, _ = arguments
        get_worker().log_event(topic, {"key": key, "begun": True})
        get_worker().log_event(topic, {"key": key, "ended": "done", "message": ""})

    dask_engine._RUN = only_tells
    jobs = [Job(trial=trial, cell="") for cell in planned(trials).cells for trial in (cell.trial({}, n) for n in cell.seeds)]
    with tempfile.TemporaryDirectory() as scratch, dask_processes(workers, Path(scratch)) as address:
        engine = dask_engine.DaskEngine(address, Path(scratch), "", {}, print)
        while engine.free() < workers:
            engine.wait(0.1)
        begun, ended, left = time.perf_counter(), 0, iter(jobs)
        while ended < trials:
            for job in itertools.islice(left, engine.free()):
                engine.submit(job)
            ended += sum(isinstance(event, Ended) for event in engine.wait(1.0))
        seconds = time.perf_counter() - begun
        engine.close(1)
    rate = round(trials / seconds, 1)
    return {"what": "dask", "workers": workers, "trials": trials, "seconds": round(seconds, 1), "trials_a_second": rate}


WORKERS = """
import asyncio, sys
from distributed import Worker
async def main(address, number):
    workers = await asyncio.gather(*(Worker(address, nthreads=1, name=str(n), dashboard=False) for n in range(number)))
    await asyncio.gather(*(worker.finished() for worker in workers))
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@contextmanager
def dask_processes(workers: int, folder: Path) -> Iterator[str]:
    """A Dask scheduler on this machine, and a process with so many workers; gives its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    flags = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    commands = [["-m", "dask", "scheduler", *flags], ["-c", WORKERS, address, str(workers)]]
    with (folder / "dask.log").open("wb") as log:
        started = [subprocess.Popen([sys.executable, *command], cwd=folder, stdout=log, stderr=log) for command in commands]
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield address
        finally:
            for process in reversed(started):
                process.kill()
                process.wait()


def main() -> None:
    """Measure all that the command line asks for, and write a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 10000], help="trials of a simulated sweep")
    parser.add_argument("--slots", type=int, default=1000, help="workers of a simulated sweep")
    parser.add_argument("--storage", help="a PostgreSQL database to use instead of the journal")
    parser.add_argument(
        "--dask", type=int, nargs="*", default=[], metavar="WORKERS", help="measure Dask with so many workers"
    )
    parser.add_argument("--dask-trials", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="CSV file that rows are added to")
    options = parser.parse_args()
    measured = [functools.partial(simulate, size, options.slots, options.storage) for size in options.sizes]
    measured += [functools.partial(through_dask, options.dask_trials, workers) for workers in options.dask]
    for measure in measured:
        row = measure()
        print(row, flush=True)
        if options.out:
            new = not options.out.exists()
            with options.out.open("a", newline="") as file:
                table = csv.DictWriter(file, [*COLUMNS, *MACHINE])
                if new:
                    table.writeheader()
                table.writerow(row | {name: value() for name, value in MACHINE.items()})


if __name__ == "__main__":
    main()
