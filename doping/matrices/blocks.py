"""Dopant patterns: which entries of a sparse matrix live and die together.

A block is one column of a few rows, so a single column index serves all of its values. That is what makes a sparse product
fast on a CPU: one input is loaded, and multiplied with several values that lie side by side.

- ``unstructured``: each entry for itself.
- ``gates``: the four gates of a hidden unit; of (4·H, n) the rows k, k + H, k + 2·H and k + 3·H.
- ``rows``: eight consecutive rows. They may belong to two gates where H is no multiple of 8: the product does not care.
  Where m is no multiple of 8, the last blocks reach beyond the matrix; they are stored with zeros there, as long as all
  others, and these zeros count as stored values.

Legend of dimensions: M rows, N columns, P rows of blocks, E entries of a block.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from doping.method import Pattern

BLOCK_ENTRIES: dict[Pattern, int] = {"unstructured": 1, "gates": 4, "rows": 8}
"""Values of a block, by pattern."""


def blocked(matrix_MN: Tensor, pattern: Pattern) -> Tensor:
    """The entries by block, (m, n) → (p, e, n); zeros where blocks reach beyond the matrix."""
    entries = BLOCK_ENTRIES[pattern]
    if pattern == "gates":
        return matrix_MN.reshape(entries, -1, matrix_MN.shape[1]).transpose(0, 1)
    return F.pad(matrix_MN, (0, 0, 0, -matrix_MN.shape[0] % entries)).reshape(-1, entries, matrix_MN.shape[1])


def unblocked(vectors_PE: Tensor, pattern: Pattern, rows: int) -> Tensor:
    """Vectors given by block put in the order of the rows, (..., p, e) → (..., m)."""
    if pattern == "gates":
        vectors_PE = vectors_PE.mT
    return vectors_PE.flatten(-2)[..., :rows]
