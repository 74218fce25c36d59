"""Any weight matrix: a structured one, a sparse one, or their sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from doping.inference.families.base import Shape, StructuredMatrix
from doping.inference.families.narrow import Bits, Rounding
from doping.inference.families.sparse import Array, Sparse, by_group
from doping.inference.families.tiles import Tiles
from doping.inference.families.tiles import by_group as by_group_of_tiles


@dataclass(frozen=True, eq=False)
class Sum:
    """M + S."""

    structured: StructuredMatrix
    sparse: Sparse | Tiles

    def __post_init__(self) -> None:
        if self.structured.shape != self.sparse.shape:
            raise ValueError(f"M is {self.structured.shape} and S is {self.sparse.shape}; expected the same shape")

    @property
    def shape(self) -> Shape:
        """(m, n)."""
        return self.structured.shape

    def dense(self) -> Array:
        """Both written out and added, (m, n)."""
        return self.structured.dense() + self.sparse.dense()


Matrix = StructuredMatrix | Sparse | Tiles | Sum


def widened(matrix: Matrix) -> Matrix:
    """The same matrix with all values in float32."""
    return _of_parts(matrix, lambda structured: structured.widened(), lambda sparse: sparse.widened())


def narrowed(matrix: Matrix, bits: Bits = 8, *, short_scales: bool = False) -> Matrix:
    """The nearest matrix with narrow values; vectors of a family stay float32.

    Args:
        matrix: any; one with narrow values is widened first.
        bits: of a value; those of 4 bits are int8 here too, and two in a byte in a file and in the int8 kernels. Some arrays
            keep 8.
        short_scales: whether scales are rounded up to 16 bits (the upper half of a float32).

    """
    rounding = Rounding(bits, short_scales)
    return _of_parts(matrix, lambda structured: structured.narrowed(rounding), lambda s: _narrowed_sparse(s, rounding))


def _of_parts(
    matrix: Matrix,
    structured: Callable[[StructuredMatrix], StructuredMatrix],
    sparse: Callable[[Sparse | Tiles], Sparse | Tiles],
) -> Matrix:
    if isinstance(matrix, Sum):
        return Sum(structured(matrix.structured), sparse(matrix.sparse))
    return sparse(matrix) if isinstance(matrix, Sparse | Tiles) else structured(matrix)


def _narrowed_sparse(matrix: Sparse | Tiles, rounding: Rounding) -> Sparse | Tiles:
    matrix = matrix.widened()
    rows_M = np.arange(matrix.shape[0], dtype=np.float32)
    if isinstance(matrix, Tiles):
        row_of = np.broadcast_to(by_group_of_tiles(rows_M)[matrix.groups()][..., None], matrix.values.shape)
    else:
        row_of = by_group(rows_M, matrix.pattern)[matrix.groups()]
    # The padding of a block has values 0, and so counts for no row, whichever it is said to be in.
    numbers, scale_M = rounding.numbers(matrix.values, row_of.astype(np.int64), matrix.shape[0])
    return replace(matrix, values=numbers, values_scale=scale_M)
