"""What watching a training costs: time in the monitor and in W&B against the time of the training itself.

    python -m benchmarks.monitor_cost [--study cmr_probability] [--preset quick] [--epochs 3] [--out monitor_cost.csv]

Trains one doped Kronecker product with row dropout as a study's preset has it, shortened to so many epochs at the same
number of steps between two validations, with the monitor at every validation and W&B offline. What the monitor and W&B do is
timed inside the training, so that a share of a percent is seen; the training without it is the baseline. W&B's start and end
come once a trial and are put to the length of the whole preset; the first run of a process, which loads W&B, is told apart:
a worker runs many trials.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from doping import machine
from doping.method import Method
from sweeps.study import study as studies
from tasks.base import TaskSettings

METHOD = Method.model_validate({"name": "doped_kp", "factor": 20, "cmr": {"probability": 0.3}})


def main() -> None:
    """Measure and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="cmr_probability", help="(default: %(default)s)")
    parser.add_argument("--preset", default="quick", help="(default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs to train (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=max(1, machine.cores() // 2), help="(default: half of the cores)")
    parser.add_argument("--out", type=Path, help="also write the table as CSV; a line is added where there is one")
    options = parser.parse_args()
    row = measure(f"{options.study}-{options.preset}", _task(options.study, options.preset), options.epochs, options.threads)
    print("\n".join(f"{name:24} {value}" for name, value in row.items()))
    if options.out:
        new = not options.out.exists()
        with options.out.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)


def measure(name: str, task: TaskSettings, epochs: int, threads: int) -> dict[str, Any]:
    """One row of the table."""
    from doping.matrices import Size
    from lightning_modules.callbacks.monitor import Monitor
    from lightning_modules.language_model import RecurrentLanguageModel
    from sweeps.trials.trial import Trial
    from sweeps.worker.train import train
    from sweeps.worker.wandb_run import WandbRun

    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "LSTM_MONITOR_EVERY": "1"}
    whole = task.training
    validations = max(1, round(whole.validations * epochs / whole.epochs))
    short = task.model_copy(update={"training": whole.model_copy(update={"epochs": epochs, "validations": validations})})
    trial = Trial(task=short, method=METHOD, seed=1, data_hash=task.data_hash())
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    with (
        tempfile.TemporaryDirectory() as folder,
        _timed(
            seconds,
            *((Monitor, name) for name in ("measure", "on_before_optimizer_step")),
            *((WandbRun, name) for name in ("log", "__init__", "__exit__")),
            *((RecurrentLanguageModel, name) for name in ("on_train_start", "on_train_end")),
        ) as at,
    ):
        with WandbRun(trial, Path(folder), "perplexity", Size(1, 1, 1)):
            pass
        outcome = train(trial, Path(folder), lambda progress: None, threads)
    # The first measurement pays for what PyTorch prepares once.
    monitor = sum(seconds["on_before_optimizer_step"]) + len(seconds["measure"]) * statistics.median(seconds["measure"])
    logging = len(seconds["log"]) * statistics.median(seconds["log"])
    training = at["on_train_end"] - at["on_train_start"] - sum(seconds["measure"] + seconds["on_before_optimizer_step"])
    training -= sum(seconds["log"])
    first, once = (start + end for start, end in zip(seconds["__init__"], seconds["__exit__"], strict=True))
    whole_training = training * whole.epochs / epochs
    return {
        "study": name,
        "steps": outcome.steps,
        "validations": len(seconds["measure"]),
        "training_ms_a_step": round(1000 * training / outcome.steps, 2),
        "monitor_ms": round(1000 * statistics.median(seconds["measure"]), 1),
        "monitor_share": round(monitor / training, 4),
        "wandb_log_ms": round(1000 * statistics.median(seconds["log"]), 1),
        "wandb_first_run_ms": round(1000 * first),
        "wandb_later_run_ms": round(1000 * once),
        "wandb_share": round(logging / training + once / whole_training, 4),
        "share": round((monitor + logging) / training + once / whole_training, 4),
        "threads": threads,
        "commit": machine.commit(),
        "hardware": machine.hardware(),
        "versions": machine.versions(),
    }


@contextmanager
def _timed(seconds: defaultdict[str, list[float]], *methods: tuple[type, str]) -> Iterator[dict[str, float]]:
    """Within the context the methods are timed, by their name; gives when each was last begun."""
    at: dict[str, float] = {}
    kept = [(owner, name, getattr(owner, name)) for owner, name in methods]

    def wrapped(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            at[name] = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                seconds[name].append(time.perf_counter() - at[name])

        return timed

    for owner, name, method in kept:
        setattr(owner, name, wrapped(name, method))
    try:
        yield at
    finally:
        for owner, name, method in kept:
            setattr(owner, name, method)


def _task(name: str, preset: str) -> TaskSettings:
    return studies.load(name).preset(preset).task


if __name__ == "__main__":
    main()
