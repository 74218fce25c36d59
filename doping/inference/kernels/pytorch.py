"""The same layers and products on PyTorch, for machines without a C compiler: correct, and several times slower.

Legend: T steps, B batch, I inputs, H hidden units, M rows, N columns, Z blocks, P rows of a block, G groups of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from doping.inference.families.base import StructuredMatrix
from doping.inference.families.matrix import Matrix, Sum, widened
from doping.inference.families.sparse import Array, Sparse
from doping.inference.families.tiles import Tiles
from doping.patterns import PATTERNS


class TorchMatrix:
    """A matrix of which PyTorch computes products without writing it out."""

    def __init__(self, matrix: Matrix):
        matrix = widened(matrix)
        parts = (matrix.structured, matrix.sparse) if isinstance(matrix, Sum) else (matrix,)
        self._products = [_product(part.as_gates() if isinstance(part, Tiles) else part) for part in parts]

    def multiply(self, x_BN: Array) -> Array:
        """Product with each row of ``x``, (batch, n) → (batch, m)."""
        y_BM: Array = self(torch.from_numpy(x_BN)).numpy()
        return y_BM

    def __call__(self, x_BN: Tensor) -> Tensor:
        """(B, n) → (B, m)."""
        first, *others = (product(x_BN) for product in self._products)
        return sum(others, first)


def _product(part: StructuredMatrix | Sparse) -> _StructuredProduct | _SparseProduct:
    return _SparseProduct(part) if isinstance(part, Sparse) else _StructuredProduct(part)


class _StructuredProduct:
    """M x."""

    def __init__(self, matrix: StructuredMatrix):
        self._matrix = matrix
        self._tensors = {name: _tensor(array) for name, array in matrix.arrays().items()}

    def __call__(self, x_BN: Tensor) -> Tensor:
        return self._matrix.torch_product(self._tensors, x_BN)


class _SparseProduct:
    """S x, over the blocks only."""

    def __init__(self, matrix: Sparse):
        self._pattern = matrix.pattern
        self._rows = matrix.shape[0]
        self._values_PZ = _tensor(matrix.values.T)
        self._columns_Z = _tensor(matrix.columns.astype(np.int64))
        self._groups_Z = _tensor(matrix.groups())
        self._groups = len(matrix.offsets) - 1

    def __call__(self, x_BN: Tensor) -> Tensor:
        block = PATTERNS[self._pattern].rows
        products_BPZ = x_BN[:, None, self._columns_Z] * self._values_PZ
        sums_BPG = x_BN.new_zeros(len(x_BN), block, self._groups).index_add(2, self._groups_Z, products_BPZ)
        if PATTERNS[self._pattern].gates > 1:
            return sums_BPG.flatten(1)
        return sums_BPG.mT.flatten(1)[:, : self._rows]


class TorchLayer:
    """A layer, a step at a time; the input product of all steps at once."""

    def __init__(self, input: Matrix, recurrent: Matrix, bias: Array | None, reverse: bool, threads: int):
        self._input, self._recurrent = TorchMatrix(input), TorchMatrix(recurrent)
        self._bias_M = torch.zeros(recurrent.shape[0]) if bias is None else _tensor(bias)
        self._reverse = reverse

    @torch.no_grad()
    def run(self, x_TBI: Array, h_BH: Array, c_BH: Array) -> Array:
        """Outputs (T, B, H); the state is replaced by the last one, in place. PyTorch decides on threads."""
        steps, batch, inputs = x_TBI.shape
        z_TBM = (self._input(_tensor(x_TBI).view(-1, inputs)) + self._bias_M).view(steps, batch, len(self._bias_M))
        h, c = torch.from_numpy(h_BH), torch.from_numpy(c_BH)
        y_TBH = torch.empty(steps, batch, h.shape[1])
        for time in reversed(range(steps)) if self._reverse else range(steps):
            i, f, g, o = (z_TBM[time] + self._recurrent(h)).chunk(4, dim=1)
            c.copy_(f.sigmoid() * c + i.sigmoid() * g.tanh())
            h.copy_(o.sigmoid() * c.tanh())
            y_TBH[time] = h
        outputs: Array = y_TBH.numpy()
        return outputs


def _tensor(array: npt.NDArray[Any]) -> Tensor:
    """A copy: the arrays of a file cannot be written to, which PyTorch does not know."""
    return torch.from_numpy(np.array(array))
