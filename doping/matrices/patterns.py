"""Dopant patterns as numbers: what of a sparse matrix is stored together, and what its indices weigh.

- ``unstructured``: each entry for itself.
- ``gates``: one column of the four gates of a hidden unit.
- ``rows``: one column of eight consecutive rows.
- ``tiles``: 4 gates x 4 units x 4 columns; its 64 values fill a register of 512 bits of int8.
- ``n_of_16``, ``n_of_32``: equally many entries of every 16 or 32 columns of a row (structured sparsity N:M). Where they
  are is said within the group, by four or five bits, and no offsets are needed.

Blocks that reach beyond the matrix are stored with zeros there, as long as all others, and these zeros count as stored
values; so do the places of a last group of columns that is too short for its N.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from doping.method import Pattern

BLOCK_ENTRIES: dict[Pattern, int] = {"unstructured": 1, "gates": 4, "rows": 8, "tiles": 64, "n_of_16": 1, "n_of_32": 1}
"""Values that share an index, by pattern."""

GROUP_COLUMNS: dict[Pattern, int] = {"n_of_16": 16, "n_of_32": 32}
"""Columns of a row of which equally many are kept, by pattern."""

GATES = UNITS = COLUMNS = 4
"""Of a tile."""


@dataclass(frozen=True)
class Geometry:
    """What a pattern makes of a matrix of a certain shape."""

    entries: int
    """Values that share an index."""
    step: int
    """Values that are stored more if there is one step more: a block, or of N:M one in every group of columns."""
    steps: int
    """Most steps: all of the matrix."""
    index_bits: int
    """Of an index."""
    offsets: int
    """Rows of blocks, each of which says how many blocks it has; 0 where all have as many."""


def geometry(shape: tuple[int, int], pattern: Pattern) -> Geometry:
    """The geometry of a matrix (m, n).

    Raises:
        ValueError: if the pattern follows the four gates of an LSTM, and the rows are no multiple of 4.

    """
    rows, columns = shape
    if pattern in ("gates", "tiles") and rows % GATES:
        raise ValueError(f"pattern {pattern} needs a matrix of 4·H rows, four gates of H; this one has {rows} rows")
    if width := GROUP_COLUMNS.get(pattern):
        return Geometry(1, rows * ceil(columns / width), min(width, columns), width.bit_length() - 1, 0)
    entries = BLOCK_ENTRIES[pattern]
    if pattern == "tiles":
        groups, across = ceil(rows / GATES / UNITS), ceil(columns / COLUMNS)
    else:
        groups, across = ceil(rows / entries), columns
    return Geometry(entries, entries, groups * across, 16 if across <= 1 << 16 else 32, groups)
