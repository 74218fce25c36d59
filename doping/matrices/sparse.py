"""Sparse matrices that start dense and are pruned by magnitude while they train.

The baseline ``pruned`` is such a matrix alone; ``S`` of a doped matrix is one beside a structured matrix. How much is pruned
when is decided by a schedule elsewhere (``doping.schedules``); here is what pruning does. What is pruned together
is decided by the pattern (``doping.matrices.blocks``): a block lives or dies as a whole, by its norm.

Legend of dimensions: as in ``blocks``, and K blocks that are left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from doping.matrices.base import Matrix, Plan, root_mean_square, uniform
from doping.matrices.blocks import BLOCK_ENTRIES, blocked, unblocked
from doping.matrices.budget import Size, sparse_size
from doping.method import Pattern


class Sparse(Matrix):
    """A weight and what is pruned of it; the latter is a buffer, so it is saved with the weight.

    ``planned_nonzeros`` is how many values are stored when pruning is over: a multiple of the entries of a block.

    ``pruned`` (m, n) is zero where the weight is left, and a positive number where it is pruned. What is pruned never comes
    back, so in a model whose buffers are means over the course of a training (``torch.optim.swa_utils.AveragedModel``) an
    entry is zero only if it was left until the last of them: averaged models end with the final mask. With ones for what
    is left instead, or with bools, they do not.
    """

    pruned: Tensor

    def __init__(self, weight_MN: Tensor, mask_MN: Tensor, planned_nonzeros: int, pattern: Pattern = "unstructured"):
        super().__init__()
        self.shape = (weight_MN.shape[0], weight_MN.shape[1])
        self.planned_nonzeros = planned_nonzeros
        self.pattern = pattern
        self.weight = nn.Parameter(weight_MN * mask_MN)
        self.register_buffer("pruned", _pruned(mask_MN))

    @property
    def mask(self) -> Tensor:
        """Where the weight is left, bool (m, n); a new tensor each time."""
        return self.pruned == 0

    def dense(self) -> Tensor:
        """The weight with zeros where it was pruned, (m, n); no gradient flows there."""
        return self.weight * self.mask

    def matmul(self, x: Tensor) -> Tensor:
        """(..., n) → (..., m), over the blocks that are left: each takes one entry of x."""
        block_rows_K, columns_K = self._kept_blocks().nonzero(as_tuple=True)
        weight_PEN = blocked(self.weight, self.pattern)
        products_KE = x[..., columns_K, None] * weight_PEN[block_rows_K, :, columns_K]
        y_PE = x.new_zeros(*x.shape[:-1], *weight_PEN.shape[:2]).index_add(-2, block_rows_K, products_KE)
        return unblocked(y_PE, self.pattern, self.shape[0])

    def size(self) -> Size:
        """Values of the blocks that are left, and their indices."""
        return sparse_size(self.shape, int(self._kept_blocks().sum()), BLOCK_ENTRIES[self.pattern])

    def nonzeros(self) -> int:
        """How many values the mask leaves."""
        return int(self.mask.sum())

    def _kept_blocks(self) -> Tensor:
        """Which blocks are left, (p, n). The first entry of a block is always within the matrix."""
        return blocked(self.mask, self.pattern)[:, 0]

    def _norms(self, scale_MN: Tensor | None) -> Tensor:
        """Norm of each block of the weight, its entries multiplied with ``scale_MN`` if given; (p, n)."""
        weight_PEN = blocked(self.weight if scale_MN is None else self.weight * scale_MN, self.pattern)
        # Squares of tiny values would be zero. And vector_norm is a hundred times slower than this.
        return weight_PEN[:, 0].abs() if weight_PEN.shape[1] == 1 else weight_PEN.square().sum(1).sqrt()

    @property
    def planned_sparsity(self) -> float:
        """Share of zeros when pruning is over."""
        return 1 - self.planned_nonzeros / (self.shape[0] * self.shape[1])

    @torch.no_grad()
    def prune(self, nonzeros: int, scale_MN: Tensor | None = None) -> None:
        """Keep the blocks of largest norm, ``nonzeros`` values of them, of equal ones the first in row order.

        The number is rounded to whole blocks; what is gone stays gone. ``scale_MN`` says how much a value matters beside
        its magnitude: norms are those of the weight multiplied with it.
        """
        blocks = round(nonzeros / BLOCK_ENTRIES[self.pattern])
        kept_PN = self._kept_blocks()
        if blocks >= int(kept_PN.sum()):
            return
        norms = torch.where(kept_PN, self._norms(scale_MN), -1.0).flatten()
        rank_of_threshold = norms.numel() - blocks
        threshold = torch.kthvalue(norms, rank_of_threshold).values
        keep = norms > threshold
        tied = (norms == threshold).nonzero().flatten()
        keep[tied[: blocks - int(keep.sum())]] = True
        keep_NPE = keep.view_as(kept_PN).mT[..., None].expand(-1, -1, BLOCK_ENTRIES[self.pattern])
        self.pruned.copy_(~unblocked(keep_NPE, self.pattern, self.shape[0]).mT)
        self.apply_mask()

    @torch.no_grad()
    def apply_mask(self) -> None:
        """Zero what was pruned: momentum and Adam move pruned weights even where their gradient is zero."""
        self.weight.mul_(self.mask)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Checkpoints had the mask at first.
        if f"{prefix}mask" in state_dict:
            state_dict[f"{prefix}pruned"] = _pruned(state_dict.pop(f"{prefix}mask"))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _pruned(mask_MN: Tensor) -> Tensor:
    return (~mask_MN).to(torch.float16)


@dataclass(frozen=True)
class SparsePlan(Plan):
    """The number of values that are stored once pruned, and the pattern; a multiple of the entries of a block."""

    nonzeros: int
    pattern: Pattern = "unstructured"

    def __post_init__(self) -> None:
        if self.pattern == "gates" and self.shape[0] % BLOCK_ENTRIES["gates"]:
            raise ValueError(f"pattern gates needs a matrix of 4·H rows, four gates of H; this one has {self.shape[0]} rows")

    def size(self) -> Size:
        """Size once pruned."""
        entries = BLOCK_ENTRIES[self.pattern]
        return sparse_size(self.shape, self.nonzeros // entries, entries)

    def initialized(self, std: float) -> Sparse:
        """Uniform entries and nothing pruned yet."""
        weight_MN = uniform(*self.shape)
        weight_MN *= std / root_mean_square(weight_MN)
        return Sparse(weight_MN, torch.ones(self.shape, dtype=torch.bool), self.nonzeros, self.pattern)

    def fitted(self, weight_MN: Tensor) -> Sparse:
        """The blocks of largest norm."""
        matrix = self.started(weight_MN)
        matrix.prune(self.nonzeros)
        return matrix

    def started(self, weight_MN: Tensor) -> Sparse:
        """All of it, nothing pruned yet."""
        weight_MN = weight_MN.detach()
        return Sparse(weight_MN, torch.ones_like(weight_MN, dtype=torch.bool), self.nonzeros, self.pattern)

    def __str__(self) -> str:
        in_blocks = "" if self.pattern == "unstructured" else f" in blocks of {BLOCK_ENTRIES[self.pattern]} {self.pattern}"
        return f"{self.nonzeros:,} nonzeros{in_blocks}"
