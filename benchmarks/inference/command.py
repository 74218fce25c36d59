"""The command line of the benchmark: a process for each setting (width, threads, batch, mode), the table, the figure.

Rows are written as soon as they are measured; the same command goes on where it was interrupted.
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

import numpy as np

from doping.command_line import Parser, answer, arguments_or
from doping.command_line import path as a_path
from doping.errors import UserError
from doping.families import has_sparse_part, methods

BATCHES = (1, 16)
STEPS = {"generating": 1, "scoring": 35}
SECONDS_PER_TIMING = 0.003
SECONDS_PER_STRETCH = 0.0001
METHODS = [name for name in methods() if name != "dense"]
PATTERNS = ("unstructured", "gates", "rows")
Measurement = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the folder does not have yet, print, draw; returns the exit code."""
    return answer(lambda: _command(arguments_or(arguments)))


def _command(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    if options.one:
        print(
            json.dumps(
                measure(
                    options.hidden[0], options.factors, options.rounds, options.quick, json.loads(options.one), options.int8
                )
            )
        )
        return
    from doping.machine import commit, cores, hardware, versions

    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {options.out}: {error.strerror}; give another with --out") from error
    path = options.out / ("inference_benchmark_int8.csv" if options.int8 else "inference_benchmark.csv")
    settings = [f"--hidden {' '.join(map(str, options.hidden))}", f"--factors {' '.join(f'{f:g}' for f in options.factors)}"]
    settings += [f"--rounds {options.rounds}", *["--quick"] * options.quick, *["--int8"] * options.int8]
    command = " ".join(["python -m benchmarks.inference", *settings])
    about = {"hardware": hardware(), "versions": versions(), "commit": commit(), "command": command}
    rows = _known(path, command)
    had = {_measured_at(row) for row in rows}
    batches = BATCHES[:1] if options.quick or options.int8 else BATCHES
    threads_tried = [1] if options.int8 else sorted({1, cores()})
    settings_timed = list(itertools.product(options.hidden, threads_tried, batches, STEPS))
    for number, setting in enumerate(settings_timed, 1):
        if setting not in had:
            hidden, threads, batch, mode = setting
            start = time.perf_counter()
            new = [row | about for row in _in_process(hidden, Conditions(threads, batch, mode), options)]
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, new[0])
                if not rows:
                    writer.writeheader()
                writer.writerows(new)
            rows += new
            seconds = time.perf_counter() - start
            print(
                f"[{number}/{len(settings_timed)}] {hidden} wide, {threads} threads, batch {batch}, {mode}: {seconds:.0f} s",
                flush=True,
            )
    if not options.int8:
        from benchmarks.inference.figure import draw

        draw(rows, options.out)
    _print(rows)
    print(f"wrote {path}" + " and the figure beside it" * (not options.int8))


def _measured_at(row: Measurement) -> tuple[int, int, int, str]:
    return row["hidden"], row["threads"], row["batch"], row["mode"]


def _known(path: Path, command: str) -> list[Measurement]:
    """The rows of an earlier run of the same command, which was interrupted, as numbers and text."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows: list[Measurement] = list(csv.DictReader(file))
    for row in rows:
        if row["command"] != command:
            raise UserError(f"{path} has rows of another benchmark ({row['command']}); give another folder with --out")
        row |= {name: int(row[name]) for name in ("hidden", "batch", "threads")}
        row |= {name: float(row[name]) for name in ("factor", "median_us", "speedup", "speedup_over_fastest")}
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
    parser.add_argument("--int8", action="store_true", help="only dense engines and int8 arithmetic, one thread, batch 1")
    parser.add_argument("--out", type=a_path, default=Path("runs/inference_benchmark"), help="folder (default: %(default)s)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not all(1 <= number < math.inf for number in (*options.hidden, options.rounds, *options.factors)):
        raise UserError("--hidden, --factors and --rounds are numbers from 1 on; --help says more")
    return options


class Conditions(NamedTuple):
    """What is the same for all engines that are compared."""

    threads: int
    batch: int
    mode: str


def _in_process(hidden: int, conditions: Conditions, options: argparse.Namespace) -> list[Measurement]:
    """One width under one set of conditions, in a process of its own: the libraries read their settings when they start."""
    command = [sys.executable, "-m", "benchmarks.inference", "--one", json.dumps(conditions)]
    command += ["--hidden", str(hidden), "--rounds", str(options.rounds), "--factors", *map(str, options.factors)]
    # Settings that may have been made for other programs would slow the BLAS that is compared with.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
    environment |= {"OMP_NUM_THREADS": str(conditions.threads), "OPENBLAS_NUM_THREADS": str(conditions.threads)}
    command += ["--quick"] * options.quick + ["--int8"] * options.int8
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"the benchmark of {hidden} hidden units failed (exit code {done.returncode}); see above")
    rows: list[Measurement] = json.loads(done.stdout.splitlines()[-1])
    return rows


class Timed(NamedTuple):
    """An engine, and what its rows say of it."""

    engine: str
    pattern: str
    values: str
    arithmetic: str
    factor: float
    bytes: int
    """Of a matrix as stored."""
    run: Any
    mode: str
    steps: int
    """Of a call."""


IN_C = "generating in C"
"""Mode of a text that is written without a call of Python a step, embedding and softmax included; compared with calls of the
dense engines."""


def measure(
    hidden: int, factors: list[float], rounds: int, quick: bool, conditions: Sequence[Any], int8_only: bool = False
) -> list[Measurement]:
    """All engines of one width and set of conditions; or dense ones and those in int8 arithmetic."""
    threads, batch, mode = conditions
    generator = np.random.default_rng(0)
    shape = (4 * hidden, hidden)
    weight_MN = (generator.normal(size=shape) * hidden**-0.5).astype(np.float32)
    bias_M = generator.normal(size=4 * hidden).astype(np.float32)
    x_TBH = generator.normal(size=(STEPS[mode], batch, hidden)).astype(np.float32)
    bandwidth = _bandwidth()
    timed = [*_float32_engines(weight_MN, bias_M, x_TBH, [] if int8_only else factors, quick, conditions)]
    timed += _int8_engines(weight_MN, bias_M, x_TBH, factors, quick, conditions)
    timings = _alternating([one.run for one in timed], [one.steps for one in timed], rounds)
    medians = [statistics.median(times) for times in timings]
    dense = [place for place, one in enumerate(timed) if one.factor == 1 and one.mode == mode]
    best = min((place for place in dense if timed[place].values == "float32"), key=medians.__getitem__)
    fastest = min(dense, key=medians.__getitem__)
    return [
        {
            "hidden": hidden, "engine": one.engine, "pattern": one.pattern, "values": one.values,
            "arithmetic": one.arithmetic, "factor": one.factor, "batch": batch, "mode": one.mode, "threads": threads,
            "median_us": round(median, 2), "fastest_us": round(min(times), 2), "slowest_us": round(max(times), 2),
            "dense_engine": timed[best].engine, "speedup": round(medians[best] / median, 3),
            "fastest_dense": f"{timed[fastest].engine}, {timed[fastest].values}",
            "speedup_over_fastest": round(medians[fastest] / median, 3), "weight_mb": round(2 * one.bytes / 1e6, 4),
            "gb_per_s": round(2 * one.bytes / median / 1e3, 2), "machine_gb_per_s": bandwidth,
        }
        for one, times, median in zip(timed, timings, medians, strict=True)
    ]  # fmt: skip


def _float32_engines(
    weight_MN: Any, bias_M: Any, x_TBH: Any, factors: list[float], quick: bool, conditions: Sequence[Any]
) -> Iterator[Timed]:
    """In float32 arithmetic, values narrow or not."""
    from benchmarks.inference.engines import compressed, dense_engines
    from doping.inference.families.layout import stored_bytes

    threads, _, mode = conditions
    for name, run in dense_engines(weight_MN, bias_M, x_TBH, threads).items():
        yield Timed(name, "", "float32", "float32", 1.0, 4 * weight_MN.size, run, mode, STEPS[mode])
    for name, pattern, values, factor, matrix in _matrices(weight_MN, factors, quick):
        run = compressed(matrix, bias_M, x_TBH, threads)
        yield Timed(name, pattern, values, "float32", factor, stored_bytes(matrix), run, mode, STEPS[mode])


def _int8_engines(
    weight_MN: Any, bias_M: Any, x_TBH: Any, factors: list[float], quick: bool, conditions: Sequence[Any]
) -> Iterator[Timed]:
    """In int8 arithmetic, which runs on one thread, and the dense engines of others with narrow values."""
    from benchmarks.inference import int8_engines
    from doping.inference.families.int8_layout import stored_bytes

    threads, batch, mode = conditions
    for (name, values), run in int8_engines.dense_engines(weight_MN, bias_M, x_TBH, threads).items():
        size = (1 if values == "int8" else 2) * weight_MN.size
        yield Timed(name, "", values, values, 1.0, size, run, mode, STEPS[mode])
    if threads > 1:
        return
    methods = ("kp", "pruned") if quick else int8_engines.METHODS
    for name, pattern, factor, matrix in int8_engines.compressed_matrices(weight_MN, factors, methods):
        described = name, pattern, "int8", "int8", factor, stored_bytes(matrix)
        yield Timed(*described, int8_engines.compressed(matrix, bias_M, x_TBH), mode, STEPS[mode])
        if (mode, batch) == ("generating", 1):
            yield Timed(*described, int8_engines.written_text(matrix, bias_M), IN_C, int8_engines.WRITTEN)


def _matrices(weight_MN: Any, factors: list[float], quick: bool) -> Iterator[tuple[str, str, str, float, Any]]:
    """Method, pattern, kind of values, factor, matrix; int8 for dense and doped Kronecker products."""
    from benchmarks.inference.engines import random_matrix
    from doping.inference.kernels import Dense, narrowed
    from doping.matrices.budget import BudgetError

    yield "dense", "", "int8", 1.0, narrowed(Dense(weight_MN))
    for name in ("kp", "pruned", "doped_kp") if quick else METHODS:
        sparse = has_sparse_part(name)
        for pattern, factor in itertools.product(PATTERNS if sparse else PATTERNS[:1], factors):
            try:
                matrix = random_matrix(name, factor, pattern, weight_MN.shape, seed=len(pattern))
            except BudgetError as error:
                print(f"left out: {error}", file=sys.stderr)
                continue
            yield name, pattern if sparse else "", "float32", factor, matrix
            if name == "doped_kp":
                yield name, pattern, "int8", factor, narrowed(matrix)


def _alternating(engines: list[Any], steps: list[int], rounds: int) -> list[list[float]]:
    """Microseconds a time step of each engine in each round; within one, an engine runs for some milliseconds, warm.

    The time of a round is the median of short stretches, so that what else the machine does now and then is left out.
    """
    timings: list[list[float]] = [[] for _ in engines]
    for _ in range(rounds):
        for run, in_call, times in zip(engines, steps, timings, strict=True):
            begin = time.perf_counter()
            run()
            calls = max(1, int(SECONDS_PER_STRETCH / (time.perf_counter() - begin)))
            stretches: list[float] = []
            start = time.perf_counter()
            while time.perf_counter() - start < SECONDS_PER_TIMING or not stretches:
                begin = time.perf_counter()
                for _ in range(calls):
                    run()
                stretches.append(time.perf_counter() - begin)
            times.append(1e6 * statistics.median(stretches) / calls / in_call)
    return timings


def _bandwidth() -> float:
    """10⁹ bytes a second that one thread reads from memory: the maximum of an array larger than the caches."""
    array = np.ones(50_000_000, np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        array.max()
        seconds.append(time.perf_counter() - start)
    return round(array.nbytes / min(seconds) / 1e9, 1)


def _print(rows: list[Measurement]) -> None:
    """Doped, pruned and Kronecker layers at the factor nearest to 20, batch 1, beside what dense ones take."""
    shown = [row for row in rows if row["batch"] == 1 and row["engine"] in ("dense", "doped_kp", "pruned", "kp")]
    nearest = min((row["factor"] for row in shown), key=lambda factor: abs(factor - 20))
    head = f"{'hidden':>6} {'threads':>7} {'mode':10} {'engine':>9} {'pattern':12} {'values':7} "
    print(head + f"{'µs a step':>9} {'speed-up':>8}")
    for row in shown:
        if row["factor"] in (1, nearest):
            print(
                f"{row['hidden']:>6} {row['threads']:>7} {row['mode']:10} {row['engine']:>9} {row['pattern']:12} "
                f"{row['values']:7} {row['median_us']:>9.1f} {row['speedup']:>7.2f}x  against {row['dense_engine']}, "
                f"{row['speedup_over_fastest']:.2f}x against {row['fastest_dense']}"
            )
