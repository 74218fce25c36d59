"""The same layers and products on PyTorch, for machines without a C compiler: correct, and several times slower.

Legend: T steps, B batch, I inputs, H hidden units, M rows, N columns, R rank or terms, J L columns of Kronecker factors,
Z blocks, P rows of a block, G groups of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from doping.inference.kernels.matrices import Dense, Hybrid, Kronecker, LowRank, Matrix, Structured, Sum, widened
from doping.inference.kernels.sparse import ROWS_OF_BLOCK, Array, Sparse
from doping.inference.kernels.tiles import Tiles


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


def _product(part: Structured | Sparse) -> _StructuredProduct | _SparseProduct:
    return _SparseProduct(part) if isinstance(part, Sparse) else _StructuredProduct(part)


class _StructuredProduct:
    """M x."""

    def __init__(self, matrix: Structured):
        self._matrix = matrix
        self._tensors = {name: _tensor(array) for name, array in vars(matrix).items() if array is not None}

    def __call__(self, x_BN: Tensor) -> Tensor:
        tensors = self._tensors
        if isinstance(self._matrix, Dense):
            return x_BN @ tensors["weight"].mT
        if isinstance(self._matrix, LowRank):
            return (x_BN @ tensors["v"].mT) @ tensors["u"].mT
        if isinstance(self._matrix, Hybrid):
            half = x_BN.shape[1] // 2
            scaled_BN = x_BN * tensors["v"]
            sums_B2 = torch.stack([scaled_BN[:, :half].sum(1), scaled_BN[:, half:].sum(1)], dim=1)
            return torch.cat([x_BN @ tensors["a"].mT, sums_B2 @ tensors["u"].mT], dim=1)
        assert isinstance(self._matrix, Kronecker)
        b_RIJ, c_RKL = tensors["b"], tensors["c"]
        x_B1JL = x_BN.view(len(x_BN), 1, b_RIJ.shape[2], c_RKL.shape[2])
        return (b_RIJ @ (x_B1JL @ c_RKL.mT)).sum(1).flatten(1)


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
        block = ROWS_OF_BLOCK[self._pattern]
        products_BPZ = x_BN[:, None, self._columns_Z] * self._values_PZ
        sums_BPG = x_BN.new_zeros(len(x_BN), block, self._groups).index_add(2, self._groups_Z, products_BPZ)
        if self._pattern == "gates":
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
