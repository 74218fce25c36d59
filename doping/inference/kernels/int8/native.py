"""The int8 kernels, called from Python with NumPy arrays.

Legend: T steps, B batch, I inputs, H hidden units, M rows, N columns.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Any

import cffi
import numpy as np
import numpy.typing as npt

from doping.inference.families.int8_layout import Fields, fields, fitting_bits, in_gate_order
from doping.inference.families.matrix import Matrix, Sum, narrowed
from doping.inference.families.narrow import Bits
from doping.inference.families.sparse import Array
from doping.inference.kernels.build import NAMES, KernelError, Library, library
from doping.inference.kernels.native import aligned

FOLDER = Path(__file__).parent
HEADER = FOLDER / "int8.h"
INT8 = Library(
    "int8",
    tuple(sorted(FOLDER.glob("*.c"))),
    (NAMES, *sorted(FOLDER.glob("*.h"))),
    ("-std=c99", "-O3", "-ffp-contract=off", "-fPIC", "-shared"),
    ((),),
)
"""Without flags for this processor: the files name their instructions themselves."""

INSTRUCTION_SETS = ("avx512_vnni", "avx_vnni", "avx2", "neon_dot", "neon", "plain")
"""The fastest first; a processor has some of them."""
CHOICE = "LSTM_DOPING_INSTRUCTIONS"
"""Environment variable that names the instruction set to take instead of the fastest."""


@functools.cache
def kernels() -> tuple[cffi.FFI, Any]:
    """The interface to C, declared by the header itself, and the library.

    Raises:
        KernelError: if the library cannot be compiled.

    """
    ffi = declarations()
    return ffi, ffi.dlopen(str(library(INT8)))


@functools.cache
def declarations() -> cffi.FFI:
    """What the header declares, without the library."""
    ffi = cffi.FFI()
    ffi.cdef("".join(line for line in HEADER.read_text().splitlines(keepends=True) if not line.startswith("#")))
    return ffi


def available() -> list[str]:
    """The instruction sets of this processor, the fastest first."""
    ffi, library = kernels()
    return [name for name in INSTRUCTION_SETS if library.int8_choose(name.encode()) != ffi.NULL]


def instructions(name: str | None = None) -> Any:
    """The functions of an instruction set: the one named, else what ``LSTM_DOPING_INSTRUCTIONS`` names, else the fastest.

    Raises:
        KernelError: if there is none of this name, or this processor does not have it.

    """
    return _instructions(name or os.environ.get(CHOICE) or None)


@functools.cache
def _instructions(name: str | None) -> Any:
    ffi, library = kernels()
    found = library.int8_choose(ffi.NULL if name is None else name.encode())
    if found == ffi.NULL:
        here = ", ".join(available())
        problem = "this processor does not have it" if name in INSTRUCTION_SETS else "there is none of that name"
        raise KernelError(f"instruction set {name!r}: {problem}; expected one of {here}")
    if name is None and ffi.string(found.name) == b"plain":
        print(
            "this processor has none of the instruction sets for int8 products; computing in plain C, slower",
            file=sys.stderr,
        )
    return found


def narrow(matrix: Matrix) -> Matrix:
    """The matrix as it is if its values are narrow; else rounded to 8 bits, with scales of 16."""
    parts = (matrix.structured, matrix.sparse) if isinstance(matrix, Sum) else (matrix,)
    known = all(any(name.endswith("_scale") and value is not None for name, value in vars(part).items()) for part in parts)
    return matrix if known else narrowed(matrix, short_scales=True)


class Int8Matrix:
    """A narrow matrix as a C structure, with the arrays it points to; ``bits`` are by default the fewest that fit."""

    def __init__(self, matrix: Matrix, bits: Bits | None = None, instruction_set: str | None = None, *, gates: bool = False):
        self.shape = matrix.shape
        ffi, library = kernels()
        self._instructions = instructions(instruction_set)
        self._arrays: list[npt.NDArray[Any]] = []
        self.structure = ffi.new("int8_matrix *", self._pointers(fields(matrix, bits or fitting_bits(matrix), gates=gates)))
        self._size = library.int8_multiply_workspace(self.structure)
        self._spare: list[Any] = []

    def _pointers(self, found: Fields) -> dict[str, Any]:
        """Fields with pointers to aligned copies in place of arrays."""
        return {name: self._pointer(name, value) for name, value in found.items()}

    def _pointer(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return self._pointers(value)
        if not isinstance(value, np.ndarray):
            return value
        array = aligned(value)
        self._arrays.append(array)
        types = {"f": "float *", "u": "uint16_t *", "i": "int32_t *"}
        kind = "void *" if name == "values" else "int8_t *" if array.dtype == np.int8 else types[array.dtype.kind]
        return kernels()[0].cast(kind, array.ctypes.data)

    def multiply(self, x_BN: Array) -> Array:
        """Product with each row of ``x``, (batch, n) → (batch, m). Several threads may call it at once."""
        floats = functools.partial(kernels()[0].from_buffer, "float[]")
        y_BM = np.empty((len(x_BN), self.shape[0]), np.float32)
        try:
            room = self._spare.pop()
        except IndexError:
            room = workspace(self._size)
        self._instructions.multiply(self.structure, len(x_BN), floats(x_BN), floats(y_BM), room)
        self._spare.append(room)
        return y_BM


class Int8Layer:
    """A layer as a C structure; ``run`` is as that of ``NativeLayer``."""

    def __init__(
        self,
        input: Matrix,
        recurrent: Matrix,
        bias: Array | None = None,
        reverse: bool = False,
        bits: Bits | None = None,
        instruction_set: str | None = None,
    ):
        ffi, library = kernels()
        self.input_size, self.hidden_size = input.shape[1], recurrent.shape[1]
        self._matrices = [Int8Matrix(matrix, bits, instruction_set, gates=True) for matrix in (input, recurrent)]
        no_bias = np.zeros(4 * recurrent.shape[1], np.float32)
        self._bias = aligned(in_gate_order(no_bias if bias is None else np.asarray(bias, np.float32)))
        self.structure = ffi.new("int8_layer *")
        self.structure.input, self.structure.recurrent = (matrix.structure[0] for matrix in self._matrices)
        self.structure.bias = ffi.cast("float *", self._bias.ctypes.data)
        self.structure.reverse = reverse
        self._call = instructions(instruction_set).run
        self._size = library.int8_workspace(self.structure)
        self._floats = ffi.typeof("float[]")  # looked up once: a call takes microseconds in all
        self._from_buffer = ffi.from_buffer
        self._spare: list[Any] = []

    def run(self, x_TBI: Array, h_BH: Array, c_BH: Array) -> Array:
        """Outputs (T, B, H); the state is replaced by the last one, in place. Several threads may call it at once."""
        steps, batch, _ = x_TBI.shape
        y_TBH = np.empty((steps, batch, self.hidden_size), np.float32)
        try:
            room = self._spare.pop()
        except IndexError:
            room = workspace(self._size)
        x, h, c, y = (self._from_buffer(self._floats, array) for array in (x_TBI, h_BH, c_BH, y_TBH))
        self._call(self.structure, steps, batch, x, h, c, y, room)
        self._spare.append(room)
        return y_TBH


def workspace(size: int) -> Any:
    """Memory for a call, which starts at a cache line; it lives as long as what is given."""
    return kernels()[0].from_buffer("char[]", aligned(np.zeros(size, np.uint8)))
