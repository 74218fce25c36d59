"""S as a file keeps it: with offsets, or with numbers of blocks, or with places within groups of columns.

In memory S always has offsets and columns (``doping.inference.families.sparse`` and ``tiles``). A file of narrow values
has ``counts``, blocks of each group of rows, in place of ``offsets``. Of N:M it has ``places`` in place of both: where in
its group of 16 or 32 columns each value is, in 4 or 5 bits, the lowest bits of a byte first. The last group of a row may
have fewer columns than N; then what is over comes last in it, with places and values 0.

Legend: M rows, G groups of columns in a row, Z values, K stored values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from doping.inference.families.sparse import Sparse
from doping.inference.families.stored import SparseParts
from doping.inference.families.tiles import Tiles
from doping.patterns import PATTERNS

Arrays = dict[str, npt.NDArray[Any]]


def stored_sparse(matrix: Sparse | Tiles, parts: SparseParts) -> Arrays:
    """The arrays of S, by the names that they have in a file.

    Raises:
        ValueError: the matrix cannot be stored so.

    """
    arrays = {name: array for name, array in vars(matrix).items() if isinstance(array, np.ndarray)}
    demanded = parts.tensors(*matrix.shape)
    if "places" in demanded:
        assert isinstance(matrix, Sparse)
        del arrays["columns"], arrays["offsets"]
        return arrays | _with_places(matrix, parts)
    if "counts" in demanded:
        counts = np.diff(arrays.pop("offsets").astype(np.int64))
        kind = np.uint16 if demanded["counts"].kind == "U16" else np.uint32
        if counts.max(initial=0) > np.iinfo(kind).max:
            raise ValueError(f"a row of S has {counts.max():,} blocks; expected at most {np.iinfo(kind).max:,}")
        arrays["counts"] = counts.astype(kind)
    return arrays


def loaded_sparse(parts: SparseParts, shape: tuple[int, int], arrays: Arrays) -> Sparse | Tiles:
    """The matrix of the arrays of a file, checked: there is one way to write it, so that all readers agree.

    Raises:
        ValueError: the indices are not those of such a matrix.

    """
    arrays = dict(arrays)
    if "places" in arrays:
        arrays |= _without_places(parts, shape, arrays["values"], arrays.pop("places"))
    if "counts" in arrays:
        arrays["offsets"] = np.concatenate([[0], np.cumsum(arrays.pop("counts"), dtype=np.int64)])
    if parts.pattern == "tiles":  # they check themselves that they are written in the one way
        return Tiles(shape, **arrays)
    sparse = Sparse(parts.pattern, shape, **arrays)
    _check_canonical(sparse)
    return sparse


def stored_blocks(matrix: Sparse | Tiles) -> int:
    """Blocks that a file has of S: those that are there; of N:M, N for each group of columns, of which some has so many."""
    if isinstance(matrix, Sparse) and PATTERNS[matrix.pattern].group:
        numbers_MG = _numbers(matrix)
        return int(numbers_MG.max(initial=0)) * numbers_MG.size
    return len(matrix.columns)


def _numbers(matrix: Sparse) -> npt.NDArray[np.int64]:
    """Values in each group of columns, (m, G)."""
    width = PATTERNS[matrix.pattern].group
    across = -(-matrix.shape[1] // width)
    group_Z = matrix.groups() * across + matrix.columns.astype(np.int64) // width
    return np.bincount(group_Z, minlength=matrix.shape[0] * across).reshape(-1, across)


def _real(n: int, shape: tuple[int, int], width: int) -> npt.NDArray[np.bool_]:
    """Which stored values are within the matrix, (m, G, N)."""
    columns_G = np.minimum(width, shape[1] - width * np.arange(-(-shape[1] // width)))
    return np.broadcast_to(np.arange(n) < columns_G[:, None], (shape[0], len(columns_G), n))


def _with_places(matrix: Sparse, parts: SparseParts) -> Arrays:
    width, n = PATTERNS[matrix.pattern].group, parts.of_each(*matrix.shape)
    real_MGN = _real(n, matrix.shape, width)
    if not np.array_equal(_numbers(matrix), real_MGN.sum(axis=2)):
        raise ValueError(f"S does not have {n} values in every {width} columns of a row")
    values, places = np.zeros(real_MGN.shape, matrix.values.dtype), np.zeros(real_MGN.shape, np.uint8)
    values[real_MGN], places[real_MGN] = matrix.values[:, 0], matrix.columns % width
    bits = np.arange(width.bit_length() - 1)
    packed = np.packbits((places.reshape(-1, 1) >> bits & 1).astype(np.uint8).ravel(), bitorder="little")
    return {"values": values.reshape(-1, 1), "places": packed}


def _without_places(
    parts: SparseParts, shape: tuple[int, int], values: npt.NDArray[Any], packed: npt.NDArray[Any]
) -> Arrays:
    width, n = PATTERNS[parts.pattern].group, parts.of_each(*shape)
    bits, real_MGN = width.bit_length() - 1, _real(n, shape, width)
    spread = np.unpackbits(packed, bitorder="little")
    places_K = spread[: bits * parts.blocks].reshape(-1, bits) @ (1 << np.arange(bits))
    beyond_K = ~real_MGN.ravel()
    if spread[bits * parts.blocks :].any() or places_K[beyond_K].any() or values[beyond_K].any():
        raise ValueError(f"a sparse matrix of {n} of {width} columns has values or places beyond the last one")
    first_G1 = width * np.arange(real_MGN.shape[1])[:, None]
    columns_MGN = places_K.reshape(real_MGN.shape) + first_G1
    of_row = int(real_MGN[0].sum())
    return {
        "values": np.ascontiguousarray(values[~beyond_K]),
        "columns": columns_MGN[real_MGN].astype(np.uint16 if shape[1] <= 1 << 16 else np.uint32),
        "offsets": of_row * np.arange(shape[0] + 1, dtype=np.int64),
    }


def _check_canonical(sparse: Sparse) -> None:
    groups_Z, columns_Z = sparse.groups(), sparse.columns.astype(np.int64)
    if (np.diff(columns_Z)[np.diff(groups_Z) == 0] <= 0).any():
        raise ValueError("columns of a sparse matrix do not ascend within a row")
    rows = sparse.shape[0]
    if sparse.pattern == "rows" and rows % 8:
        last = int(sparse.offsets[-2])
        if sparse.values[last:, rows % 8 :].any():
            raise ValueError(f"a sparse matrix of {rows} rows has values beyond the last one")
