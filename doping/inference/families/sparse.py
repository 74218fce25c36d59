"""A sparse matrix S in compressed rows of blocks, as it is stored and as training leaves it.

A block is what shares one column index, by the *pattern*: a single value (``unstructured``), 8 consecutive rows (``rows``;
the last block reaches beyond the matrix where the rows are no multiple of 8, with zeros), or the four gates of a hidden unit
(``gates``; unit u has the rows u, u + H, u + 2 H and u + 3 H, where 4 H are all rows). Single values may be equally many in
every 16 or 32 columns of a row (``n_of_16``, ``n_of_32``): a file stores that in its own way, and all else takes them as
single values.

Legend: M rows, N columns, G groups of rows that form blocks, P rows of a block, Z blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from doping.patterns import PATTERNS

Array = npt.NDArray[np.float32]
Values = npt.NDArray[Any]
"""Float32, or int8 where there are scales."""
COLUMN_PATTERNS = tuple(name for name, pattern in PATTERNS.items() if pattern.columns == 1)
"""The patterns that are stored so: those whose blocks are a single column wide."""


@dataclass(frozen=True, eq=False)
class Sparse:
    """S by its blocks.

    Attributes:
        pattern: what a block is.
        shape: (m, n).
        values: (blocks, rows of a block); float32, or int8 with scales.
        columns: (blocks,), the column of each block.
        offsets: (groups of rows + 1,); blocks of group g are offsets[g] to offsets[g + 1] − 1.
        values_scale: (m,), what the values of each row are multiplied with, if they are int8.

    Raises:
        ValueError: if the arrays do not describe such a matrix: wrong shapes or types, a column that is not there, offsets
            that do not rise from 0 to the number of blocks.

    """

    pattern: str
    shape: tuple[int, int]
    values: Values
    columns: npt.NDArray[Any]
    offsets: npt.NDArray[Any]
    values_scale: Array | None = None

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS or PATTERNS[self.pattern].columns > 1:
            raise ValueError(f"pattern {self.pattern!r}; expected one of {', '.join(COLUMN_PATTERNS)}")
        groups, block = _groups(self.pattern, self.shape[0]), PATTERNS[self.pattern].rows
        blocks = len(self.columns)
        scale, kind = self.values_scale, np.float32 if self.values_scale is None else np.int8
        if self.values.shape != (blocks, block) or self.values.dtype != kind:
            raise ValueError(
                f"values are {self.values.dtype} {self.values.shape}; expected {kind.__name__} {(blocks, block)}"
            )
        if scale is not None and (scale.shape != self.shape[:1] or scale.dtype != np.float32):
            raise ValueError(f"the scales are {scale.dtype} {scale.shape}; expected float32 {self.shape[:1]}")
        if self.columns.ndim != 1 or self.columns.dtype.kind not in "ui":
            raise ValueError(f"columns are {self.columns.dtype} {self.columns.shape}; expected one whole number per block")
        if self.offsets.shape != (groups + 1,) or self.offsets.dtype.kind not in "ui":
            raise ValueError(f"offsets are {self.offsets.dtype} {self.offsets.shape}; expected {groups + 1} whole numbers")
        if blocks and not (self.columns.min() >= 0 and self.columns.max() < self.shape[1]):
            raise ValueError(f"a block lies in column {self.columns.max()}, but there are {self.shape[1]}")
        if self.offsets[0] != 0 or self.offsets[-1] != blocks or np.any(self.offsets[1:] < self.offsets[:-1]):
            raise ValueError(f"offsets must rise from 0 to {blocks}, the number of blocks")

    @classmethod
    def pack(cls, weight_MN: npt.ArrayLike, pattern: str = "unstructured") -> Sparse:
        """The blocks of a dense matrix in which any value is not zero."""
        weight_MN = np.asarray(weight_MN, np.float32)
        blocks_GPN = _blocks(weight_MN, pattern)
        group_Z, column_Z = np.nonzero((blocks_GPN != 0).any(axis=1))
        counts_G = np.bincount(group_Z, minlength=len(blocks_GPN))
        index = np.uint16 if weight_MN.shape[1] <= 1 << 16 else np.uint32
        return cls(
            pattern,
            (weight_MN.shape[0], weight_MN.shape[1]),
            np.ascontiguousarray(blocks_GPN[group_Z, :, column_Z]),
            column_Z.astype(index),
            np.concatenate([[0], np.cumsum(counts_G)]).astype(np.uint32),
        )

    def dense(self) -> Array:
        """The matrix written out, (m, n)."""
        blocks_GNP = np.zeros((len(self.offsets) - 1, self.shape[1], PATTERNS[self.pattern].rows), np.float32)
        # Added, not assigned: a column may come twice in a row, and then the kernels add.
        np.add.at(blocks_GNP, (self.groups(), self.columns.astype(np.int64)), self.widened().values)
        blocks_GPN = blocks_GNP.swapaxes(1, 2)
        if PATTERNS[self.pattern].gates > 1:
            return np.ascontiguousarray(blocks_GPN.swapaxes(0, 1)).reshape(self.shape)
        return np.ascontiguousarray(blocks_GPN.reshape(-1, self.shape[1])[: self.shape[0]])

    def widened(self) -> Sparse:
        """The same matrix with its values in float32."""
        if self.values_scale is None:
            return self
        return replace(
            self, values=self.values * by_group(self.values_scale, self.pattern)[self.groups()], values_scale=None
        )

    def groups(self) -> npt.NDArray[np.int64]:
        """The group of rows of each block, (blocks,)."""
        offsets = self.offsets.astype(np.int64)
        return np.repeat(np.arange(len(offsets) - 1), offsets[1:] - offsets[:-1])


def by_group(per_row_M: Array, pattern: str) -> Array:
    """A number a row in the order of the blocks, (m,) → (groups, rows of a block); rows beyond the matrix have 0."""
    return _blocks(per_row_M[:, None], pattern)[:, :, 0]


def _groups(pattern: str, rows: int) -> int:
    if rows % PATTERNS[pattern].gates:
        raise ValueError(f"a matrix of {rows} rows has no four gates; expected a multiple of 4")
    return -(-rows // PATTERNS[pattern].rows)


def _blocks(weight_MN: Array, pattern: str) -> Array:
    """The matrix cut into blocks of rows, (groups, rows of a block, n)."""
    rows, columns = weight_MN.shape
    groups, block = _groups(pattern, rows), PATTERNS[pattern].rows
    if PATTERNS[pattern].gates > 1:
        return weight_MN.reshape(block, groups, columns).swapaxes(0, 1)
    padded = np.zeros((groups * block, columns), np.float32)
    padded[:rows] = weight_MN
    return padded.reshape(groups, block, columns)
