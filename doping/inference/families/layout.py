"""A matrix as the C structure ``doped_matrix`` wants it: arrays transposed, padded and sliced; ``doped_lstm.h`` says how.

Legend: M rows, N columns, R rank or terms, I J rows and columns of a left Kronecker factor, K L of a right one, S slices of
rows, D places in a slice, 8 rows of a slice or lanes of a vector, G groups of rows, Z entries, P values of an entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from doping.inference.families.sparse import Sparse, by_group
from doping.inference.families.tiles import Tiles
from doping.patterns import PATTERNS

if TYPE_CHECKING:
    from doping.inference.families.matrix import Matrix

LANES = 8
"""Floats of a vector: what rows are padded to."""

NO_STRUCTURE, DENSE, KRONECKER, KRONECKER_LEFT_FIRST, LOW_RANK, HYBRID, MONARCH = range(7)
"""``enum doped_kind``."""

Fields = dict[str, int | npt.NDArray[Any]]
"""Fields of the structure by name; those that are left out are 0."""


def fields(matrix: Matrix) -> Fields:
    """All fields of the C structure but those that are zero."""
    shape: Fields = {"rows": matrix.shape[0], "columns": matrix.shape[1]}
    from doping.inference.families.matrix import Sum  # which is made of matrices that lay themselves out with this module

    if isinstance(matrix, Sum):
        return shape | matrix.structured.layout() | _sparse(matrix.sparse)
    return shape | (_sparse(matrix) if isinstance(matrix, Sparse | Tiles) else matrix.layout())


def scale_fields(**scales: npt.NDArray[np.float32] | None) -> Fields:
    """Those of narrow arrays."""
    return {name: laid_out(scale) for name, scale in scales.items() if scale is not None}


def _sparse(matrix: Sparse | Tiles) -> Fields:
    if isinstance(matrix, Tiles):
        matrix = matrix.as_gates()
    number = PATTERNS[matrix.pattern].kernel
    assert number
    pattern: Fields = {"pattern": number}
    if PATTERNS[matrix.pattern].rows == 1:
        return pattern | _slices(matrix)
    values, columns, offsets = matrix.values, matrix.columns, matrix.offsets
    if matrix.values_scale is not None:
        values, columns, offsets = _in_fours(matrix)
        pattern |= scale_fields(value_scales=by_group(matrix.values_scale, matrix.pattern))
    indices = columns.astype(_index_type(matrix.shape[1]))
    return pattern | {"values": laid_out(values), "indices": indices, "offsets": offsets.astype(np.uint32)}


def _in_fours(matrix: Sparse) -> tuple[npt.NDArray[np.int8], npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Blocks of a narrow matrix, each group filled up to a multiple of four: with zeros, which repeat its last column."""
    groups_Z, counts_G = matrix.groups(), np.diff(matrix.offsets.astype(np.int64))
    offsets = np.concatenate([[0], np.cumsum(-(-counts_G // 4) * 4)])
    places_Z = offsets[groups_Z] + np.arange(len(groups_Z)) - matrix.offsets.astype(np.int64)[groups_Z]
    values_ZP = np.zeros((offsets[-1], matrix.values.shape[1]), np.int8)
    values_ZP[places_Z] = matrix.values
    # Each place has the last entry at or before it.
    entry_Z = np.zeros(offsets[-1], np.int64)
    entry_Z[places_Z] = np.arange(len(groups_Z))
    return _four_interleaved(values_ZP), matrix.columns[np.maximum.accumulate(entry_Z)], offsets


def _four_interleaved(values_ZP: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Four entries after the other, each as (place in an entry, entry)."""
    return values_ZP.reshape(-1, 4, values_ZP.shape[1]).swapaxes(1, 2)


def _slices(matrix: Sparse) -> Fields:
    """Slices of 8 rows of about the same length, so that there is little to fill up (SELL-C-σ, Kreutzer et al. 2014).

    What is filled up repeats the last column of its row, so that no row depends on an input that it did not depend on; only
    an empty row beside longer ones takes column 0.
    """
    starts_M, ends_M = matrix.offsets[:-1].astype(np.int64), matrix.offsets[1:].astype(np.int64)
    counts_M = ends_M - starts_M
    order_M = np.argsort(-counts_M, kind="stable")
    narrow = matrix.values_scale is not None
    depth_S = counts_M[order_M[::LANES]]
    if narrow:
        depth_S = -(-depth_S // 4) * 4
    offsets = np.concatenate([[0], np.cumsum(depth_S)])
    place_M = np.empty_like(order_M)
    place_M[order_M] = np.arange(len(order_M))

    row_Z = matrix.groups()
    within_Z = np.arange(len(row_Z)) - starts_M[row_Z]
    slice_Z, lane_Z = np.divmod(place_M[row_Z], LANES)
    values_D8 = np.zeros((offsets[-1], LANES), matrix.values.dtype)
    columns_D8 = np.zeros((offsets[-1], LANES), np.int64)
    # The last column of a row in all its places, then its real ones over it.
    last_M = np.zeros(len(order_M), np.int64)
    last_M[counts_M > 0] = matrix.columns[ends_M[counts_M > 0] - 1]
    last_S8 = np.zeros((len(depth_S), LANES), np.int64)
    last_S8.reshape(-1)[: len(order_M)] = last_M[order_M]
    columns_D8[:] = np.repeat(last_S8, depth_S, axis=0)
    columns_D8[offsets[slice_Z] + within_Z, lane_Z] = matrix.columns
    values_D8[offsets[slice_Z] + within_Z, lane_Z] = matrix.values[:, 0]
    scales = scale_fields(value_scales=None if matrix.values_scale is None else padded(matrix.values_scale[order_M]))
    return scales | {
        "values": laid_out(_four_interleaved(values_D8) if narrow else values_D8),
        "indices": columns_D8.astype(_index_type(matrix.shape[1])),
        "offsets": offsets.astype(np.uint32),
        "order": order_M.astype(_index_type(matrix.shape[0])),
    }


def _index_type(count: int) -> npt.DTypeLike:
    """Type of an index among so many."""
    return np.uint16 if count <= 1 << 16 else np.uint32


def padded(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The last dimension filled with zeros up to whole vectors."""
    missing = -array.shape[-1] % LANES
    return laid_out(np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)]))


def laid_out(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Contiguous, narrow or float32."""
    return np.ascontiguousarray(array, np.int8 if array.dtype == np.int8 else np.float32)


def stored_bytes(matrix: Matrix) -> int:
    """Bytes of the arrays that a product reads."""
    return sum(value.nbytes for value in fields(matrix).values() if isinstance(value, np.ndarray))
