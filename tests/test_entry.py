"""A command says in one line that it lacks a package: as where the environment of the README is not active."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = [
    "sweeps/run.py --list",
    "analysis/make_tables.py --results results/kp_vs_pruning-quick --out {out}",
    "-m analysis.wandb_pages --out {out}",
    "-m analysis.docs_tables",
    "-m benchmarks.inference --quick --out {out}",
    "-m sweeps.export --from {out} --out {out}.lstm",
    "-m benchmarks.bundle_fuzz --count 1",
    "-m sweeps.measure --results {out}",
    "-m doping.run {out}.lstm",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_package_is_one_line(command: str, tmp_path: Path) -> None:
    # -S: without what pip has installed.
    bare = [sys.executable, "-S", *command.format(out=tmp_path / "out").split()]
    ended = subprocess.run(bare, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: the package ")
    assert ended.stderr.count("\n") == 1
    assert sys.executable in ended.stderr
    assert "pip install -r requirements.txt" in ended.stderr


def test_a_missing_module_of_the_project_itself_is_shown_as_the_defect_that_it_is() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from doping.entry import start; start('analysis.no_such_module')"],
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
    scripts = {command.removeprefix("-m ").split()[0] for command in COMMANDS}
    starting = {
        _typed(path.relative_to(ROOT))
        for folder in ("sweeps", "analysis", "doping", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if "from doping.entry import start" in path.read_text(encoding="utf-8")
    }
    assert starting == scripts


def _typed(path: Path) -> str:
    """What one types for a script or a module."""
    if path.as_posix() in ("sweeps/run.py", "analysis/make_tables.py"):
        return path.as_posix()
    return ".".join(path.with_suffix("").parts).removesuffix(".__main__")
