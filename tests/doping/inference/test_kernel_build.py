"""The kernels as C: warnings, sanitizers, another processor; and how Python compiles and keeps them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from doping.inference.kernels.build import CHOICES, COMMON_FLAGS, FOLDER, HEADER, SOURCES

ROOT = Path(__file__).parents[3]
DRIVER = Path(__file__).with_name("kernels_driver.c")
STRICT = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
STRICT_COMPILER = " ".join(["cc", *STRICT])
OWN = [flag for flag in (*COMMON_FLAGS, *CHOICES[0]) if flag != "-shared"]
"""With which the library compiles them first."""

needs_clang = pytest.mark.skipif(shutil.which("clang") is None, reason="there is no clang")
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")


@pytest.mark.exhaustive
@needs_gcc
@pytest.mark.parametrize("flags", [["-O0"], ["-O3"], OWN, ["-O2", "-DDOPED_SMALL"]], ids=" ".join)
def test_the_source_compiles_without_a_warning(flags, tmp_path):
    subprocess.run(["gcc", *STRICT, *flags, "-c", *SOURCES], cwd=tmp_path, check=True)
    subprocess.run(["gcc", *STRICT, "-fsyntax-only", "-x", "c", HEADER], check=True)


@pytest.mark.exhaustive
@needs_clang
def test_clang_compiles_it_without_a_warning_and_it_computes_the_same(tmp_path):
    subprocess.run(["clang", *STRICT, "-O2", "-c", *SOURCES], cwd=tmp_path, check=True)
    _run(_driver("clang", ["-O2"], tmp_path))


@pytest.mark.exhaustive
@needs_gcc
@pytest.mark.parametrize("flags", [["-O0"], ["-O0", "-DDOPED_SMALL"]], ids=" ".join)
def test_no_access_out_of_bounds_and_no_undefined_behaviour(flags, tmp_path):
    # Without optimization, every access of the source is there to be watched.
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-fopenmp"]
    _run(_driver("gcc", [*sanitizers, *flags], tmp_path))


@pytest.mark.exhaustive
@pytest.mark.skipif(
    shutil.which("aarch64-linux-gnu-gcc") is None or shutil.which("qemu-aarch64") is None,
    reason="there is no compiler for AArch64, or no qemu to run it",
)
def test_the_same_source_on_aarch64(tmp_path):
    _run("qemu-aarch64", _driver("aarch64-linux-gnu-gcc", ["-O3", "-static"], tmp_path))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_part_is_short_enough_to_read(source):
    assert len(source.read_text().splitlines()) < 300


def _driver(compiler, flags, folder):
    driver = folder / "driver"
    subprocess.run([compiler, *STRICT, *flags, f"-I{FOLDER}", DRIVER, *SOURCES, "-lm", "-o", driver], check=True)
    return driver


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


LAYER = """
import sys, numpy as np
from doping.inference.kernels import Dense, Layer
y, h, c = Layer(Dense(np.ones((8, 3), np.float32)), Dense(np.ones((8, 2), np.float32))).forward(np.ones((4, 1, 3)))
print(float(y.sum()), "torch" in sys.modules)
"""


def _start(cache, compiler=STRICT_COMPILER):
    return subprocess.Popen(
        [sys.executable, "-c", LAYER], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"XDG_CACHE_HOME": str(cache), "CC": compiler},
    )  # fmt: skip


@pytest.mark.exhaustive
@needs_gcc
def test_compiled_once_with_one_line_said_and_kept(tmp_path):
    output, said = _start(tmp_path).communicate()
    assert output.split()[1] == "False"  # PyTorch is not needed
    assert said.count("\n") == 1
    assert said.startswith("compiling the kernels once with ")
    again = _start(tmp_path).communicate()
    assert again == (output, "")


@pytest.mark.exhaustive
@needs_gcc
def test_two_processes_may_compile_at_once(tmp_path):
    outputs = [process.communicate()[0] for process in [_start(tmp_path), _start(tmp_path)]]
    assert outputs[0] == outputs[1] != ""
    assert len(list(tmp_path.rglob("*"))) == 3  # two folders and one library: no draft is left


@pytest.mark.exhaustive
def test_without_a_compiler_pytorch_computes_the_same_and_says_that_it_is_slower(tmp_path):
    output, said = _start(tmp_path, "no-such-compiler").communicate()
    compiled, _ = _start(tmp_path).communicate()
    assert output.split()[1] == "True"
    assert float(output.split()[0]) == pytest.approx(float(compiled.split()[0]), abs=1e-5)
    assert said.strip() == (
        "no C compiler: CC names 'no-such-compiler', which is not there; install GCC or Clang. "
        "Running on PyTorch instead, several times slower."
    )


@pytest.mark.exhaustive
@needs_gcc
def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    output, said = _start(blocked).communicate()
    assert output.split()[1] == "True"
    assert "cannot write the compiled kernels" in said
