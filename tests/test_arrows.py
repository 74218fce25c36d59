"""The architecture: which package may import which, and how much lies in a folder. See docs/architecture.md."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW = {
    "doping": set(),
    "lightning_modules": {"doping"},
    "data": {"doping", "lightning_modules.settings"},
    "tasks": {"doping", "lightning_modules", "data"},
    "sweeps": {"doping", "lightning_modules", "data", "tasks"},
    "analysis": {
        "doping.command_line",
        "doping.entry",
        "doping.errors",
        "doping.families",
        "doping.method",
        "doping.patterns",
        "doping.settings",
    },
}
"""What each package may import of the others; ``benchmarks``, ``examples`` and ``tests`` may import all."""


def imported(path):
    """Full names of all modules that a file imports, at its top or later."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", BELOW)
def test_a_package_imports_only_what_lies_below_it(package):
    others = (BELOW.keys() | {"benchmarks", "examples", "tests"}) - {package}
    for path in (ROOT / package).rglob("*.py"):
        for name in imported(path):
            allowed = any(f"{name}.".startswith(f"{below}.") for below in BELOW[package])
            assert name.partition(".")[0] not in others or allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_the_library_knows_no_lightning():
    names = {name.partition(".")[0] for path in (ROOT / "doping").rglob("*.py") for name in imported(path)}
    assert names.isdisjoint({"pytorch_lightning", "lightning"})


KNOWING_PYTORCH = {
    "doping.inference.from_torch",
    "doping.inference.kernels.pytorch",
    "doping.inference.kernels.pytorch_recurrent",
}
"""The modules of ``doping.inference`` that need PyTorch as soon as they are imported."""


def test_inference_needs_no_pytorch():
    files = [path for path in (ROOT / "doping" / "inference").rglob("*.py") if path.name != "__main__.py"]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files}
    assert modules >= KNOWING_PYTORCH
    script = "import sys\nsys.modules['torch'] = None  # so that its import fails\n"
    script += "\n".join(f"import {name}" for name in sorted(modules - KNOWING_PYTORCH))
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_folders_are_small():
    """At most about a dozen modules each, so that the names in a folder are its table of contents."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    counts = Counter(str(Path(name).parent) for name in listed.splitlines())
    assert {folder: count for folder, count in counts.items() if count > 14} == {}


def test_no_test_imports_another():
    """What several share is in ``tests/support``."""
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (ROOT / "tests").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*(from|import) test_\w+", line)
    ]
    assert found == []
