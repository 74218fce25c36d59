"""The sparsity patterns by name: which values of a sparse matrix are pruned together and share an index, and what their
indices weigh. Needs no PyTorch, so that studies are read at once.

- ``unstructured``: each value for itself.
- ``gates``: one column of the four gates of a hidden unit.
- ``rows``: one column of eight consecutive rows.
- ``tiles``: 4 gates x 4 units x 4 columns; its 64 values fill a register of 512 bits of int8.
- ``n_of_16``, ``n_of_32``: equally many values of every 16 or 32 columns of a row (structured sparsity N:M). Where they
  are is said within the group, by four or five bits, and no offsets are needed.

Blocks that reach beyond the matrix are stored with zeros there, as long as all others, and these zeros count as stored
values; so do the places of a last group of columns that is too short for its N.

A new pattern is a line in ``PATTERNS``, if it is made of gates, rows and columns as these are; to be deployed it needs a
kernel, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Annotated

from doping.settings import one_of


@dataclass(frozen=True)
class Pattern:
    """A sparsity pattern: a block of ``gates`` · ``units`` rows and ``columns`` columns, or N of a group of columns.

    Attributes:
        name: in the settings of a method.
        label: for readers.
        gates: gates in a block: 4, or 1 where a block's rows follow one another.
        units: rows in a block, of each gate.
        columns: columns in a block.
        group: columns of which equally many are kept, in every row; 0 where blocks are kept.
        kernel: its number in ``enum doped_pattern``; None where a kernel takes it for another one.

    """

    name: str
    label: str
    gates: int = 1
    units: int = 1
    columns: int = 1
    group: int = 0
    kernel: int | None = None

    @property
    def rows(self) -> int:
        """Rows of a block."""
        return self.gates * self.units

    @property
    def entries(self) -> int:
        """Values of a block: those that share an index."""
        return self.rows * self.columns

    def __str__(self) -> str:
        """As a property of a matrix, e.g. `` in blocks of 4 gates``."""
        if self.columns > 1:
            return f" in {self.name}"
        return "" if self.entries == 1 else f" in blocks of {self.entries} {self.name}"


PATTERNS: dict[str, Pattern] = {
    pattern.name: pattern
    for pattern in (
        Pattern("unstructured", "unstructured", kernel=1),
        Pattern("gates", "4-gate blocks", gates=4, kernel=3),
        Pattern("rows", "8-row blocks", units=8, kernel=2),
        Pattern("tiles", "tiles", gates=4, units=4, columns=4),
        Pattern("n_of_16", "N of 16", group=16, kernel=1),
        Pattern("n_of_32", "N of 32", group=32, kernel=1),
    )
}
"""All of them; the first is what there is without a choice."""


PatternName = Annotated[str, one_of(lambda: PATTERNS)]
"""One of ``PATTERNS``."""


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


def geometry(shape: tuple[int, int], name: str) -> Geometry:
    """The geometry of a matrix (m, n) in a pattern.

    Raises:
        ValueError: if the pattern follows the four gates of an LSTM, and the rows are no multiple of 4.

    """
    (rows, columns), pattern = shape, PATTERNS[name]
    if rows % pattern.gates:
        raise ValueError(f"pattern {name} needs a matrix of 4·H rows, four gates of H; this one has {rows} rows")
    if width := pattern.group:
        return Geometry(1, rows * ceil(columns / width), min(width, columns), width.bit_length() - 1, 0)
    groups, across = ceil(rows / pattern.rows), ceil(columns / pattern.columns)
    return Geometry(pattern.entries, pattern.entries, groups * across, 16 if across <= 1 << 16 else 32, groups)
