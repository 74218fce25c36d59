"""Trainings that cost nothing, for tests of what runs around them; workers import them by name."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from pathlib import Path
from types import SimpleNamespace

from sweeps.trials.outcome import Hopeless, Outcome, Progress, Report
from sweeps.trials.trial import Trial

TICKS = 20

STUDY = """\
description: tiny
presets:
  quick:
    task: {model: {hidden: 20}}
    seeds: [1, 2]
    runs:
      - {method: dense}
      - {method: [pruned, doped_kp], factor: 5}
"""
"""A study of three methods, two seeds each."""


def data_hash(corpus: object) -> str:
    return "0" * 64


def outcome(trial: Trial, validation: float) -> Outcome:
    status = "finished" if math.isfinite(validation) else "diverged"
    sizes = {"values": 100, "bytes": 400, "multiply_adds": 100}
    dense = {f"dense_{name}": 1000 for name in sizes}
    return Outcome(status, "perplexity", validation, validation + 1, validation, TICKS, **sizes, **dense)


def instant(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    return outcome(trial, trial.seed / 7 + trial.method.factor)


def slow(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    """Ticks that are checkpointed; each one that is done is noted, and so is the end."""
    checkpoint = directory / "checkpoint.ckpt"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for tick in range(done, TICKS):
        report(Progress(tick / TICKS, tick))
        time.sleep(float(os.environ.get("FAKE_TICK_SECONDS", "0.01")))
        # As a whole, for a kill between two writes must not leave half a checkpoint.
        unfinished = directory / "checkpoint.tmp"
        unfinished.write_text(str(tick + 1))
        unfinished.replace(checkpoint)
    with (directory.parents[1] / "completed.log").open("a") as log:
        log.write(f"{trial.id}\n")
    return outcome(trial, trial.seed / 7 + trial.method.factor)


def crashes_at_seed_2(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    if trial.seed == 2:
        raise RuntimeError("out of paper")
    return instant(trial, directory, report, threads)


def crashes_once(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    if not (directory / "crashed").exists():
        (directory / "crashed").touch()
        raise RuntimeError("out of paper")
    return instant(trial, directory, report, threads)


def diverges(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    return outcome(trial, math.inf)


def fills_the_disk(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    """Writes five megabytes, then finishes."""
    (directory / "large").write_bytes(bytes(5_000_000))
    return instant(trial, directory, report, threads)


VALIDATIONS = 10


def bowl(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    """Better the nearer the learning rate is to 0.01 and the dropout to 0.3; a curve that falls to what it ends at."""
    task = trial.task
    end = 1 + abs(math.log10(task.training.learning_rate / 0.01)) + abs(task.model.dropout - 0.3) + trial.seed / 1e6
    points = [(n * task.training.epochs / VALIDATIONS, end + (VALIDATIONS - n) / 10) for n in range(1, VALIDATIONS + 1)]
    for number, (_, validation) in enumerate(points, start=1):
        lines = [f"{10 * n},{e},0,0,0,{v}" for n, (e, v) in enumerate(points[:number], start=1)]
        (directory / "curve.csv").write_text(
            "\n".join(["step,epoch,sparsity,cmr_probability,training_loss,validation", *lines, ""])
        )
        time.sleep(float(os.environ.get("FAKE_TICK_SECONDS", "0")) / 2)
        try:
            report(Progress(number / VALIDATIONS, 10 * number, validation, validation=number))
        except Hopeless:
            return dataclasses.replace(outcome(trial, validation), status="stopped", test=None, steps=10 * number)
    (directory / "model.ckpt").write_bytes(bytes(1000))
    with (directory.parents[1] / "completed.log").open("a") as log:
        log.write(f"{trial.id}\n")
    return outcome(trial, end)


def notes_its_gpu(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    """Long enough that every worker has one."""
    time.sleep(0.3)
    with (directory.parents[1] / "gpus.log").open("a") as log:
        log.write(f"{os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
    return instant(trial, directory, report, threads)


def hangs(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    """Never reports."""
    time.sleep(60)
    return outcome(trial, 1.0)


def dawdles(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    """Reports, and never comes to an end."""
    while True:
        report(Progress(0.5, 1))
        time.sleep(0.05)


def estimate(task: object, threads: int) -> SimpleNamespace:
    return SimpleNamespace(seconds=10.0, model_bytes=2_000_000, checkpoint_bytes=6_000_000)


def no_sizes(task: object, method: object) -> SimpleNamespace:
    """None is asked for, and there is nothing to be cautious of."""
    return SimpleNamespace(cautions=())


def notes_environment(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    """Notes what it finds around it, and takes long enough for others to run beside it."""
    (directory / "environment.json").write_text(json.dumps({"pid": os.getpid(), **os.environ}))
    time.sleep(0.5)
    return instant(trial, directory, report, threads)


def command() -> None:
    """The command line with fake functions: ``python -m fake_training TRAIN ARGUMENTS…``."""
    import sys

    from sweeps.commands.main import main
    from sweeps.trials.dotted_names import Functions

    fakes = {"data_hash": "data_hash", "estimate": "estimate", "train": sys.argv[1]}
    if "--dry-run" not in sys.argv:
        # Sizes need PyTorch, which takes most of the time that the command takes to start; only a dry run shows them.
        fakes["plan_sizes"] = "no_sizes"
    functions = Functions(**{part: f"fake_training:{name}" for part, name in fakes.items()})
    sys.exit(main(sys.argv[2:], functions))


if __name__ == "__main__":
    command()
