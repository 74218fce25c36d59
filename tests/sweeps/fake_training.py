"""Trainings that cost nothing, for tests of what runs around them; workers import them by name."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

from sweeps.outcome import Outcome, Progress, Report
from sweeps.trial import Trial

TICKS = 20


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
        checkpoint.write_text(str(tick + 1))
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


def command() -> None:
    """The command line with fake parts: ``python -m fake_training TRAIN ARGUMENTS…``."""
    import sys

    from sweeps.main import main
    from sweeps.parts import Parts

    parts = Parts(train=f"fake_training:{sys.argv[1]}", data_hash="fake_training:data_hash")
    sys.exit(main(sys.argv[2:], parts))


if __name__ == "__main__":
    command()
