"""The blocks of a sparse matrix: which entries live and die together, as tensors.

``doping.patterns`` says what the patterns are. A block shares a single index, and that is what makes a sparse product fast
on a CPU: few inputs are loaded, and multiplied with several values that lie side by side.

Of a matrix (4·H, n) a block of four gates holds the rows of a hidden unit, or of some that follow one another, in every
gate. Other blocks of rows may belong to two gates where H is no multiple of their height: the product does not care. The
entries of a block are in the order gate, unit, column. Where units or columns are no multiple of the block's, the last
blocks reach beyond the matrix, with zeros.

Legend of dimensions: M rows, N columns, P rows of blocks, E entries of a block, Q blocks side by side, C columns of a block,
K blocks that are left.
"""

from __future__ import annotations

from math import ceil

import torch.nn.functional as F
from torch import Tensor

from doping.patterns import PATTERNS


def blocked(matrix_MN: Tensor, pattern: str) -> Tensor:
    """The entries by block, (m, n) → (p, e, q); zeros where blocks reach beyond the matrix."""
    of = PATTERNS[pattern]
    by_gate = matrix_MN.reshape(of.gates, -1, matrix_MN.shape[1])
    beyond = (0, -by_gate.shape[2] % of.columns, 0, -by_gate.shape[1] % of.units)
    by_gate = F.pad(by_gate, beyond) if any(beyond) else by_gate
    blocks = by_gate.reshape(of.gates, by_gate.shape[1] // of.units, of.units, -1, of.columns)
    return blocks.permute(1, 0, 2, 4, 3).reshape(blocks.shape[1], of.entries, -1)


def unblocked(blocks_PEQ: Tensor, pattern: str, shape: tuple[int, int]) -> Tensor:
    """The matrix of all blocks, (p, e, q) → (m, n): the inverse of :func:`blocked`."""
    (rows, columns), of = shape, PATTERNS[pattern]
    blocks = blocks_PEQ.reshape(-1, of.gates, of.units, of.columns, ceil(columns / of.columns)).permute(1, 0, 2, 4, 3)
    by_gate = blocks.reshape(of.gates, blocks_PEQ.shape[0] * of.units, -1)
    return by_gate[:, : rows // of.gates, :columns].reshape(shape)


def products(x: Tensor, weight_PEQ: Tensor, kept_PQ: Tensor, pattern: str, rows: int) -> Tensor:
    """Product of the kept blocks with the vectors of ``x``, (..., n) → (..., m)."""
    of = PATTERNS[pattern]
    group_K, place_K = kept_PQ.nonzero(as_tuple=True)
    blocks_KE = weight_PEQ[group_K, :, place_K]
    if of.columns == 1:
        products_KE = x[..., place_K, None] * blocks_KE
    else:
        x_QC = F.pad(x, (0, -x.shape[-1] % of.columns)).reshape(*x.shape[:-1], -1, of.columns)
        products_KE = (blocks_KE.reshape(-1, of.rows, of.columns) * x_QC[..., place_K, None, :]).sum(-1)
    y_PE = x.new_zeros(*x.shape[:-1], len(kept_PQ), of.rows).index_add(-2, group_K, products_KE)
    by_gate = y_PE.reshape(*y_PE.shape[:-1], of.gates, of.units).transpose(-3, -2).flatten(-2)
    return by_gate[..., : rows // of.gates].flatten(-2)
