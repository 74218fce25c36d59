"""A sparse matrix S in tiles: 4 gates x 4 units x 4 columns, 64 values that share one index, as int8 instructions like them.

Rows are stacked gates, (4 units, n): gate k of unit u is row k · units + u. Tile (g, b) holds the units 4 g to 4 g + 3 of
all gates and the columns 4 b to 4 b + 3. Where units or columns are no multiple of 4, the last tiles reach beyond the
matrix, with zeros.

Legend: M rows, N columns, U units, G groups of 4 units, P = 16 rows of a group (gate first, then unit), Z tiles, C = 4
    columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from doping.inference.families.sparse import Array, Sparse, Values

GATES = UNITS = COLUMNS = 4
"""Of a tile."""
ROWS = GATES * UNITS


@dataclass(frozen=True, eq=False)
class Tiles:
    """S by its tiles.

    Attributes:
        shape: (m, n), m a multiple of 4, n at most 65,536.
        values: (tiles, 16, 4); float32, or int8 with scales.
        columns: (tiles,), first column / 4 of each tile.
        offsets: (groups of 4 units + 1,); tiles of group g are offsets[g] to offsets[g + 1] − 1, their columns rising.
        values_scale: (m,), what the values of each row are multiplied with, if they are int8.

    Raises:
        ValueError: if the arrays do not describe such a matrix: wrong shapes or types, a column that is not there, offsets
            that do not rise from 0 to the number of tiles, values beyond the matrix that are not zero.

    """

    shape: tuple[int, int]
    values: Values
    columns: npt.NDArray[Any]
    offsets: npt.NDArray[Any]
    values_scale: Array | None = None

    def __post_init__(self) -> None:
        groups, blocks = groups_of_tiles(self.shape)
        tiles, scale = len(self.columns), self.values_scale
        kind = np.float32 if scale is None else np.int8
        if self.values.shape != (tiles, ROWS, COLUMNS) or self.values.dtype != kind:
            expected = f"{kind.__name__} {(tiles, ROWS, COLUMNS)}"
            raise ValueError(f"values are {self.values.dtype} {self.values.shape}; expected {expected}")
        if scale is not None and (scale.shape != self.shape[:1] or scale.dtype != np.float32):
            raise ValueError(f"the scales are {scale.dtype} {scale.shape}; expected float32 {self.shape[:1]}")
        if self.columns.ndim != 1 or self.columns.dtype.kind not in "ui":
            raise ValueError(f"columns are {self.columns.dtype} {self.columns.shape}; expected one whole number per tile")
        if self.offsets.shape != (groups + 1,) or self.offsets.dtype.kind not in "ui":
            raise ValueError(f"offsets are {self.offsets.dtype} {self.offsets.shape}; expected {groups + 1} whole numbers")
        if tiles and not (self.columns.min() >= 0 and self.columns.max() < blocks):
            raise ValueError(f"a tile lies in columns {self.columns.max()} of four, but there are {blocks}")
        if self.offsets[0] != 0 or self.offsets[-1] != tiles or np.any(self.offsets[1:] < self.offsets[:-1]):
            raise ValueError(f"offsets must rise from 0 to {tiles}, the number of tiles")
        if np.any(np.diff(self.columns.astype(np.int64))[np.diff(self.groups()) == 0] <= 0):
            raise ValueError("columns of tiles do not rise within a group of units")
        if self.shape[1] % COLUMNS and self.values[self.columns == blocks - 1, :, self.shape[1] % COLUMNS :].any():
            raise ValueError(f"tiles have values beyond the last of {self.shape[1]} columns")
        units = self.shape[0] // GATES
        by_gate = self.values[int(self.offsets[-2]) :].reshape(-1, GATES, UNITS, COLUMNS)
        if units % UNITS and by_gate[:, :, units % UNITS :].any():
            raise ValueError(f"tiles have values beyond the last of {units} units")

    @classmethod
    def pack(cls, weight_MN: npt.ArrayLike) -> Tiles:
        """The tiles of a dense matrix in which any value is not zero.

        Raises:
            ValueError: if the rows are no multiple of 4, or there are more than 65,536 columns.

        """
        weight_MN = np.asarray(weight_MN, np.float32)
        return cls.kept(weight_MN, weight_MN)

    @classmethod
    def kept(cls, weight_MN: npt.ArrayLike, mask_MN: npt.ArrayLike) -> Tiles:
        """The tiles of a dense matrix that a mask keeps, also where all their values are zero by chance.

        Raises:
            ValueError: as :meth:`pack`.

        """
        weight_MN = np.asarray(weight_MN, np.float32)
        rows, columns = weight_MN.shape
        tiled = _tiled(weight_MN)
        group_Z, column_Z = np.nonzero(_tiled(np.asarray(mask_MN, np.float32)).any(axis=(2, 3)))
        offsets = np.searchsorted(group_Z, np.arange(len(tiled) + 1)).astype(np.uint32)
        return cls((rows, columns), np.ascontiguousarray(tiled[group_Z, column_Z]), column_Z.astype(np.uint16), offsets)

    def dense(self) -> Array:
        """The matrix written out, (m, n)."""
        (groups, blocks), (rows, columns) = groups_of_tiles(self.shape), self.shape
        tiled = np.zeros((groups, blocks, GATES, UNITS, COLUMNS), np.float32)
        tiled[self.groups(), self.columns] = self.widened().values.reshape(-1, GATES, UNITS, COLUMNS)
        padded = tiled.transpose(2, 0, 3, 1, 4).reshape(GATES, groups * UNITS, blocks * COLUMNS)
        return np.ascontiguousarray(padded[:, : rows // GATES, :columns]).reshape(self.shape)

    def widened(self) -> Tiles:
        """The same matrix with its values in float32."""
        if self.values_scale is None:
            return self
        values = self.values * by_group(self.values_scale)[self.groups()][..., None]
        return replace(self, values=values, values_scale=None)

    def as_gates(self) -> Sparse:
        """The same matrix in blocks of the four gates of a unit, without those of zeros: for the float32 kernels."""
        by_unit = self.values.reshape(-1, GATES, UNITS, COLUMNS)
        tile_Z, unit_Z, column_Z = np.nonzero(by_unit.any(axis=1))
        row_Z = UNITS * self.groups()[tile_Z] + unit_Z
        columns_Z = COLUMNS * self.columns.astype(np.int64)[tile_Z] + column_Z
        order = np.lexsort((columns_Z, row_Z))
        values = np.ascontiguousarray(by_unit[tile_Z, :, unit_Z, column_Z][order])
        offsets = np.searchsorted(row_Z[order], np.arange(self.shape[0] // GATES + 1)).astype(np.uint32)
        return Sparse("gates", self.shape, values, columns_Z[order].astype(np.uint16), offsets, self.values_scale)

    def groups(self) -> npt.NDArray[np.int64]:
        """The group of units of each tile, (tiles,)."""
        offsets = self.offsets.astype(np.int64)
        return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _tiled(weight_MN: Array) -> Array:
    """All tiles of a matrix, (groups, blocks of columns, 16, 4), with zeros beyond it."""
    rows, columns = weight_MN.shape
    groups, blocks = groups_of_tiles((rows, columns))
    padded = np.zeros((GATES, groups * UNITS, blocks * COLUMNS), np.float32)
    padded[:, : rows // GATES, :columns] = weight_MN.reshape(GATES, -1, columns)
    tiled = padded.reshape(GATES, groups, UNITS, blocks, COLUMNS).transpose(1, 3, 0, 2, 4)
    return tiled.reshape(groups, blocks, ROWS, COLUMNS)


def by_group(per_row_M: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A number per row in the order of the tiles, (m,) → (groups, 16); rows beyond the matrix have 0."""
    units = len(per_row_M) // GATES
    groups = -(-units // UNITS)
    padded = np.zeros((GATES, groups * UNITS), per_row_M.dtype)
    padded[:, :units] = per_row_M.reshape(GATES, units)
    return np.ascontiguousarray(padded.reshape(GATES, groups, UNITS).swapaxes(0, 1)).reshape(groups, ROWS)


def by_row(per_place_GP: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    """The inverse of :func:`by_group`: (groups, 16) → (m,)."""
    by_gate = per_place_GP.reshape(-1, GATES, UNITS).swapaxes(0, 1).reshape(GATES, -1)
    return np.ascontiguousarray(by_gate[:, : rows // GATES]).reshape(rows)


def groups_of_tiles(shape: tuple[int, int]) -> tuple[int, int]:
    """Groups of units and of columns."""
    rows, columns = shape
    if rows % GATES or columns > 1 << 16:
        raise ValueError(f"a matrix of {rows} x {columns} has no tiles; expected rows by fours and at most 65,536 columns")
    return -(-(rows // GATES) // UNITS), -(-columns // COLUMNS)
