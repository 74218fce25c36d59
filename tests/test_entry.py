"""A command says in one line that it lacks a package: as where the environment of the README is not active."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from doping.command_line import answer
from doping.errors import DataError, InferenceError, UserError, one_line

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = [
    "sweeps/run.py --list",
    "analysis/make_tables.py --results results/kp_vs_pruning-quick --out {out}",
    "-m analysis.wandb_pages --out {out}",
    "-m analysis.docs_tables",
    "-m benchmarks.inference --quick --out {out}",
    "-m sweeps.export --from {out} --out {out}.lstm",
    "-m benchmarks.bundle_fuzz --count 1",
    "-m benchmarks.command_fuzz --studies 0 --files 0",
    "-m benchmarks.firmware --units 100 --out {out}",
    "-m benchmarks.power_cuts --every 1000 --out {out}",
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
        [sys.executable, "-c", "from doping.entry import run_command; run_command('analysis.no_such_module')"],
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
        if "from doping.entry import run_command" in path.read_text(encoding="utf-8")
    }
    assert starting == scripts


@pytest.mark.parametrize("kind", [UserError, DataError, InferenceError])
def test_a_mistake_is_one_line_and_exit_code_2(kind: type[UserError], capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise kind("what was given\n  and what\twas expected, at postgresql://me:secret@host/db")

    assert answer(command) == 2
    assert capsys.readouterr().err == "error: what was given and what was expected, at postgresql://me:***@host/db\n"


def test_every_error_that_users_see_is_of_one_family() -> None:
    from analysis.results import AnalysisError
    from data.sources.hub import HubError
    from doping.inference.kernels.build import KernelError
    from doping.matrices.budget import BudgetError
    from sweeps.engines.base import EngineError
    from sweeps.results.files import FolderError
    from sweeps.results.rows import TornRow
    from sweeps.results.trained_models import NoModel
    from sweeps.study.search_space import SpaceError
    from sweeps.study.study_file import KeyMistake

    family = (AnalysisError, HubError, KernelError, BudgetError, EngineError, FolderError, TornRow, NoModel, SpaceError)
    assert all(issubclass(kind, UserError) for kind in (*family, KeyMistake, DataError, InferenceError))


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), ImportError("numpy is broken"), UserError("a mistake that is none")],
    ids=["as it is", "as an error that a library made of it", "as a mistake"],
)
def test_a_stop_is_130_whatever_a_library_makes_of_it(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            raise error from None
        return 0

    kept = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        assert answer(command, interrupted=lambda: "interrupted") == 130
        assert capsys.readouterr().err == "interrupted\n"
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), kept, strict=True):
            signal.signal(number, handler)


@pytest.mark.exhaustive(keep=["sweeps/run.py --study kp_vs_pruning --preset smoke --dry-run"])
@pytest.mark.parametrize(
    "command", ["sweeps/run.py --study kp_vs_pruning --preset smoke --dry-run", *COMMANDS[1:3], *COMMANDS[4:]]
)
def test_a_stop_while_a_command_imports_is_130_without_a_traceback(command: str, tmp_path: Path) -> None:
    random.seed(command)
    for _ in range(3):
        # -v tells of every import: the stop comes at a random one of the first thousand, after Python itself.
        process = subprocess.Popen(
            [sys.executable, "-v", *command.format(out=tmp_path / "out").split()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=ROOT,
        )
        assert process.stderr
        imports = random.randint(0, 1000)
        # A command with fewer imports than that is at work by now, and would be for minutes.
        at_the_latest = threading.Timer(5, process.send_signal, [signal.SIGINT])
        for line in process.stderr:
            if "import 'doping.entry'" in line:
                break
        at_the_latest.start()
        for _, line in zip(range(imports), process.stderr, strict=False):
            assert "Traceback" not in line
        at_the_latest.cancel()
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
        assert "Traceback" not in rest
        # By the signal itself where it comes when all is done; a shell shows 130 for that, too.
        assert process.returncode in (130, -signal.SIGINT, 2, 0)


def test_a_terminal_that_knows_ascii_only_is_no_reason_to_fail() -> None:
    plain = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    for script in ("sweeps/run.py", "analysis/make_tables.py", "doping/run.py"):
        command = [sys.executable, "-m", script.removesuffix(".py").replace("/", "."), "--help"]
        ended = subprocess.run(command, env=plain, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")


# What %run does in a notebook, and an output that is none of Python's own.
NOTEBOOK = """
import io, runpy, signal, sys, types
sys.modules["IPython"] = types.ModuleType("IPython")
shown, sys.stdout = sys.stdout, io.StringIO()
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)]
sys.argv = ["sweeps/run.py", "--list"]
try:
    runpy.run_path("sweeps/run.py", run_name="__main__")
except SystemExit as end:
    code = end.code
after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)]
print(code, after == before, "kp_vs_pruning" in sys.stdout.getvalue(), file=shown)
"""


@pytest.mark.exhaustive
def test_in_a_notebook_it_runs_and_leaves_the_process_as_it_was() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert (ended.stdout, ended.stderr) == ("0 True True\n", "")


@pytest.mark.exhaustive(keep=["sweeps/run.py --study kp_vs_pruning --out", "analysis/make_tables.py --out"])
@pytest.mark.parametrize(
    "command",
    [
        "sweeps/run.py --study kp_vs_pruning --out",
        "sweeps/run.py --study kp_vs_pruning --export",
        "-m sweeps.export --from x --out",
        "-m sweeps.measure --results",
        "analysis/make_tables.py --out",
        "-m analysis.wandb_pages --out",
        "-m benchmarks.inference --out",
    ],
)
def test_an_empty_path_is_a_mistake(command: str) -> None:
    ended = subprocess.run(
        [sys.executable, *command.split(), ""], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "expected a path" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("a plain  error\nof two lines", "ValueError: a plain error of two lines"),
        ("No luck. Re-run with weights_only=False to load it. Then it works.", "ValueError: No luck."),
        ("Set `weights_only` to `False`", "ValueError"),
        ("Object arrays cannot be loaded when allow_pickle=False", "ValueError"),
        ("x" * 1000, f"ValueError: {'x' * 1000}"[:300]),
    ],
)
def test_no_dangerous_advice_of_a_library_reaches_the_user(said: str, line: str) -> None:
    assert one_line(ValueError(said)) == line


def _typed(path: Path) -> str:
    """What one types for a script or a module."""
    if path.as_posix() in ("sweeps/run.py", "analysis/make_tables.py"):
        return path.as_posix()
    return ".".join(path.with_suffix("").parts).removesuffix(".__main__")
