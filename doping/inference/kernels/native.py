"""The C kernels, called from Python with NumPy arrays.

Legend: T steps, B batch, I inputs, H hidden units, M rows, N columns.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import cffi
import numpy as np
import numpy.typing as npt

from doping.inference.families.layout import fields
from doping.inference.families.matrix import Matrix
from doping.inference.families.sparse import Array
from doping.inference.kernels.build import HEADER, library

ALIGNMENT = 64
"""Bytes of a cache line: where the arrays of a matrix start."""


@functools.cache
def kernels() -> tuple[cffi.FFI, Any]:
    """The interface to C, declared by the header itself, and the library.

    Raises:
        KernelError: if the library cannot be compiled.

    """
    ffi = declarations()
    return ffi, ffi.dlopen(str(library()))


@functools.cache
def declarations() -> cffi.FFI:
    """What the header declares, without the library."""
    for_c = re.sub(r"#ifdef __cplusplus.*?#endif", "", HEADER.read_text(), flags=re.DOTALL)
    ffi = cffi.FFI()
    ffi.cdef("".join(line for line in for_c.splitlines(keepends=True) if not line.startswith("#")))
    return ffi


class NativeMatrix:
    """A matrix as a C structure, together with the arrays it points to."""

    def __init__(self, matrix: Matrix):
        self.shape = matrix.shape
        ffi, self._library = kernels()
        self.structure = ffi.new("doped_matrix *")
        self._arrays: list[npt.NDArray[Any]] = []
        for name, value in fields(matrix).items():
            if isinstance(value, np.ndarray):
                array = aligned(value)
                self._arrays.append(array)
                value = ffi.cast("void *", array.ctypes.data)
            setattr(self.structure, name, value)
        self._room = self._library.doped_multiply_workspace(self.structure)
        self._spare: list[Array] = []

    def multiply(self, x_BN: Array) -> Array:
        """Product with each row of ``x``, (batch, n) → (batch, m). Several threads may call it at once."""
        ffi, library = kernels()
        y_BM = np.empty((len(x_BN), self.shape[0]), np.float32)
        floats = functools.partial(ffi.from_buffer, "float[]")
        try:
            workspace = self._spare.pop()
        except IndexError:
            workspace = np.empty(self._room, np.float32)
        library.doped_multiply(self.structure, len(x_BN), floats(x_BN), floats(y_BM), floats(workspace))
        self._spare.append(workspace)
        return y_BM


class NativeLayer:
    """A layer as a C structure."""

    def __init__(self, input: Matrix, recurrent: Matrix, bias: Array | None, reverse: bool, threads: int):
        ffi, _ = kernels()
        self._threads = threads
        self._hidden = recurrent.shape[1]
        self._matrices = NativeMatrix(input), NativeMatrix(recurrent)
        self._bias = None if bias is None else aligned(np.asarray(bias, np.float32))
        self._layer = ffi.new("doped_layer *")
        self._layer.input, self._layer.recurrent = (matrix.structure[0] for matrix in self._matrices)
        self._layer.bias = ffi.NULL if self._bias is None else ffi.cast("float *", self._bias.ctypes.data)
        self._layer.reverse = reverse
        self._floats = ffi.typeof("float[]")  # looked up once: a call takes microseconds in all
        self._spare: list[tuple[int, Any]] = []

    def run(self, x_TBI: Array, h_BH: Array, c_BH: Array) -> Array:
        """Outputs (T, B, H); the state is replaced by the last one, in place. Several threads may call it at once."""
        ffi, library = kernels()
        steps, batch, _ = x_TBI.shape
        y_TBH = np.empty((steps, batch, self._hidden), np.float32)
        try:
            room, workspace = self._spare.pop()
        except IndexError:
            room = 0
        if room != batch:
            size = library.doped_workspace(self._layer, batch, self._threads)
            workspace = ffi.from_buffer("float[]", aligned(np.zeros(size, np.float32)))
        x, h, c, y = (ffi.from_buffer(self._floats, array) for array in (x_TBI, h_BH, c_BH, y_TBH))
        library.doped_run(self._layer, steps, batch, x, h, c, y, workspace, self._threads)
        self._spare.append((batch, workspace))
        return y_TBH


class NativeRecurrent:
    """Any recurrent layer in one direction, as a C structure."""

    def __init__(
        self,
        cell: int,
        matrices: tuple[Matrix, Matrix, Matrix | None],
        biases: tuple[Array | None, Array | None],
        reverse: bool,
    ):
        ffi, self._library = kernels()
        self._matrices = [NativeMatrix(matrix) for matrix in matrices if matrix is not None]
        self._biases = [None if bias is None else aligned(np.asarray(bias, np.float32)) for bias in biases]
        self._layer = ffi.new("doped_recurrent *")
        for name, matrix in zip(("input", "recurrent", "projection"), self._matrices, strict=False):
            setattr(self._layer, name, matrix.structure[0])
        for name, bias in zip(("input_bias", "recurrent_bias"), self._biases, strict=True):
            setattr(self._layer, name, ffi.NULL if bias is None else ffi.cast("float *", bias.ctypes.data))
        self._layer.cell, self._layer.reverse = cell, reverse
        self._outputs = self._matrices[1].shape[1]
        self._spare: list[tuple[int, Array]] = []

    def run(self, x_TBI: Array, h_BO: Array, c_BH: Array | None) -> Array:
        """Outputs (T, B, O); the state is replaced by the last one, in place. Several threads may call it at once."""
        ffi, library = kernels()
        steps, batch, _ = x_TBI.shape
        y_TBO = np.empty((steps, batch, self._outputs), np.float32)
        try:
            room, workspace = self._spare.pop()
        except IndexError:
            room = 0
        if room != batch:
            workspace = np.empty(library.doped_recurrent_workspace(self._layer, batch), np.float32)
        floats = functools.partial(ffi.from_buffer, "float[]")
        c = ffi.NULL if c_BH is None else floats(c_BH)
        library.doped_recurrent_run(
            self._layer, steps, batch, floats(x_TBI), floats(h_BO), c, floats(y_TBO), floats(workspace)
        )
        self._spare.append((batch, workspace))
        return y_TBO


def aligned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy that starts at a cache line."""
    memory = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
