"""The command line of the benchmark: a process for each cell (width, threads, batch, mode), the table, the figure.

A cell's rows are written when it is done; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from doping.command_line import Parser, answer, arguments_or
from doping.command_line import path as a_path
from doping.errors import UserError
from doping.method import MethodName

BATCHES = (1, 16)
STEPS = {"generating": 1, "scoring": 35}
SECONDS_PER_TIMING = 0.003
METHODS: tuple[MethodName, ...] = ("pruned", "lmf", "hmd", "kp", "doped_kp", "doped_lmf", "doped_hmd")
PATTERNS = ("unstructured", "gates", "rows")
Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the folder does not have yet, print, draw; returns the exit code."""
    return answer(lambda: _command(arguments_or(arguments)))


def _command(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    if options.one:
        print(
            json.dumps(measure(options.hidden[0], options.factors, options.rounds, options.quick, json.loads(options.one)))
        )
        return
    from doping.machine import commit, cores, hardware, versions

    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {options.out}: {error.strerror}; give another with --out") from error
    path = options.out / "inference_benchmark.csv"
    settings = [f"--hidden {' '.join(map(str, options.hidden))}", f"--factors {' '.join(f'{f:g}' for f in options.factors)}"]
    settings += [f"--rounds {options.rounds}", *["--quick"] * options.quick]
    command = " ".join(["python -m benchmarks.inference", *settings])
    about = {"hardware": hardware(), "versions": versions(), "commit": commit(), "command": command}
    rows = _known(path, command)
    had = {_cell(row) for row in rows}
    batches = BATCHES[:1] if options.quick else BATCHES
    cells = list(itertools.product(options.hidden, sorted({1, cores()}), batches, STEPS))
    for number, cell in enumerate(cells, 1):
        if cell not in had:
            hidden, threads, batch, mode = cell
            start = time.perf_counter()
            new = [row | about for row in _in_process(hidden, Cell(threads, batch, mode), options)]
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, new[0])
                if not rows:
                    writer.writeheader()
                writer.writerows(new)
            rows += new
            seconds = time.perf_counter() - start
            print(
                f"[{number}/{len(cells)}] {hidden} wide, {threads} threads, batch {batch}, {mode}: {seconds:.0f} s",
                flush=True,
            )
    from benchmarks.inference.figure import draw

    draw(rows, options.out)
    _print(rows)
    print(f"wrote {path} and the figure beside it")


def _cell(row: Row) -> tuple[int, int, int, str]:
    return row["hidden"], row["threads"], row["batch"], row["mode"]


def _known(path: Path, command: str) -> list[Row]:
    """The rows of an earlier run of the same command, which was stopped, as numbers and text."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows: list[Row] = list(csv.DictReader(file))
    for row in rows:
        if row["command"] != command:
            raise UserError(f"{path} has rows of another benchmark ({row['command']}); give another folder with --out")
        row |= {name: int(row[name]) for name in ("hidden", "batch", "threads")}
        row |= {name: float(row[name]) for name in ("factor", "median_us", "speedup")}
    return rows


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="benchmarks.inference",
        description="Time of a compressed LSTM layer against the fastest dense engine, on this processor.",
    )
    parser.add_argument("--hidden", type=int, nargs="+", default=[200, 650, 1500], help="widths (default: %(default)s)")
    parser.add_argument("--factors", type=float, nargs="+", default=[5, 10, 20, 25, 40], help="compression factors")
    parser.add_argument("--rounds", type=int, default=7, help="timings of each engine (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="only doped_kp, pruned and kp, batch 1")
    parser.add_argument("--out", type=a_path, default=Path("runs/inference_benchmark"), help="folder (default: %(default)s)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not all(1 <= number < math.inf for number in (*options.hidden, options.rounds, *options.factors)):
        raise UserError("--hidden, --factors and --rounds are numbers from 1 on; --help says more")
    return options


class Cell(NamedTuple):
    """What is the same for all engines that are compared."""

    threads: int
    batch: int
    mode: str


def _in_process(hidden: int, cell: Cell, options: argparse.Namespace) -> list[Row]:
    """One cell of one width, in a process of its own: the libraries read their settings when they start."""
    command = [sys.executable, "-m", "benchmarks.inference", "--one", json.dumps(cell)]
    command += ["--hidden", str(hidden), "--rounds", str(options.rounds), "--factors", *map(str, options.factors)]
    # Settings that may have been made for other programs would slow the BLAS that is compared with.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
    environment |= {"OMP_NUM_THREADS": str(cell.threads), "OPENBLAS_NUM_THREADS": str(cell.threads)}
    command += ["--quick"] * options.quick
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"the benchmark of {hidden} hidden units failed (exit code {done.returncode}); see above")
    rows: list[Row] = json.loads(done.stdout.splitlines()[-1])
    return rows


def measure(hidden: int, factors: list[float], rounds: int, quick: bool, cell: Sequence[Any]) -> list[Row]:
    """All engines of one cell."""
    import numpy as np

    from benchmarks.inference.engines import compressed, dense_engines
    from doping.inference.kernels.layout import stored_bytes

    threads, batch, mode = cell
    steps = STEPS[mode]
    generator = np.random.default_rng(0)
    shape = (4 * hidden, hidden)
    weight_MN = (generator.normal(size=shape) * hidden**-0.5).astype(np.float32)
    bias_M = generator.normal(size=4 * hidden).astype(np.float32)
    x_TBH = generator.normal(size=(steps, batch, hidden)).astype(np.float32)
    bandwidth = _bandwidth()
    dense = dense_engines(weight_MN, bias_M, x_TBH, threads)
    named: list[tuple[str, str, str, float, int]] = [(name, "", "float32", 1.0, 4 * weight_MN.size) for name in dense]
    engines = list(dense.values())
    for name, pattern, values, factor, matrix in _matrices(weight_MN, factors, quick):
        named.append((name, pattern, values, factor, stored_bytes(matrix)))
        engines.append(compressed(matrix, bias_M, x_TBH, threads))
    timings = _alternating(engines, steps, rounds)
    medians = [statistics.median(times) for times in timings]
    best = min(range(len(dense)), key=medians.__getitem__)
    return [
        {
            "hidden": hidden, "engine": engine, "pattern": pattern, "values": values, "factor": factor, "batch": batch,
            "mode": mode, "threads": threads, "median_us": round(median, 2), "fastest_us": round(min(times), 2),
            "slowest_us": round(max(times), 2), "dense_engine": list(dense)[best],
            "speedup": round(medians[best] / median, 3), "weight_mb": round(2 * size / 1e6, 4),
            "gb_per_s": round(2 * size / median / 1e3, 2), "machine_gb_per_s": bandwidth,
        }
        for (engine, pattern, values, factor, size), times, median in zip(named, timings, medians, strict=True)
    ]  # fmt: skip


def _matrices(weight_MN: Any, factors: list[float], quick: bool) -> Iterator[tuple[str, str, str, float, Any]]:
    """Method, pattern, kind of values, factor, matrix; int8 for dense and doped Kronecker products."""
    from benchmarks.inference.engines import random_matrix
    from doping.inference.kernels import Dense, narrowed
    from doping.matrices.budget import BudgetError

    yield "dense", "", "int8", 1.0, narrowed(Dense(weight_MN))
    for name in ("kp", "pruned", "doped_kp") if quick else METHODS:
        sparse = name == "pruned" or name.startswith("doped")
        for pattern, factor in itertools.product(PATTERNS if sparse else PATTERNS[:1], factors):
            try:
                matrix = random_matrix(name, factor, pattern, weight_MN.shape, seed=len(pattern))
            except BudgetError as error:
                print(f"left out: {error}", file=sys.stderr)
                continue
            yield name, pattern if sparse else "", "float32", factor, matrix
            if name == "doped_kp":
                yield name, pattern, "int8", factor, narrowed(matrix)


def _alternating(engines: list[Any], steps: int, rounds: int) -> list[list[float]]:
    """Microseconds a time step of each engine in each round; within one, an engine runs for some milliseconds, warm."""
    timings: list[list[float]] = [[] for _ in engines]
    for _ in range(rounds):
        for run, times in zip(engines, timings, strict=True):
            run()
            calls, start = 0, time.perf_counter()
            while (spent := time.perf_counter() - start) < SECONDS_PER_TIMING or not calls:
                run()
                calls += 1
            times.append(1e6 * spent / calls / steps)
    return timings


def _bandwidth() -> float:
    """10⁹ bytes a second that one thread reads from memory: the maximum of an array larger than the caches."""
    import numpy as np

    array = np.ones(50_000_000, np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        array.max()
        seconds.append(time.perf_counter() - start)
    return round(array.nbytes / min(seconds) / 1e9, 1)


def _print(rows: list[Row]) -> None:
    """Doped, pruned and Kronecker layers at the factor nearest to 20, batch 1, beside what dense ones take."""
    shown = [row for row in rows if row["batch"] == 1 and row["engine"] in ("dense", "doped_kp", "pruned", "kp")]
    nearest = min((row["factor"] for row in shown), key=lambda factor: abs(factor - 20))
    head = f"{'hidden':>6} {'threads':>7} {'mode':10} {'engine':>9} {'pattern':12} {'values':7} "
    print(head + f"{'µs a step':>9} {'speed-up':>8}")
    for row in shown:
        if row["factor"] in (1, nearest):
            print(
                f"{row['hidden']:>6} {row['threads']:>7} {row['mode']:10} {row['engine']:>9} {row['pattern']:12} "
                f"{row['values']:7} {row['median_us']:>9.1f} {row['speedup']:>7.2f}x  against {row['dense_engine']}"
            )
