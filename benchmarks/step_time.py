"""Time and memory of one training step of the medium language model, each method against plain ``nn.LSTM``.

    python -m benchmarks.step_time [--factor 20] [--repetitions 7] [--out step_time.csv]

The model is Zaremba's medium one: 2 x 650, batch 20, 35 steps, 10,000 words, dropout 0.5, SGD, clipped; CMR is on in
the doped methods. Each method and the baseline run in a process of their own, which tells its peak memory; the processes
alternate, round by round, and the ratio is of the medians over all rounds.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from doping.families import is_doped, methods
from doping.method import Method
from tasks.language_model import LanguageModelTask

BASELINE = "nn.LSTM"
IN_PLACE = "compress_ "
"""Before the names of methods by which ``doping.compress_`` compresses a plain ``nn.LSTM``, in place and warm."""
METHODS = [BASELINE, *methods(), *(IN_PLACE + name for name in methods() if name not in ("dense", "hmd", "doped_hmd"))]
WORDS, BATCH, STEPS = 10_000, 20, 35
ROUNDS = 3


def measure(name: str, factor: float, repetitions: int) -> dict[str, list[float] | float]:
    """Seconds of each training step, and the peak memory of this process in MB (of the GPU's, where there is one)."""
    import torch
    from torch import nn

    from data.text.batches import TextBatch
    from doping import compress_
    from doping.matrices import Sparse
    from lightning_modules.language_model import RecurrentLanguageModel

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    task = LanguageModelTask.model_validate(
        {"data": {"level": "word"}, "model": {"layers": 2, "hidden": 650, "dropout": 0.5, "uniform_init": 0.05}}
    )
    method = _method(name.removeprefix(IN_PLACE), factor)
    in_place = name.startswith(IN_PLACE)
    model = RecurrentLanguageModel(task.model, task.training, Method() if in_place else method, WORDS, task.data.level)
    if name == BASELINE or in_place:
        model.lstm = model.lstm.to_lstm()  # type: ignore[assignment]
    if in_place:
        compress_(model, {"lstm": method})
    model.to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    tokens_TB = torch.randint(0, WORDS, (STEPS, BATCH), device=device)
    sparse = [module for module in model.modules() if isinstance(module, Sparse)]
    seconds = []
    for step in range(repetitions + 2):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = model.training_step(TextBatch(tokens_TB, tokens_TB, step == 0), step)["loss"]
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        for matrix in sparse:
            matrix.apply_mask()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 1e6
    else:
        kilobyte = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte / 1e6
    return {"seconds": seconds[2:], "peak_mb": peak}


def _method(name: str, factor: float) -> Method:
    if name in (BASELINE, "dense"):
        return Method()
    cmr = {"probability": 0.3} if is_doped(name) else {}
    return Method.model_validate({"name": name, "factor": factor, "cmr": cmr})


def main() -> None:
    """Measure all methods and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factor", type=float, default=20, help="compression factor (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=7, help="steps a process and round (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="also write the table as CSV")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="only these, beside nn.LSTM")
    parser.add_argument("--one", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.factor, options.repetitions)))
        return
    methods = list(dict.fromkeys([BASELINE, *options.methods]))
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    peaks: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(ROUNDS):
        for name in methods:
            command = [sys.executable, "-m", "benchmarks.step_time", "--one", name, "--factor", str(options.factor)]
            command += ["--repetitions", str(options.repetitions)]
            measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            seconds[name] += measured["seconds"]
            peaks[name].append(measured["peak_mb"])
    rows = [
        {
            "method": name,
            "median_ms": round(1000 * statistics.median(seconds[name]), 1),
            "fastest_ms": round(1000 * min(seconds[name]), 1),
            "slowest_ms": round(1000 * max(seconds[name]), 1),
            "time_ratio": round(statistics.median(seconds[name]) / statistics.median(seconds[BASELINE]), 3),
            "peak_mb": round(statistics.median(peaks[name])),
            "memory_ratio": round(statistics.median(peaks[name]) / statistics.median(peaks[BASELINE]), 3),
        }
        for name in methods
    ]
    print(f"{'method':19} {'median ms':>10} {'min–max ms':>16} {'time':>6} {'peak MB':>8} {'memory':>7}")
    for row in rows:
        spread = f"{row['fastest_ms']}–{row['slowest_ms']}"
        print(
            f"{row['method']:19} {row['median_ms']:>10} {spread:>16} {row['time_ratio']:>6.2f} "
            f"{row['peak_mb']:>8} {row['memory_ratio']:>7.2f}"
        )
    if options.out:
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
