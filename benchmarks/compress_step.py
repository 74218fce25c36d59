"""Processor time of a training step of the medium language model with ``doping.compress_``, against plain ``nn.LSTM``.

    python -m benchmarks.compress_step [--factor 20] [--repetitions 12] [--out results/compress_step.csv]

Model and data are those of ``benchmarks.step_time``. Here all methods share one process and one thread, and take turns step
by step; the ratio is the median over the steps of (method / ``nn.LSTM`` of the same round), in processor time. So it also
holds on a machine that is busy with other things.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from pathlib import Path

METHODS = ["nn.LSTM", "pruned", "lmf", "hmd", "kp", "doped_lmf", "doped_kp"]


def measure(methods: list[str], factor: float, repetitions: int) -> dict[str, list[float]]:
    """Seconds of processor time of each step, by method; CMR is on in the doped ones. Two steps before are not counted."""
    import torch
    from torch import nn

    from benchmarks.step_time import BATCH, STEPS, WORDS
    from data.text.batches import TextBatch
    from doping import Method, compress_
    from doping.families import is_doped
    from doping.matrices import Sparse
    from lightning_modules.language_model import RecurrentLanguageModel
    from tasks.language_model import LanguageModelTask

    torch.set_num_threads(1)
    torch.manual_seed(0)
    task = LanguageModelTask.model_validate(
        {"data": {"level": "word"}, "model": {"layers": 2, "hidden": 650, "dropout": 0.5, "uniform_init": 0.05}}
    )
    models = {}
    for name in methods:
        model = RecurrentLanguageModel(task.model, task.training, Method(), WORDS, task.data.level)
        model.lstm = model.lstm.to_lstm()  # type: ignore[assignment]
        if name != "nn.LSTM":
            cmr = {"probability": 0.3} if is_doped(name) else {}
            compress_(model, {"lstm": Method.model_validate({"name": name, "factor": factor, "cmr": cmr})})
        sparse = [module for module in model.modules() if isinstance(module, Sparse)]
        models[name] = model, torch.optim.SGD(model.parameters(), lr=1.0), sparse
    tokens_TB = torch.randint(0, WORDS, (STEPS, BATCH))
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for step in range(repetitions + 2):
        for name, (model, optimizer, sparse) in models.items():
            start = time.process_time()
            optimizer.zero_grad()
            torch.autograd.backward(model.training_step(TextBatch(tokens_TB, tokens_TB, step == 0), step)["loss"])
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            for matrix in sparse:
                matrix.apply_mask()
            seconds[name].append(time.process_time() - start)
    return {name: measured[2:] for name, measured in seconds.items()}


def main() -> None:
    """Measure all methods, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factor", type=float, default=20, help="compression factor (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=12, help="steps that count (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="also write the table as CSV")
    options = parser.parse_args()
    seconds = measure(METHODS, options.factor, options.repetitions)
    rows = [
        {
            "method": name,
            "median_ms": round(1000 * statistics.median(measured)),
            "fastest_ms": round(1000 * min(measured)),
            "slowest_ms": round(1000 * max(measured)),
            "time_ratio": round(statistics.median(a / b for a, b in zip(measured, seconds["nn.LSTM"], strict=True)), 3),
        }
        for name, measured in seconds.items()
    ]
    for row in rows:
        spread = f"{row['fastest_ms']}–{row['slowest_ms']} ms"
        print(f"{row['method']:10} {row['median_ms']:>6} ms ({spread:>12}) {row['time_ratio']:>7.3f}")
    if options.out:
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
