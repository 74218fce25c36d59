"""A matrix as the C structure ``doped_matrix`` wants it: arrays transposed, padded and sliced; ``doped_lstm.h`` says how.

Legend: M rows, N columns, R rank or terms, I J rows and columns of a left Kronecker factor, K L of a right one, S slices of
rows, D places in a slice, 8 rows of a slice or lanes of a vector.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inference.kernels.matrices import Dense, Hybrid, Kronecker, LowRank, Matrix, Structured, Sum
from inference.kernels.sparse import Sparse

LANES = 8
"""Floats of a vector: what rows are padded to."""

NO_STRUCTURE, DENSE, KRONECKER, KRONECKER_LEFT_FIRST, LOW_RANK, HYBRID = range(6)
"""``enum doped_kind``."""

PATTERN_NUMBERS = {"unstructured": 1, "rows": 2, "gates": 3}
"""``enum doped_pattern``."""

Fields = dict[str, int | npt.NDArray[Any]]
"""Fields of the structure by name; those that are left out are 0."""


def fields(matrix: Matrix) -> Fields:
    """All fields of the C structure but those that are zero."""
    shape: Fields = {"rows": matrix.shape[0], "columns": matrix.shape[1]}
    if isinstance(matrix, Sum):
        return shape | _structured(matrix.structured) | _sparse(matrix.sparse)
    return shape | (_sparse(matrix) if isinstance(matrix, Sparse) else _structured(matrix))


def _structured(matrix: Structured) -> Fields:
    if isinstance(matrix, Dense):
        return {"kind": DENSE, "weight": _laid_out(matrix.weight)}
    if isinstance(matrix, LowRank):
        return {"kind": LOW_RANK, "rank": len(matrix.v), "left": _padded(matrix.u.T), "right": _laid_out(matrix.v)}
    if isinstance(matrix, Hybrid):
        weight, left, right = _laid_out(matrix.a), _padded(matrix.u.T), _laid_out(matrix.v)
        return {"kind": HYBRID, "rank": len(matrix.a), "weight": weight, "left": left, "right": right}
    return _kronecker(matrix)


def _kronecker(matrix: Kronecker) -> Fields:
    (terms, m1, n1), (_, m2, n2) = matrix.b.shape, matrix.c.shape
    shape: Fields = {"terms": terms, "left_rows": m1, "left_columns": n1}
    if n1 * m2 * (n2 + m1) <= m1 * n2 * (n1 + m2):
        left_IJR, right_LRK = matrix.b.transpose(1, 2, 0), matrix.c.transpose(2, 0, 1)
        return shape | {"kind": KRONECKER, "left": _laid_out(left_IJR), "right": _padded(right_LRK)}
    left_IRJ, right_RLK = matrix.b.transpose(1, 0, 2), matrix.c.transpose(0, 2, 1)
    return shape | {"kind": KRONECKER_LEFT_FIRST, "left": _laid_out(left_IRJ), "right": _padded(right_RLK)}


def _sparse(matrix: Sparse) -> Fields:
    pattern: Fields = {"pattern": PATTERN_NUMBERS[matrix.pattern]}
    if matrix.pattern == "unstructured":
        return pattern | _slices(matrix)
    indices = matrix.columns.astype(_index_type(matrix.shape[1]))
    return pattern | {"values": _laid_out(matrix.values), "indices": indices, "offsets": matrix.offsets.astype(np.uint32)}


def _slices(matrix: Sparse) -> Fields:
    """Slices of 8 rows of about the same length, so that there is little to fill up (SELL-C-σ, Kreutzer et al. 2014).

    What is filled up repeats the last column of its row, so that no row depends on an input that it did not depend on; only
    an empty row beside longer ones takes column 0.
    """
    starts_M, ends_M = matrix.offsets[:-1].astype(np.int64), matrix.offsets[1:].astype(np.int64)
    counts_M = ends_M - starts_M
    order_M = np.argsort(-counts_M, kind="stable")
    depth_S = counts_M[order_M[::LANES]]
    offsets = np.concatenate([[0], np.cumsum(depth_S)])
    place_M = np.empty_like(order_M)
    place_M[order_M] = np.arange(len(order_M))

    row_Z = matrix.groups()
    within_Z = np.arange(len(row_Z)) - starts_M[row_Z]
    slice_Z, lane_Z = np.divmod(place_M[row_Z], LANES)
    values_D8 = np.zeros((offsets[-1], LANES), np.float32)
    columns_D8 = np.zeros((offsets[-1], LANES), np.int64)
    # The last column of a row in all its places, then its real ones over it.
    last_M = np.zeros(len(order_M), np.int64)
    last_M[counts_M > 0] = matrix.columns[ends_M[counts_M > 0] - 1]
    last_S8 = np.zeros((len(depth_S), LANES), np.int64)
    last_S8.reshape(-1)[: len(order_M)] = last_M[order_M]
    columns_D8[:] = np.repeat(last_S8, depth_S, axis=0)
    columns_D8[offsets[slice_Z] + within_Z, lane_Z] = matrix.columns
    values_D8[offsets[slice_Z] + within_Z, lane_Z] = matrix.values[:, 0]
    return {
        "values": _laid_out(values_D8),
        "indices": columns_D8.astype(_index_type(matrix.shape[1])),
        "offsets": offsets.astype(np.uint32),
        "order": order_M.astype(_index_type(matrix.shape[0])),
    }


def _index_type(count: int) -> npt.DTypeLike:
    """Type of an index among so many."""
    return np.uint16 if count <= 1 << 16 else np.uint32


def _padded(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The last dimension filled with zeros up to whole vectors."""
    missing = -array.shape[-1] % LANES
    return _laid_out(np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)]))


def _laid_out(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)


def stored_bytes(matrix: Matrix) -> int:
    """Bytes of the arrays that a product reads."""
    return sum(value.nbytes for value in fields(matrix).values() if isinstance(value, np.ndarray))
