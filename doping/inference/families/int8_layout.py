"""A narrow matrix as the C structure ``int8_matrix`` wants it; ``int8.h`` says how.

Legend: M rows, N columns, G groups of 16 rows, P = 16 places in a group, B blocks of C = 4 columns.

"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from doping.inference.families.narrow import Bits, fit_in_4_bits
from doping.inference.families.sparse import Array, Sparse
from doping.inference.families.tiles import Tiles, by_group

if TYPE_CHECKING:
    from doping.inference.families.matrix import Matrix

NO_STRUCTURE, DENSE, KRONECKER, LOW_RANK, HYBRID, KRONECKER_LEFT_FIRST, MONARCH = range(7)
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


def fitting_bits(matrix: Matrix) -> Bits:
    """4 if all values fit in them, but those that keep 8 in any case; else 8. Products are the same, bit for bit."""
    from doping.inference.families.matrix import Sum

    for part in (matrix.structured, matrix.sparse) if isinstance(matrix, Sum) else (matrix,):
        if isinstance(part, Sparse | Tiles):
            arrays = [part.values]
        elif part.rounds_vectors:
            return 8
        else:
            arrays = [getattr(part, name) for name in part.may_be_narrow() if part.least_bits.get(name, 4) == 4]
        if not all(map(fit_in_4_bits, arrays)):
            return 8
    return 4


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
    from doping.inference.families.matrix import Sum  # which is made of matrices that lay themselves out with this module

    sparse = matrix.sparse if isinstance(matrix, Sum) else matrix if isinstance(matrix, Sparse | Tiles) else None
    structured = matrix.structured if isinstance(matrix, Sum) else None if isinstance(matrix, Sparse | Tiles) else matrix
    rows, columns = matrix.shape
    units = rows // 4 if gates or sparse else 0
    made: Fields = {"rows": rows, "columns": columns, "units": units}
    if structured:
        made |= structured.int8_layout(bits, units)
    return made | _sparse(sparse, bits) if sparse else made


def in_gate_order(per_row_M: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A number per row of stacked gates, (m,) → (groups · 16,), filled up to whole 16 units with zeros."""
    ordered = by_group(per_row_M).ravel()
    return np.pad(ordered, (0, -len(ordered) % (4 * ROWS)))


def right_first(terms: int, left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    """Whether B (X Cᵀ) takes less time than (B X) Cᵀ, by products, with what fills up 16 lanes and 4 columns counted."""
    (m1, n1), (m2, n2) = left, right

    def padded(count: int, whole: int) -> int:
        return -(-count // whole) * whole

    first = n1 * padded(terms * m2, ROWS) * padded(n2, COLUMNS) + m1 * padded(n1 * terms, COLUMNS) * padded(m2, ROWS)
    left_first = terms * m1 * padded(n1, COLUMNS) * padded(n2, ROWS) + m1 * padded(m2, ROWS) * padded(terms * n2, COLUMNS)
    return first <= LEFT_FIRST_FROM * left_first


def _sparse(matrix: Sparse | Tiles, bits: Bits) -> Fields:
    if isinstance(matrix, Sparse):
        raise ValueError(f"S has the pattern {matrix.pattern!r}, which has no product in int8; expected tiles, or float32")
    groups, scale_GP = len(matrix.offsets) - 1, by_group(known(matrix.values_scale))
    sums_GP = np.zeros((groups, ROWS), np.int64)
    np.add.at(sums_GP, matrix.groups(), matrix.values.sum(axis=2, dtype=np.int64))
    return {
        "tiles": {
            "rows": matrix.shape[0], "columns": matrix.shape[1], "bits": bits, "units": matrix.shape[0] // 4,
            "values": _values(matrix.values, bits), "counts": np.diff(matrix.offsets.astype(np.int64)).astype(np.uint16),
            "places": matrix.columns.astype(np.uint16),
        } | _by_row(scale_GP, sums_GP, bits)
    }  # fmt: skip


def blocks(values_MN: Narrow, scale_M: Array | None, bits: Bits, units: int = 0, *, listed: bool = False) -> Fields:
    """All blocks of a dense matrix, or those that are not zero, listed; its rows in gate order if it has units.

    Raises:
        ValueError: its values are float32, or it is too wide.

    """
    rows, columns = values_MN.shape
    check_width(columns)
    across = -(-columns // COLUMNS)
    number_M = np.arange(1, rows + 1)
    # The row at each place, from 1 on; 0 stands for none.
    row_GP = by_group(number_M) if units else np.pad(number_M, (0, -rows % ROWS)).reshape(-1, ROWS)
    values = np.pad(values_MN, [(1, 0), (0, across * COLUMNS - columns)])[row_GP]
    blocks_GBPC = values.reshape(-1, ROWS, across, COLUMNS).swapaxes(1, 2)
    blocks_ZPC, there = blocks_GBPC.reshape(-1, ROWS, COLUMNS), {}
    if listed:
        stored_GB = blocks_GBPC.any(axis=(2, 3))
        blocks_ZPC = blocks_GBPC[stored_GB]
        there = {"counts": stored_GB.sum(axis=1, dtype=np.uint16), "places": np.nonzero(stored_GB)[1].astype(np.uint16)}
    return {
        "rows": rows, "columns": columns, "bits": bits, "units": units, "values": _values(blocks_ZPC, bits),
    } | there | _by_row(np.pad(known(scale_M), (1, 0))[row_GP], values.sum(axis=2, dtype=np.int64), bits)  # fmt: skip


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


def known(scale: Array | None) -> Array:
    """The scales of a narrow matrix.

    Raises:
        ValueError: it is not narrow.

    """
    if scale is None:
        raise ValueError(
            "a matrix of float32 values has no product in int8; round it first (doping.inference.kernels.narrowed)"
        )
    return scale


def check_width(columns: int) -> None:
    """Whether so many products can be summed.

    Raises:
        ValueError: they cannot.

    """
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
