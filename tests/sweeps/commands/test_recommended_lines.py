"""Every line that a command recommends runs: from a study without a dense trial to its report, and to an exported model."""

import html
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import small_text
from forked.python import PYTHON

ROOT = Path(__file__).resolve().parents[3]
SMOKE = "python sweeps/run.py --study cmr_probability --preset smoke --wandb off --quiet --set task.data.corpus=text"


def ran(line: str, python: Iterable[str] = PYTHON) -> str:
    """Output of a command line, which has to succeed."""
    first, *rest = shlex.split(line)
    assert first == "python"
    ended = subprocess.run([*python, *rest], capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.exhaustive
def test_the_next_line_of_a_study_without_dense_and_the_commands_of_its_report(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    # The one training in these tests whose command and worker import everything themselves.
    last = ran(f"{SMOKE} --set task.data.path={small_text.PATH} --out {out}", python=[sys.executable]).splitlines()[-1]
    assert last.startswith("next: python analysis/make_tables.py --results ")
    ran(last.removeprefix("next: "))
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "No dense trial of this task has finished" in page
    recommended = re.findall(r"<dd>([^<]*)<pre tabindex=\"0\">(python[^<]*)</pre>", page)
    assert recommended
    for _, line in recommended:
        command = html.unescape(line).replace("--out model.lstm", f"--out {tmp_path / 'model.lstm'}")
        assert "wrote" in ran(command)
