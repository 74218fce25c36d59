"""The blocks of a sparse matrix: which entries live and die together, as tensors.

``doping.matrices.patterns`` says what the patterns are. A block shares a single index, and that is what makes a sparse
product fast on a CPU: few inputs are loaded, and multiplied with several values that lie side by side.

- ``gates``: of (4·H, n) the rows k, k + H, k + 2·H and k + 3·H, in one column.
- ``rows``: they may belong to two gates where H is no multiple of 8: the product does not care.
- ``tiles``: the units 4 g to 4 g + 3 of all four gates, in the columns 4 q to 4 q + 3; its entries are in the order gate,
  unit, column. Where units or columns are no multiple of 4, the last tiles reach beyond the matrix, with zeros.

Legend of dimensions: M rows, N columns, P rows of blocks, E entries of a block, Q blocks side by side (N but for tiles).
"""

from __future__ import annotations

from math import ceil

import torch.nn.functional as F
from torch import Tensor

from doping.matrices.patterns import BLOCK_ENTRIES, COLUMNS, GATES, UNITS
from doping.method import Pattern


def blocked(matrix_MN: Tensor, pattern: Pattern) -> Tensor:
    """The entries by block, (m, n) → (p, e, q); zeros where blocks reach beyond the matrix."""
    entries, (rows, columns) = BLOCK_ENTRIES[pattern], matrix_MN.shape
    if pattern == "gates":
        return matrix_MN.reshape(entries, -1, columns).transpose(0, 1)
    if pattern == "tiles":
        by_gate = matrix_MN.reshape(GATES, -1, columns)
        padded = F.pad(by_gate, (0, -columns % COLUMNS, 0, -by_gate.shape[1] % UNITS))
        tiles = padded.reshape(GATES, padded.shape[1] // UNITS, UNITS, -1, COLUMNS)
        return tiles.permute(1, 0, 2, 4, 3).reshape(tiles.shape[1], entries, -1)
    return F.pad(matrix_MN, (0, 0, 0, -rows % entries)).reshape(-1, entries, columns)


def unblocked(blocks_PEQ: Tensor, pattern: Pattern, shape: tuple[int, int]) -> Tensor:
    """The matrix of all blocks, (p, e, q) → (m, n): the inverse of :func:`blocked`."""
    rows, columns = shape
    if pattern == "gates":
        return blocks_PEQ.transpose(0, 1).reshape(shape)
    if pattern == "tiles":
        tiles = blocks_PEQ.reshape(-1, GATES, UNITS, COLUMNS, ceil(columns / COLUMNS)).permute(1, 0, 2, 4, 3)
        padded = tiles.reshape(GATES, blocks_PEQ.shape[0] * UNITS, -1)
        return padded[:, : rows // GATES, :columns].reshape(shape)
    return blocks_PEQ.reshape(-1, columns)[:rows]


def products(x: Tensor, weight_PEQ: Tensor, kept_PQ: Tensor, pattern: Pattern, rows: int) -> Tensor:
    """Product of the kept blocks with the vectors of ``x``, (..., n) → (..., m)."""
    group_K, place_K = kept_PQ.nonzero(as_tuple=True)
    blocks_KE = weight_PEQ[group_K, :, place_K]
    if pattern == "tiles":
        x_QC = F.pad(x, (0, -x.shape[-1] % COLUMNS)).reshape(*x.shape[:-1], -1, COLUMNS)
        by_row_KEC = blocks_KE.reshape(-1, GATES * UNITS, COLUMNS)
        products_KE = (by_row_KEC * x_QC[..., place_K, None, :]).sum(-1)
    else:
        products_KE = x[..., place_K, None] * blocks_KE
    y_PE = x.new_zeros(*x.shape[:-1], len(kept_PQ), products_KE.shape[-1]).index_add(-2, group_K, products_KE)
    if pattern == "tiles":
        by_gate = y_PE.reshape(*y_PE.shape[:-1], GATES, UNITS).transpose(-3, -2).flatten(-2)
        return by_gate[..., : rows // GATES].flatten(-2)
    return (y_PE.mT if pattern == "gates" else y_PE).flatten(-2)[..., :rows]
