"""Any recurrent layer in int8 arithmetic: GRU, RNN, and LSTM with or without a projection.

Legend: T steps, B batch, I inputs, H hidden units, O outputs (H, or those of the projection).
"""

from __future__ import annotations

import numpy as np

from doping.inference.families.matrix import Matrix
from doping.inference.families.sparse import Array
from doping.inference.kernels.int8.native import Int8Matrix, instructions, kernels, narrow, workspace
from doping.inference.kernels.native import aligned


class Int8Recurrent:
    """A layer in one direction as a C structure; ``run`` is as that of ``NativeRecurrent``."""

    def __init__(
        self,
        cell: int,
        matrices: tuple[Matrix, Matrix, Matrix | None],
        biases: tuple[Array | None, Array | None],
        reverse: bool,
        instruction_set: str | None = None,
    ):
        ffi, library = kernels()
        self._matrices = [Int8Matrix(narrow(matrix), None, instruction_set) for matrix in matrices if matrix is not None]
        rows, self._outputs = matrices[1].shape
        self._biases = [aligned(np.zeros(rows, np.float32) if b is None else np.asarray(b, np.float32)) for b in biases]
        self._layer = ffi.new("int8_recurrent *", {"cell": cell, "reverse": reverse})
        for name, matrix in zip(("input", "recurrent", "projection"), self._matrices, strict=False):
            setattr(self._layer, name, matrix.structure[0])
        for name, bias in zip(("input_bias", "recurrent_bias"), self._biases, strict=True):
            setattr(self._layer, name, ffi.cast("float *", bias.ctypes.data))
        self._call = instructions(instruction_set).run_recurrent
        self._size = library.int8_recurrent_workspace(self._layer)
        self._floats = ffi.typeof("float[]")  # looked up once: a call takes microseconds in all
        self._spare: list[object] = []

    def run(self, x_TBI: Array, h_BO: Array, c_BH: Array | None) -> Array:
        """Outputs (T, B, O); the state is replaced by the last one, in place. Several threads may call it at once."""
        ffi, _ = kernels()
        steps, batch, _ = x_TBI.shape
        y_TBO = np.empty((steps, batch, self._outputs), np.float32)
        try:
            room = self._spare.pop()
        except IndexError:
            room = workspace(self._size)
        x, h, y = (ffi.from_buffer(self._floats, array) for array in (x_TBI, h_BO, y_TBO))
        c = ffi.NULL if c_BH is None else ffi.from_buffer(self._floats, c_BH)
        self._call(self._layer, steps, batch, x, h, c, y, room)
        self._spare.append(room)
        return y_TBO
