"""What ``pip install`` brings: the library, whole, and nothing of the rest of the repository."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from models import language_model

from doping.inference.bundle.file import write
from doping.inference.runtime import load
from tasks.bundles import to_bundle

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the wheel unpacked, as ``pip install`` leaves it; made without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def python(installed, code, *arguments, cwd):
    """Run code with the installed library, from another folder, where none of the repository's packages can be found."""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True, text=True).stdout


def test_only_the_library_is_installed(installed):
    metadata = f"lstm_doping-{PROJECT['version']}.dist-info"
    assert {path.name for path in installed.iterdir()} == {"doping", metadata}
    assert (installed / metadata / "licenses" / "LICENSE").is_file()


def test_it_is_whole(installed):
    """Every tracked file is there: the C sources, the template of C exports, the mark of type hints."""
    tracked = subprocess.run(["git", "ls-files", "doping"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    missing = {name for name in tracked.splitlines() if (ROOT / name).exists() and not (installed / name).is_file()}
    assert missing == set()
    assert (installed / "doping" / "py.typed").is_file()
    assert any((installed / "doping" / "inference" / "kernels").rglob("*.c"))


def test_a_bundle_runs_from_another_folder_without_pytorch(installed, tmp_path):
    """The same scores as in the repository; and names like ``data`` stay free for the user."""
    text = "the cat sat on the mat\n"
    path = tmp_path / "model.lstm"
    write(to_bundle(*language_model("kp")), path)
    (tmp_path / "data.py").write_text("mine = True")
    code = """
import sys
import data
from doping.inference.bundle.file import write
from doping.inference.runtime import load
assert data.mine
assert "torch" not in sys.modules and "pytorch_lightning" not in sys.modules
print(repr(load(sys.argv[1]).score(sys.argv[2]).bits))
assert "torch" not in sys.modules
"""
    assert float(python(installed, code, path, text, cwd=tmp_path)) == load(path).score(text).bits


def test_a_model_is_compressed_in_a_folder_with_packages_that_have_the_names_of_ours(installed, tmp_path):
    """The user's own ``data``, ``tasks`` and others are not imported."""
    for name in ("data", "tasks", "sweeps", "analysis", "lightning_modules"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise SystemExit('{name} of the user was imported')")
    code = """
import torch
import doping
model = doping.compress_(torch.nn.Sequential(torch.nn.Linear(64, 64)), {"*": doping.Method(name="doped_kp", factor=4)})
annealer, optimizer = doping.Annealer(model, total_steps=2), torch.optim.Adam(model.parameters())
for _ in range(2):
    model(torch.ones(1, 64)).sum().backward()
    optimizer.step(), annealer.step()
annealer.finish_()
values = doping.report(model).rows[0].size.values
y = model.eval()(torch.ones(1, 64))
doping.to_c(model, "c")
assert (doping.deploy_(model)(torch.ones(1, 64)) - y).abs().max() < 1e-4
print(values)
"""
    assert int(python(installed, code, cwd=tmp_path)) == 64 * 64 // 4
    assert (tmp_path / "c" / "Makefile").is_file()


def test_the_commands_of_deployment_are_console_scripts(installed, tmp_path):
    assert "doping-run" in PROJECT["scripts"]
    for name, target in PROJECT["scripts"].items():
        module, _, function = target.partition(":")
        code = f"import sys; sys.argv[1:] = ['--help']; from {module} import {function}; {function}()"
        assert python(installed, code, cwd=tmp_path).startswith("usage: "), name
