"""Kronecker products in registers of 16 floats: as exact as the plain path, and chosen when the program runs.

A processor without AVX-512 runs them with its instructions written out in C.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from references.kernels import written_out

from benchmarks.bundle_fuzz.emulation import emulated
from doping.inference.families.layout import fields
from doping.inference.kernels import Kronecker, narrowed
from doping.inference.kernels.build import FLOAT32, SOURCES
from doping.inference.kernels.native import aligned, declarations

CPU = Path("/proc/cpuinfo")
HERE = CPU.exists() and "avx512f" in CPU.read_text()
pytestmark = [pytest.mark.exhaustive, pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc")]

SHAPES = [
    ((50, 26), (52, 25)),
    ((8, 8), (33, 7)),
    ((5, 3), (64, 9)),
    ((7, 40), (31, 5)),
    ((12, 6), (100, 20)),
    ((3, 2), (16, 4)),
]
"""Left and right factors: whole registers of 16 columns and rests, rows that no tile divides, and too few columns for it."""


@pytest.fixture(
    scope="module", params=[[], ["-march=native"]] if HERE else [[]], ids=["any x86", "native"] if HERE else None
)
def libraries(request, tmp_path_factory):
    """The kernels without AVX-512, and with it."""
    opened = []
    sources = SOURCES if HERE else emulated(FLOAT32, tmp_path_factory.mktemp("emulated")).sources
    for number, switch in enumerate((["-DDOPED_NO_AVX512"], [])):
        path = tmp_path_factory.mktemp("avx512") / f"{number}.so"
        flags = ["-std=c99", "-O2" if HERE else "-O1", "-ffp-contract=fast", "-fPIC", "-shared", "-Wno-psabi"]
        subprocess.run(["gcc", *flags, *request.param, *switch, *sources, "-o", path], check=True)
        opened.append(declarations().dlopen(str(path)))
    return opened


def multiplied(library, matrix, x_BN):
    ffi = declarations()
    structure, arrays = ffi.new("doped_matrix *"), []
    for name, value in fields(matrix).items():
        if isinstance(value, np.ndarray):
            arrays.append(aligned(value))
            value = ffi.cast("void *", arrays[-1].ctypes.data)
        setattr(structure, name, value)
    workspace = np.zeros(library.doped_multiply_workspace(structure), np.float32)
    y_BM = np.zeros((len(x_BN), matrix.shape[0]), np.float32)
    library.doped_multiply(structure, len(x_BN), *(ffi.from_buffer("float[]", array) for array in (x_BN, y_BM, workspace)))
    return y_BM


@pytest.mark.parametrize("values", ["float32", "int8"])
@pytest.mark.parametrize("terms", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("count", [1, 8])
def test_both_paths_are_as_exact_as_the_rounding_allows(shape, terms, values, count, libraries):
    generator = np.random.default_rng(0)
    matrix = Kronecker(*(generator.normal(size=(terms, *factor)).astype(np.float32) for factor in shape))
    matrix = narrowed(matrix) if values == "int8" else matrix
    x_BN = generator.normal(size=(count, matrix.shape[1])).astype(np.float32)
    dense = written_out(matrix)
    # A sum of n products in any order is off by at most about n units of rounding of the sum of absolute values.
    roundings = terms * (shape[0][1] + shape[1][1]) + 8
    absolute = sum(np.kron(np.abs(b), np.abs(c)) for b, c in zip(*unscaled(matrix), strict=True))
    bound_BM = roundings * 2.0**-24 * (np.abs(x_BN.astype(np.float64)) @ absolute.T)
    for library in libraries:
        assert (np.abs(multiplied(library, matrix, x_BN) - x_BN.astype(np.float64) @ dense.T) <= bound_BM).all()


def unscaled(matrix):
    """The factors in float64 with their scales."""
    b, c = matrix.b.astype(np.float64), matrix.c.astype(np.float64)
    if matrix.b_scale is not None:
        b, c = b * matrix.b_scale[:, None], c * matrix.c_scale[:, None]
    return b, c


@pytest.mark.parametrize("libraries", [[]], ids=["any x86"], indirect=True)
@pytest.mark.parametrize(("shape", "taken"), [(SHAPES[0], True), (SHAPES[-1], False)], ids=str)
def test_a_library_for_any_x86_takes_it_when_it_runs_and_where_it_pays(shape, taken, libraries):
    # Compiled for any x86, only AVX-512 has fused multiply-adds, which round differently.
    generator = np.random.default_rng(1)
    matrix = Kronecker(*(generator.normal(size=(1, *factor)).astype(np.float32) for factor in shape))
    x_BN = generator.normal(size=(1, matrix.shape[1])).astype(np.float32)
    without, with_it = (multiplied(library, matrix, x_BN) for library in libraries)
    assert bool((without != with_it).any()) == taken
