"""Any weight matrix: a structured one, a sparse one, or their sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from doping.inference.families.base import Shape, StructuredMatrix
from doping.inference.families.narrow import rounded, scales
from doping.inference.families.sparse import Array, Sparse, by_group


@dataclass(frozen=True, eq=False)
class Sum:
    """M + S."""

    structured: StructuredMatrix
    sparse: Sparse

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


Matrix = StructuredMatrix | Sparse | Sum


def widened(matrix: Matrix) -> Matrix:
    """The same matrix with all values in float32."""
    return _of_parts(matrix, lambda structured: structured.widened(), lambda sparse: sparse.widened())


def narrowed(matrix: Matrix) -> Matrix:
    """The nearest matrix with narrow values; vectors of a family stay float32."""
    return _of_parts(matrix, lambda structured: structured.narrowed(), _narrowed_sparse)


def stored_arrays(matrix: Matrix) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a matrix by the names that they have in a file; those of S under ``sparse.``."""
    if isinstance(matrix, Sum):
        return stored_arrays(matrix.structured) | stored_arrays(matrix.sparse)
    if isinstance(matrix, Sparse):
        return {f"sparse.{name}": array for name, array in vars(matrix).items() if isinstance(array, np.ndarray)}
    return matrix.arrays()


def _of_parts(
    matrix: Matrix, structured: Callable[[StructuredMatrix], StructuredMatrix], sparse: Callable[[Sparse], Sparse]
) -> Matrix:
    if isinstance(matrix, Sum):
        return Sum(structured(matrix.structured), sparse(matrix.sparse))
    return sparse(matrix) if isinstance(matrix, Sparse) else structured(matrix)


def _narrowed_sparse(matrix: Sparse) -> Sparse:
    matrix = matrix.widened()
    largest_GP = by_group(np.zeros(matrix.shape[0], np.float32), matrix.pattern)
    np.maximum.at(largest_GP, matrix.groups(), np.abs(matrix.values))
    largest_M = largest_GP.T.ravel() if matrix.pattern == "gates" else largest_GP.ravel()[: matrix.shape[0]]
    scale_M = scales(largest_M)
    numbers = rounded(matrix.values, by_group(scale_M, matrix.pattern)[matrix.groups()])
    return replace(matrix, values=numbers, values_scale=scale_M)
