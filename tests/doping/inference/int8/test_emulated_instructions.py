"""Every instruction set computes what plain C does, bit for bit, on any processor: its instructions written out in C."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.bundle_fuzz.emulation import emulated
from doping.inference.kernels.int8.native import INSTRUCTION_SETS, INT8

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
DRIVER = Path(__file__).with_name("int8_driver.c")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("emulated")
    return emulated(INT8, made).sources[0].parent


@pytest.mark.exhaustive
def test_all_of_them_compute_the_same(folder):
    strict = ["-std=c99", "-D_POSIX_C_SOURCE=200112L", "-Wall", "-Wextra", "-Werror", "-Wno-psabi"]
    sources = [DRIVER, *sorted(folder.glob("*.c"))]
    subprocess.run(["gcc", *strict, "-O0", f"-I{folder}", *sources, "-lm", "-o", folder / "driver"], check=True)
    done = subprocess.run([folder / "driver"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == list(INSTRUCTION_SETS)


def test_only_what_binds_them_to_a_processor_is_taken_out(folder):
    for source in INT8.sources:
        before, after = source.read_text(), (folder / source.name).read_text()
        gone = [line for line in before.splitlines() if line not in after.splitlines()]
        binding = re.compile(
            r"#(if|else|endif|pragma|include <(immintrin|arm_neon)).*|const int8_instructions \*int8_choose.*"
        )
        assert all(binding.fullmatch(line) for line in gone), gone
        assert not re.search(r"#pragma (clang attribute|GCC target)|immintrin|arm_neon", after)
