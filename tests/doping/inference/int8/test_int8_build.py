"""The int8 kernels as C: warnings, sanitizers, Clang, and another processor, each instruction set bit for bit as plain C."""

import shutil
import subprocess
from pathlib import Path

import pytest

from doping.inference.kernels.int8.native import HEADER, INT8

DRIVER = Path(__file__).with_name("int8_driver.c")
STRICT = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-ffp-contract=off"]
ARM = ("aarch64-linux-gnu-gcc", "qemu-aarch64")

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
needs_clang = pytest.mark.skipif(shutil.which("clang") is None, reason="there is no clang")
needs_arm = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ARM), reason="there is no compiler for AArch64, or no qemu to run it"
)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        pytest.param("gcc", "-O0", marks=needs_gcc),
        pytest.param("gcc", "-O3", marks=needs_gcc),
        pytest.param("clang", "-O2", marks=needs_clang),
        pytest.param(ARM[0], "-O3", marks=needs_arm),
    ],
)
def test_the_sources_compile_without_a_warning(compiler, flags, tmp_path):
    subprocess.run([compiler, *STRICT, flags, "-c", *INT8.sources], cwd=tmp_path, check=True)
    subprocess.run([compiler, *STRICT, "-fsyntax-only", "-x", "c", HEADER], check=True)


@pytest.mark.exhaustive
@needs_gcc
def test_no_access_out_of_bounds_and_no_undefined_behaviour_with_any_instruction_set(tmp_path):
    # Without optimization, every access of the source is there to be watched.
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O0"]
    said = _run([_driver("gcc", sanitizers, tmp_path)], {"ASAN_OPTIONS": "detect_leaks=0"})
    assert "plain" in said


@pytest.mark.exhaustive
@needs_clang
def test_clang_computes_the_same_with_every_instruction_set(tmp_path):
    assert "plain" in _run([_driver("clang", ["-O2"], tmp_path)])


@pytest.mark.exhaustive
@needs_arm
def test_neon_with_and_without_dot_products_computes_the_same_as_plain_c(tmp_path):
    said = _run([ARM[1], "-cpu", "max", _driver(ARM[0], ["-O3", "-static"], tmp_path)])
    assert said.split() == ["neon_dot", "neon", "plain"]
    older = _run([ARM[1], "-cpu", "cortex-a53", tmp_path / "driver"])
    assert older.split() == ["neon", "plain"]


def _driver(compiler, flags, folder):
    driver = folder / "driver"
    command = [compiler, *STRICT, *flags, f"-I{HEADER.parent}", DRIVER, *INT8.sources, "-lm", "-o", driver]
    subprocess.run(command, check=True)
    return driver


def _run(command, environment=None):
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
