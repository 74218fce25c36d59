"""Runs of a study in processes of their own, with the trainings of ``fake_training``, and what they leave in a folder."""

import csv
import json
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

from forked.python import PYTHON

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{SUPPORT}{os.pathsep}{ROOT}", "FAKE_TICK_SECONDS": "0.02"}

STUDY = """\
description: tiny
presets:
  quick:
    task: {model: {hidden: 20}}
    seeds: [%s]
    runs:
      - {method: dense}
      - {method: [pruned, doped_kp], factor: 5}
"""
"""Three trials a seed; ``%`` puts the seeds in."""

TUNED = """\
description: tiny
presets:
  quick:
    task: {model: {hidden: 20, dropout: 0.1}, training: {learning_rate: 0.002}}
    seeds: [1, 2]
    tuning:
      trials: 8
      search:
        task.training.learning_rate: {low: 0.001, high: 0.1, log: true}
        task.model.dropout: {low: 0.0, high: 0.6}
        cmr.probability: {low: 0.1, high: 0.7}
    runs:
      - {method: dense}
      - {method: [pruned, doped_kp], factor: 5}
      - {method: doped_kp, factor: 5, cmr: {probability: 0.3}}
"""
"""A tuned study of four cells."""


def start(train, study, out, *flags, python=PYTHON, **environment):
    command = [*python, "-m", "fake_training", train, "--study", study, "--out", out, "--wandb", "off", *flags]
    return subprocess.Popen(
        [str(part) for part in command],
        env=ENVIRONMENT | environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments, **environment):
    process = start(*arguments, **environment)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def rows(out):
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def planned(out):
    (plan,) = (out / "studies").glob("*.json")
    return json.loads(plan.read_text())["trials"]


def workers_of(pid):
    """Process ids of the workers of a run."""
    found = subprocess.run(["pgrep", "-P", str(pid), "-f", "sweeps.worker"], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def assert_complete(out, trials, kills=0):
    """Each planned trial has one whole row, and was completed once; again only where a kill came before its row."""
    ids = [row["trial_id"] for row in rows(out)]
    assert len(ids) == trials
    assert len(set(ids)) == trials
    assert all(row["status"] == "finished" and row["validation"] and row["values"] for row in rows(out))
    assert set(ids) == set(_ids(planned(out)))
    if (out / "completed.log").exists():
        completed = Counter((out / "completed.log").read_text().split())
        assert set(completed) == set(ids)
        assert completed.total() - len(ids) <= kills


def _ids(trials):
    return [trial if isinstance(trial, str) else trial["id"] for trial in trials]


def quality(out):
    return {row["trial_id"]: (row["validation"], row["test"], row["method"], row["seed"]) for row in rows(out)}


def until(condition, what, seconds=60):
    """Wait for a condition, and return what it gives once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"did not come about: {what}")


def alive(pid):
    """Whether a process runs; one that has ended and was not waited for does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
