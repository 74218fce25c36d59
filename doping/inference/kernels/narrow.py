"""Narrow values: int8, and a float32 scale for each row of a matrix, of a factor, or of S.

With 8 bits a row's largest magnitude becomes 127, so no value is off by more than 1/254 of it. With 4 bits the numbers are
−7 to 7, and a row's scale is the one of least squares among some that clip its largest values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from doping.inference.kernels.matrices import Dense, Hybrid, Kronecker, LowRank, Matrix, Structured, Sum, widened
from doping.inference.kernels.sparse import Array, Sparse, by_group
from doping.inference.kernels.tiles import Tiles
from doping.inference.kernels.tiles import by_group as by_group_of_tiles

Bits = Literal[8, 4]
LARGEST: dict[Bits, int] = {8: 127, 4: 7}
"""Symmetric, so that no value needs a zero point."""
CLIPPED = tuple(float(share) for share in np.linspace(0.5, 1, 21))
"""What of a row's largest magnitude becomes the largest number of 4 bits, where that has the least squared error."""


def narrowed(matrix: Matrix, bits: Bits = 8, *, short_scales: bool = False) -> Matrix:
    """The nearest matrix with narrow values; u and v of a hybrid matrix stay float32.

    Args:
        matrix: any; one with narrow values is widened first.
        bits: of a value; those of 4 bits are stored as int8 here, and two in a byte by the int8 kernels.
        short_scales: whether scales are rounded up to 16 bits (the upper half of a float32).

    """
    matrix, rounding = widened(matrix), _Rounding(bits, short_scales)
    if isinstance(matrix, Sum):
        return Sum(_structured(matrix.structured, rounding), _sparse(matrix.sparse, rounding))
    return _sparse(matrix, rounding) if isinstance(matrix, Sparse | Tiles) else _structured(matrix, rounding)


def _structured(matrix: Structured, rounding: _Rounding) -> Structured:
    match matrix:
        case Dense():
            return Dense(*rounding.rows(matrix.weight))
        case LowRank():
            (u, u_scale), (v, v_scale) = rounding.rows(matrix.u), rounding.rows(matrix.v)
            return LowRank(u, v, u_scale, v_scale)
        case Hybrid():
            a, a_scale = rounding.rows(matrix.a)
            return Hybrid(a, matrix.u, matrix.v, a_scale)
        case Kronecker():
            (b, b_scale), (c, c_scale) = rounding.rows(matrix.b), rounding.rows(matrix.c)
            return Kronecker(b, c, b_scale, c_scale)


def _sparse(matrix: Sparse | Tiles, rounding: _Rounding) -> Sparse | Tiles:
    rows_M = np.arange(matrix.shape[0], dtype=np.float32)
    if isinstance(matrix, Tiles):
        row_of = np.broadcast_to(by_group_of_tiles(rows_M)[matrix.groups()][..., None], matrix.values.shape)
    else:
        row_of = by_group(rows_M, matrix.pattern)[matrix.groups()]
    # The padding of a block has values 0, and so counts for no row, whichever it is said to be in.
    numbers, scale_M = rounding.numbers(matrix.values, row_of.astype(np.int64), matrix.shape[0])
    return replace(matrix, values=numbers, values_scale=scale_M)


class _Rounding:
    """To so many bits."""

    def __init__(self, bits: Bits, short_scales: bool):
        self._largest = LARGEST[bits]
        self._shares = (1.0,) if bits == 8 else CLIPPED
        self._short = short_scales

    def rows(self, values: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.int8], Array]:
        """Numbers and scales; rows are the last dimension but one, and terms before it share theirs."""
        rows = values.shape[-2]
        return self.numbers(values, np.broadcast_to(np.arange(rows)[:, None], values.shape), rows)

    def numbers(
        self, values: npt.NDArray[Any], row_of: npt.NDArray[np.int64], rows: int
    ) -> tuple[npt.NDArray[np.int8], Array]:
        """Numbers of values, each in the row that ``row_of`` names, and the scales of so many rows."""
        largest_M = np.zeros(rows, np.float32)
        np.maximum.at(largest_M, row_of.ravel(), np.abs(values).ravel())
        best_M, scale_M = np.full(rows, np.inf), self._scale(largest_M)
        for share in self._shares if len(self._shares) > 1 else ():
            tried_M = self._scale(np.float32(share) * largest_M)
            off = (self._rounded(values, tried_M[row_of]) * tried_M[row_of] - values).ravel()
            squares_M = np.bincount(row_of.ravel(), off.astype(np.float64) ** 2, rows)
            scale_M = np.where(squares_M < best_M, tried_M, scale_M)
            best_M = np.minimum(best_M, squares_M)
        return self._rounded(values, scale_M[row_of]), scale_M

    def _scale(self, largest: npt.NDArray[np.floating]) -> Array:
        """Of rows with this largest magnitude; a row of zeros has 1."""
        scale = np.where(largest > 0, largest / np.float32(self._largest), 1).astype(np.float32)
        if self._short:
            scale = ((scale.view(np.uint32) + 0xFFFF) & 0xFFFF0000).astype(np.uint32).view(np.float32)
        return scale

    def _rounded(self, values: npt.NDArray[np.floating], scale: Array) -> npt.NDArray[np.int8]:
        with np.errstate(divide="ignore", invalid="ignore"):  # a scale too small for a float32 is 0
            quotient = np.where(scale > 0, values / scale, 0)
        return np.rint(quotient).clip(-self._largest, self._largest).astype(np.int8)
