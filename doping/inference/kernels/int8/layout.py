"""A narrow matrix as the C structure ``int8_matrix`` wants it; ``int8.h`` says how.

Legend: M rows, N columns, G groups of 16 rows, P = 16 places in a group, B blocks of C = 4 columns, R rank or terms, I J
    rows and
columns of a left Kronecker factor, K L of a right one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from doping.inference.kernels.matrices import Dense, Hybrid, Kronecker, LowRank, Matrix, Structured, Sum
from doping.inference.kernels.narrow import Bits
from doping.inference.kernels.sparse import Array, Sparse
from doping.inference.kernels.tiles import Tiles, by_group

NO_STRUCTURE, DENSE, KRONECKER, LOW_RANK, HYBRID, KRONECKER_LEFT_FIRST = range(6)
"""``enum int8_kind``."""

ROWS, COLUMNS = 16, 4
"""Of a block."""
LEFT_FIRST_FROM = 2.5
"""How many times the products of left first the other order may have, which has fewer vectors to round. Measured with
(20 x 20) ⊗ (40 x 10): 1.7 times the products take 0.7 times as long."""
MOST_COLUMNS = 1 << 16
"""As many products of 255 and −128 as int32 can sum."""

Fields = dict[str, Any]
"""Fields of the structure by name, structures within as further ones; those that are left out are 0."""
Narrow = npt.NDArray[np.int8]


def fields(matrix: Matrix, bits: Bits = 8, *, gates: bool = False) -> Fields:
    """All fields of the C structure but those that are zero.

    Args:
        matrix: one with narrow values; of 4 bits they are −8 to 7. Those of a left Kronecker factor always take 8.
        bits: of a value.
        gates: whether the rows are stacked gates, whose product is wanted in gate order; so it is with tiles in any case.

    Raises:
        ValueError: the matrix is one that has no product in int8: values are float32 or beyond the bits, there are too
            many columns, or S is sparse in another pattern than tiles.

    """
    sparse = matrix.sparse if isinstance(matrix, Sum) else matrix if isinstance(matrix, Sparse | Tiles) else None
    structured = matrix.structured if isinstance(matrix, Sum) else None if isinstance(matrix, Sparse | Tiles) else matrix
    rows, columns = matrix.shape
    units = rows // 4 if gates or sparse else 0
    made: Fields = {"rows": rows, "columns": columns, "units": units}
    if structured:
        made |= _structured(structured, bits, units)
    return made | _sparse(sparse, bits) if sparse else made


def in_gate_order(per_row_M: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A number per row of stacked gates, (m,) → (groups · 16,), filled up to whole 16 units with zeros."""
    ordered = by_group(per_row_M).ravel()
    return np.pad(ordered, (0, -len(ordered) % (4 * ROWS)))


def _structured(matrix: Structured, bits: Bits, units: int) -> Fields:
    match matrix:
        case Dense():
            return {"kind": DENSE, "first": _blocks(matrix.weight, matrix.weight_scale, bits, units)}
        case LowRank():
            first, second = _blocks(matrix.v, matrix.v_scale, bits), _blocks(matrix.u, matrix.u_scale, bits, units)
            return {"kind": LOW_RANK, "first": first, "second": second}
        case Hybrid():
            return _hybrid(matrix, bits)
        case Kronecker():
            return _kronecker(matrix, bits)


def _hybrid(matrix: Hybrid, bits: Bits) -> Fields:
    """V is rounded here, to 127 steps of its largest magnitude: it is float32 also in a narrow matrix."""
    columns = len(matrix.v)
    half = columns // 2
    v_2N = np.zeros((2, columns), np.float32)
    v_2N[0, :half], v_2N[1, half:] = matrix.v[:half], matrix.v[half:]
    steps = 127 if bits == 8 else 7
    v_scale = np.maximum(np.abs(v_2N).max(axis=1, initial=0) / steps, np.float32(1e-30)).astype(np.float32)
    numbers = np.rint(v_2N / v_scale[:, None]).clip(-steps, steps).astype(np.int8)
    scale = _known(matrix.a_scale)
    first = _blocks(np.concatenate([matrix.a, numbers]), np.concatenate([scale, v_scale]), bits)
    return {"kind": HYBRID, "first": first, "u": np.ascontiguousarray(matrix.u.T)}


def _kronecker(matrix: Kronecker, bits: Bits) -> Fields:
    (terms, m1, n1), (_, m2, n2) = matrix.b.shape, matrix.c.shape
    b_scale, c_scale = _known(matrix.b_scale), _known(matrix.c_scale)
    if _right_first(terms, matrix.b.shape[1:], matrix.c.shape[1:]):
        kind, first = KRONECKER, _blocks(matrix.c.reshape(terms * m2, n2), np.tile(c_scale, terms), bits)
        left = matrix.b.transpose(1, 2, 0).reshape(m1, n1 * terms)
    else:
        side_by_side = matrix.c.transpose(1, 0, 2).reshape(m2, terms * n2)
        kind, first = KRONECKER_LEFT_FIRST, _blocks(side_by_side, c_scale, bits)
        left, b_scale = matrix.b.transpose(1, 0, 2).reshape(m1 * terms, n1), np.repeat(b_scale, terms)
    _check_width(left.shape[1])
    left = np.ascontiguousarray(np.pad(left, [(0, 0), (0, -left.shape[1] % COLUMNS)]))
    return {
        "kind": kind, "first": first, "terms": terms, "left_rows": m1, "left_columns": n1,
        "left": left, "left_scales": b_scale, "left_sums": left.sum(axis=1, dtype=np.int32),
    }  # fmt: skip


def _right_first(terms: int, left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    """Whether B (X Cᵀ) takes less time than (B X) Cᵀ, by products, with what fills up 16 lanes and 4 columns counted."""
    (m1, n1), (m2, n2) = left, right

    def padded(count: int, whole: int) -> int:
        return -(-count // whole) * whole

    right_first = n1 * padded(terms * m2, ROWS) * padded(n2, COLUMNS) + m1 * padded(n1 * terms, COLUMNS) * padded(m2, ROWS)
    left_first = terms * m1 * padded(n1, COLUMNS) * padded(n2, ROWS) + m1 * padded(m2, ROWS) * padded(terms * n2, COLUMNS)
    return right_first <= LEFT_FIRST_FROM * left_first


def _sparse(matrix: Sparse | Tiles, bits: Bits) -> Fields:
    if isinstance(matrix, Sparse):
        raise ValueError(f"S has the pattern {matrix.pattern!r}, which has no product in int8; expected tiles, or float32")
    groups, scale_GP = len(matrix.offsets) - 1, by_group(_known(matrix.values_scale))
    sums_GP = np.zeros((groups, ROWS), np.int64)
    np.add.at(sums_GP, matrix.groups(), matrix.values.sum(axis=2, dtype=np.int64))
    return {
        "tiles": {
            "rows": matrix.shape[0], "columns": matrix.shape[1], "bits": bits, "units": matrix.shape[0] // 4,
            "values": _values(matrix.values, bits), "counts": np.diff(matrix.offsets.astype(np.int64)).astype(np.uint16),
            "places": matrix.columns.astype(np.uint16),
        } | _by_row(scale_GP, sums_GP, bits)
    }  # fmt: skip


def _blocks(values_MN: Narrow, scale_M: Array | None, bits: Bits, units: int = 0) -> Fields:
    """All blocks of a dense matrix, its rows in gate order if it has units."""
    rows, columns = values_MN.shape
    _check_width(columns)
    blocks = -(-columns // COLUMNS)
    number_M = np.arange(1, rows + 1)
    # The row at each place, from 1 on; 0 stands for none.
    row_GP = by_group(number_M) if units else np.pad(number_M, (0, -rows % ROWS)).reshape(-1, ROWS)
    values = np.pad(values_MN, [(1, 0), (0, blocks * COLUMNS - columns)])[row_GP]
    blocks_GBPC = values.reshape(-1, ROWS, blocks, COLUMNS).swapaxes(1, 2)
    return {
        "rows": rows, "columns": columns, "bits": bits, "units": units,
        "values": _values(blocks_GBPC.reshape(-1, ROWS, COLUMNS), bits),
    } | _by_row(np.pad(_known(scale_M), (1, 0))[row_GP], values.sum(axis=2, dtype=np.int64), bits)  # fmt: skip


def _by_row(scale_GP: Array, sums_GP: npt.NDArray[np.int64], bits: Bits) -> Fields:
    """Scales and sums of the rows in the order of the blocks, scales in 16 bits where that loses nothing."""
    factor = 16 if bits == 4 else 1
    scale = np.ascontiguousarray(scale_GP.ravel() / np.float32(factor))
    sums = {"sums": (factor * sums_GP).ravel().astype(np.int32)}
    pieces = scale.view(np.uint32)
    if (pieces & 0xFFFF).any():
        return {"scales": scale} | sums
    return {"short_scales": (pieces >> 16).astype(np.uint16)} | sums


def _values(values_ZPC: Narrow, bits: Bits) -> Narrow | npt.NDArray[np.uint8]:
    if bits == 8:
        return np.ascontiguousarray(values_ZPC)
    if values_ZPC.size and not (values_ZPC.min() >= -8 and values_ZPC.max() <= 7):
        raise ValueError(f"values from {values_ZPC.min()} to {values_ZPC.max()}; expected 4 bits, from -8 to 7")
    halves = values_ZPC.reshape(-1, 2, ROWS * COLUMNS // 2).view(np.uint8)
    return np.ascontiguousarray(halves[:, 0] & 15 | halves[:, 1] << 4)


def _known(scale: Array | None) -> Array:
    if scale is None:
        raise ValueError(
            "a matrix of float32 values has no product in int8; round it first (doping.inference.kernels.narrowed)"
        )
    return scale


def _check_width(columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise ValueError(f"a matrix or factor has {columns:,} columns; products in int8 have up to {MOST_COLUMNS:,}")


def arrays(matrix: Fields) -> list[npt.NDArray[Any]]:
    """All arrays of a structure."""
    found: list[npt.NDArray[Any]] = []
    for value in matrix.values():
        found += arrays(value) if isinstance(value, dict) else [value] * isinstance(value, np.ndarray)
    return found


def stored_bytes(matrix: Matrix, bits: Bits = 8) -> int:
    """Bytes of the arrays that a product reads."""
    return sum(array.nbytes for array in arrays(fields(matrix, bits)))
