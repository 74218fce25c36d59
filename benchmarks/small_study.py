"""A study of a few trials that train nothing (``tests/support/fake_training.py``), for what kills it and cuts its power."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

from doping.machine import ROOT

_STUDY = """\
description: small
presets:
  quick:
    task: {{model: {{hidden: 20}}}}
    seeds: {seeds}
    runs: [{{method: [pruned, kp], factor: 5}}]
"""
QUALITY = ("validation", "test", "method", "seed", "status")
"""What two runs of a study must agree in, to the last digit."""


def write_study(path: Path, seeds: int) -> Path:
    """Write a study of two trials a seed; returns its path."""
    path.write_text(_STUDY.format(seeds=list(range(1, seeds + 1))), encoding="utf-8")
    return path


def command(study: Path, out: Path, *flags: str, train: str = "slow") -> list[str]:
    """The command line of ``sweeps/run.py`` with trainings that only wait, or with ``instant`` ones."""
    fixed = ["--wandb", "off", "--retries", "100"]
    return [sys.executable, "-m", "fake_training", train, "--study", str(study), "--out", str(out), *fixed, *flags]


def environment(tick_seconds: float) -> dict[str, str]:
    """Environment of that command; a trial is twenty ticks of so many seconds."""
    path = os.pathsep.join((str(ROOT / "tests" / "support"), str(ROOT)))
    return os.environ | {"PYTHONPATH": path, "FAKE_TICK_SECONDS": str(tick_seconds), "OMP_NUM_THREADS": "1"}


def start(study: Path, out: Path, tick_seconds: float, *flags: str) -> subprocess.Popen[str]:
    """Start the command."""
    return subprocess.Popen(
        command(study, out, *flags),
        cwd=ROOT,
        env=environment(tick_seconds),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def rows_on_disk(out: Path) -> dict[str, bytes]:
    """The row files of a folder of results, by trial."""
    return {path.parent.name: path.read_bytes() for path in out.glob("trials/*/row.json")}


def table(out: Path) -> list[dict[str, str]]:
    """Its table of results."""
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def quality(out: Path) -> dict[str, tuple[str, ...]]:
    """What each trial came to."""
    return {row["trial_id"]: tuple(row[name] for name in QUALITY) for row in table(out)}
