"""The folder of results is removed while its study runs."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from fake_training import STUDY
from forked.python import PYTHON

ROOT = Path(__file__).parents[3]


def test_it_is_one_line_and_a_later_run_begins_anew(tmp_path):
    (tmp_path / "tiny.yaml").write_text(STUDY)
    out = tmp_path / "out"
    command = [*PYTHON, "-m", "fake_training"]
    options = ["--study", str(tmp_path / "tiny.yaml"), "--out", str(out), "--workers", "1"]
    environment = os.environ | {
        "FAKE_TICK_SECONDS": "0.2",
        "PYTHONPATH": f"{ROOT / 'tests' / 'support'}{os.pathsep}{ROOT}",
    }
    running = subprocess.Popen(
        [*command, "slow", *options], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 100
    while not list(out.glob("trials/*/checkpoint.ckpt")) and time.monotonic() < until:
        time.sleep(0.1)
    out.rename(tmp_path / "elsewhere")
    _, said = running.communicate(timeout=100)
    assert running.returncode == 2
    assert said == f"error: {out} was removed while it was in use; the same command begins anew there\n"
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(
        [*command, "instant", *options], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    assert "6 finished" in done.stdout
