"""A command says in one line that it lacks a package: as where the environment of the README is not active."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = [
    "sweeps/run.py --list",
    "analysis/make_tables.py --results results/kp_vs_pruning-quick --out {out}",
    "analysis/wandb_workspace.py --out {out}",
    "inference/benchmark.py --quick --out {out}",
    "inference/export.py --from {out} --out {out}.lstm",
    "inference/fuzz.py --count 1",
    "inference/measure.py --results {out}",
    "inference/run.py {out}.lstm",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_package_is_one_line(command: str, tmp_path: Path) -> None:
    script, *arguments = command.format(out=tmp_path / "out").split()
    # -S: without what pip has installed.
    bare = [sys.executable, "-S", script, *arguments]
    ended = subprocess.run(bare, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: the package ")
    assert ended.stderr.count("\n") == 1
    assert sys.executable in ended.stderr
    assert "pip install -r requirements.txt" in ended.stderr


def test_a_missing_module_of_the_project_itself_is_shown_as_the_defect_that_it_is() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from entry import start; start('analysis.no_such_module')"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "No module named 'analysis.no_such_module'" in ended.stderr
    assert "Traceback" in ended.stderr


def test_every_command_starts_like_this() -> None:
    scripts = {command.split()[0] for command in COMMANDS}
    starting = {
        path.relative_to(ROOT).as_posix()
        for folder in ("sweeps", "analysis", "inference")
        for path in (ROOT / folder).glob("*.py")
        if "__main__" in path.read_text(encoding="utf-8")
    }
    # Workers are started by a run, which has all it needs.
    assert starting - scripts == {"sweeps/worker.py"}
