"""A command whose reader has left, as `| head` does, ends without a complaint."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from forked.python import PYTHON

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.exhaustive(keep=["sweeps/run.py --list"])
@pytest.mark.parametrize(
    "command",
    [
        "sweeps/run.py --list",
        "sweeps/run.py --study kp_vs_pruning --preset smoke --out {out}",
        "analysis/make_tables.py --help",
        "-m analysis.wandb_pages --out {out}",
        "-m sweeps.export --help",
        "-m doping.run --help",
        "-m sweeps.measure --help",
    ],
)
def test_a_command_whose_reader_has_left_ends_quietly(command: str, tmp_path: Path) -> None:
    arguments = command.format(out=tmp_path / "out").split()
    python = PYTHON if "--study" in arguments else [sys.executable]  # the one that needs PyTorch
    process = subprocess.Popen([*python, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    # As a shell tells of a command that this signal ended; or ended by the signal itself.
    assert process.wait(timeout=60) in (128 + signal.SIGPIPE, -signal.SIGPIPE)
