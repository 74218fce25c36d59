"""Narrow values: int8, and a float32 scale for each row of a matrix, of a factor, or of S.

A row's largest magnitude becomes 127, so no value is off by more than 1/254 of it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from doping.inference.kernels.matrices import Dense, Hybrid, Kronecker, LowRank, Matrix, Structured, Sum, widened
from doping.inference.kernels.sparse import Array, Sparse, by_group

LARGEST = 127
"""Symmetric, so that no value needs a zero point."""


def narrowed(matrix: Matrix) -> Matrix:
    """The nearest matrix with narrow values; u and v of a hybrid matrix stay float32."""
    matrix = widened(matrix)
    if isinstance(matrix, Sum):
        return Sum(_structured(matrix.structured), _sparse(matrix.sparse))
    return _sparse(matrix) if isinstance(matrix, Sparse) else _structured(matrix)


def _structured(matrix: Structured) -> Structured:
    match matrix:
        case Dense():
            return Dense(*_rows(matrix.weight))
        case LowRank():
            (u, u_scale), (v, v_scale) = _rows(matrix.u), _rows(matrix.v)
            return LowRank(u, v, u_scale, v_scale)
        case Hybrid():
            a, a_scale = _rows(matrix.a)
            return Hybrid(a, matrix.u, matrix.v, a_scale)
        case Kronecker():
            (b, b_scale), (c, c_scale) = _rows(matrix.b), _rows(matrix.c)
            return Kronecker(b, c, b_scale, c_scale)


def _sparse(matrix: Sparse) -> Sparse:
    largest_GP = by_group(np.zeros(matrix.shape[0], np.float32), matrix.pattern)
    np.maximum.at(largest_GP, matrix.groups(), np.abs(matrix.values))
    largest_M = largest_GP.T.ravel() if matrix.pattern == "gates" else largest_GP.ravel()[: matrix.shape[0]]
    scale_M = _scale(largest_M)
    numbers = _rounded(matrix.values, by_group(scale_M, matrix.pattern)[matrix.groups()])
    return replace(matrix, values=numbers, values_scale=scale_M)


def _rows(values: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.int8], Array]:
    """Numbers and scales; rows are the last dimension but one, and terms before it share theirs."""
    others = tuple(axis for axis in range(values.ndim) if axis != values.ndim - 2)
    scale = _scale(np.abs(values).max(axis=others, initial=0))
    return _rounded(values, scale[:, None]), scale


def _scale(largest: npt.NDArray[np.floating]) -> Array:
    """Of rows with this largest magnitude; a row of zeros has 1."""
    return np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)


def _rounded(values: npt.NDArray[np.floating], scale: Array) -> npt.NDArray[np.int8]:
    with np.errstate(divide="ignore", invalid="ignore"):  # the padding of a block has values 0 and no row, so no scale
        quotient = np.where(scale > 0, values / scale, 0)
    return np.rint(quotient).clip(-LARGEST, LARGEST).astype(np.int8)
