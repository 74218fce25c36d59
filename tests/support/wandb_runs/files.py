"""What W&B's own reader finds in the offline file of a run."""

import json
import subprocess
import time

from forked.python import PYTHON


def inspect(folder, *flags):
    """What `wandb leet inspect` prints of the only run in a folder."""
    (log,) = folder.glob("wandb/*run-*/*.wandb")
    command = [*PYTHON, "-m", "wandb", "leet", "inspect", "--json", *flags, str(log)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def until_whole(folder):
    """W&B's own process writes the last records a moment after a run has ended."""
    deadline = time.monotonic() + 60
    while json.loads(inspect(folder, "--summary"))["state"] != "finished":
        assert time.monotonic() < deadline


def history(folder):
    records = map(json.loads, inspect(folder).splitlines())
    return [record["history"]["item"] for record in records if record["type"] == "history"]
