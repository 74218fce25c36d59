"""The command line of the benchmark: a process for each width and number of threads, the table, the figure."""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning_modules.settings import MethodName

BATCHES = (1, 16)
STEPS = {"generating": 1, "scoring": 35}
SECONDS_PER_TIMING = 0.003
METHODS: tuple[MethodName, ...] = ("pruned", "lmf", "hmd", "kp", "doped_kp", "doped_lmf", "doped_hmd")
PATTERNS = ("unstructured", "gates", "rows")
Row = dict[str, Any]


def main() -> None:
    """Measure, print, write."""
    options = _options()
    if options.one:
        print(json.dumps(measure(options.hidden[0], options.one, options.factors, options.rounds, options.quick)))
        return
    from sweeps.machine import commit, cores, hardware, versions

    rows: list[Row] = []
    for hidden in options.hidden:
        for threads in sorted({1, cores()}):
            rows += _in_process(hidden, threads, options)
    about = {"hardware": hardware(), "versions": versions(), "commit": commit(), "command": " ".join(["python", *sys.argv])}
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "inference_benchmark.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *about])
        writer.writeheader()
        writer.writerows(row | about for row in rows)
    from inference.benchmark_figure import draw

    draw(rows, options.out)
    _print(rows)
    print(f"wrote {path} and the figure beside it")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Time of a compressed LSTM layer against the fastest dense engine, on this processor."
    )
    parser.add_argument("--hidden", type=int, nargs="+", default=[200, 650, 1500], help="widths (default: %(default)s)")
    parser.add_argument("--factors", type=float, nargs="+", default=[5, 10, 20, 25, 40], help="compression factors")
    parser.add_argument("--rounds", type=int, default=7, help="timings of each engine (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="only doped_kp, pruned and kp, batch 1")
    parser.add_argument("--out", type=Path, default=Path("runs/inference_benchmark"), help="folder (default: %(default)s)")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if min(*options.hidden, options.rounds) < 1 or min(options.factors) < 1:
        parser.error("widths, rounds and factors must be at least 1")
    return options


def _in_process(hidden: int, threads: int, options: argparse.Namespace) -> list[Row]:
    """One width and number of threads, in a process of its own: the libraries read their settings when they start."""
    command = [sys.executable, str(Path(__file__).with_name("benchmark.py")), "--one", str(threads)]
    command += ["--hidden", str(hidden), "--rounds", str(options.rounds), "--factors", *map(str, options.factors)]
    # Settings that may have been made for other programs would slow the BLAS that is compared with.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
    environment |= {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    command += ["--quick"] * options.quick
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the benchmark of {hidden} hidden units failed (exit code {done.returncode}); see above")
    rows: list[Row] = json.loads(done.stdout.splitlines()[-1])
    return rows


def measure(hidden: int, threads: int, factors: list[float], rounds: int, quick: bool) -> list[Row]:
    """All cells of one width and number of threads."""
    import numpy as np

    from inference.benchmark_engines import compressed, dense_engines
    from inference.kernels.layout import stored_bytes

    generator = np.random.default_rng(0)
    shape = (4 * hidden, hidden)
    weight_MN = (generator.normal(size=shape) * hidden**-0.5).astype(np.float32)
    bias_M = generator.normal(size=4 * hidden).astype(np.float32)
    matrices = list(_matrices(shape, factors, quick))
    bandwidth = _bandwidth()
    rows: list[Row] = []
    for batch in BATCHES[:1] if quick else BATCHES:
        for mode, steps in STEPS.items():
            x_TBH = generator.normal(size=(steps, batch, hidden)).astype(np.float32)
            dense = dense_engines(weight_MN, bias_M, x_TBH, threads)
            engines = list(dense.values()) + [compressed(matrix, bias_M, x_TBH, threads) for *_, matrix in matrices]
            timings = _alternating(engines, steps, rounds)
            medians = [statistics.median(times) for times in timings]
            best = min(range(len(dense)), key=medians.__getitem__)
            named = [(name, "", 1.0, None) for name in dense] + [(n, p, f, m) for n, p, f, m in matrices]
            for (name, pattern, factor, matrix), times, median in zip(named, timings, medians, strict=True):
                size = 4 * weight_MN.size if matrix is None else stored_bytes(matrix)
                rows.append({
                    "hidden": hidden, "engine": name, "pattern": pattern, "factor": factor, "batch": batch, "mode": mode,
                    "threads": threads, "median_us": round(median, 2), "fastest_us": round(min(times), 2),
                    "slowest_us": round(max(times), 2), "dense_engine": list(dense)[best],
                    "speedup": round(medians[best] / median, 3), "weight_mb": round(2 * size / 1e6, 4),
                    "gb_per_s": round(2 * size / median / 1e3, 2), "machine_gb_per_s": bandwidth,
                })  # fmt: skip
    return rows


def _matrices(shape: tuple[int, int], factors: list[float], quick: bool) -> Iterator[tuple[str, str, float, Any]]:
    from inference.benchmark_engines import random_matrix
    from lightning_modules.matrices.budget import BudgetError

    for name in ("kp", "pruned", "doped_kp") if quick else METHODS:
        sparse = name == "pruned" or name.startswith("doped")
        for pattern in PATTERNS if sparse else PATTERNS[:1]:
            for factor in factors:
                try:
                    matrix = random_matrix(name, factor, pattern, shape, seed=len(pattern))  # type: ignore[arg-type]
                except BudgetError as error:
                    print(f"left out: {error}", file=sys.stderr)
                    continue
                yield name, pattern if sparse else "", factor, matrix


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
    """The dense engines and the doped and pruned layers at the factor nearest to 20, batch 1."""
    shown = [row for row in rows if row["batch"] == 1 and row["engine"] in ("doped_kp", "pruned", "kp")]
    nearest = min((row["factor"] for row in shown), key=lambda factor: abs(factor - 20))
    print(f"{'hidden':>6} {'threads':>7} {'mode':10} {'engine':>9} {'pattern':12} {'µs a step':>9} {'speed-up':>8}  against")
    for row in shown:
        if row["factor"] == nearest:
            print(
                f"{row['hidden']:>6} {row['threads']:>7} {row['mode']:10} {row['engine']:>9} {row['pattern']:12} "
                f"{row['median_us']:>9.1f} {row['speedup']:>7.2f}x  {row['dense_engine']}"
            )
