"""Sparse matrices that start dense and are pruned by magnitude while they train.

The baseline ``pruned`` is such a matrix alone; ``S`` of a doped matrix is one beside a structured matrix. How much is pruned
when is decided by a schedule elsewhere (``doping.training.schedules``); here is what pruning does. What is pruned together
is decided by the pattern (``doping.matrices.blocks``): a block lives or dies as a whole, by its norm.

Legend of dimensions: as in ``blocks``, and G groups of W columns (of N:M).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from doping.matrices.base import Matrix, Plan, root_mean_square, uniform
from doping.matrices.blocks import blocked, products, unblocked
from doping.matrices.budget import Size, sparse_size
from doping.patterns import PATTERNS, geometry


class Sparse(Matrix):
    """A weight and what is pruned of it; the latter is a buffer, so it is saved with the weight.

    ``planned_nonzeros`` is how many values are stored when pruning is over: a multiple of the pattern's step.

    ``pruned`` (m, n) is zero where the weight is left, and a positive number where it is pruned. What is pruned never comes
    back, so in a model whose buffers are means over the course of a training (``torch.optim.swa_utils.AveragedModel``) an
    entry is zero only if it was left until the last of them: averaged models end with the final mask. With ones for what
    is left instead, or with bools, they do not.
    """

    pruned: Tensor

    def __init__(self, weight_MN: Tensor, mask_MN: Tensor, planned_nonzeros: int, pattern: str = "unstructured"):
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
        """(..., n) → (..., m), over the blocks that are left."""
        return products(x, blocked(self.weight, self.pattern), self._kept_blocks(), self.pattern, self.shape[0])

    def size(self) -> Size:
        """Values that are stored, and their indices."""
        return sparse_size(self.shape, self.stored_values(), self.pattern)

    def stored_values(self) -> int:
        """How many values are stored: of the blocks that are left; of N:M, as many in all groups as in the fullest."""
        if width := PATTERNS[self.pattern].group:
            kept_MGW = _grouped(self.mask, width, False)
            return int(kept_MGW.sum(-1).max()) * kept_MGW.shape[0] * kept_MGW.shape[1]
        return int(self._kept_blocks().sum()) * PATTERNS[self.pattern].entries

    def nonzeros(self) -> int:
        """How many values the mask leaves."""
        return int(self.mask.sum())

    def _kept_blocks(self) -> Tensor:
        """Which blocks are left, (p, q). The first entry of a block is always within the matrix."""
        return blocked(self.mask, self.pattern)[:, 0]

    def _norms(self, scale_MN: Tensor | None) -> Tensor:
        """Norm of each block of the weight, its entries multiplied with ``scale_MN`` if given; (p, q)."""
        weight_PEQ = blocked(self.weight if scale_MN is None else self.weight * scale_MN, self.pattern)
        # Squares of tiny values would be zero. And vector_norm is a hundred times slower than this.
        return weight_PEQ[:, 0].abs() if weight_PEQ.shape[1] == 1 else weight_PEQ.square().sum(1).sqrt()

    @property
    def planned_sparsity(self) -> float:
        """Share of zeros when pruning is over."""
        return 1 - self.planned_nonzeros / (self.shape[0] * self.shape[1])

    @torch.no_grad()
    def prune(self, nonzeros: int, scale_MN: Tensor | None = None) -> None:
        """Keep the blocks of largest norm, ``nonzeros`` values of them, of equal ones the first in row order.

        The number is rounded to whole blocks; what is gone stays gone. ``scale_MN`` says how much a value matters beside
        its magnitude: norms are those of the weight multiplied with it. Of N:M the largest of each group are kept, and while
        the number is between two N, the largest of those that the larger N would keep.
        """
        kept_PQ = self._kept_blocks()
        norms_PQ = torch.where(kept_PQ, self._norms(scale_MN), -1.0)
        if width := PATTERNS[self.pattern].group:
            keep_PQ = kept_PQ & _n_of_each(norms_PQ, width, nonzeros)
        else:
            blocks = round(nonzeros / PATTERNS[self.pattern].entries)
            if blocks >= int(kept_PQ.sum()):
                return
            keep_PQ = _largest(norms_PQ, blocks)
        keep_PEQ = keep_PQ[:, None].expand(-1, PATTERNS[self.pattern].entries, -1)
        self.pruned.copy_(~unblocked(keep_PEQ, self.pattern, self.shape))
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


def _largest(norms: Tensor, count: int) -> Tensor:
    """Where the largest are, so many of them, and of equal ones the first."""
    flat = norms.flatten()
    threshold = torch.kthvalue(flat, flat.numel() - count).values
    keep = flat > threshold
    tied = (flat == threshold).nonzero().flatten()
    keep[tied[: count - int(keep.sum())]] = True
    return keep.view_as(norms)


def _n_of_each(norms_MN: Tensor, width: int, stored: int) -> Tensor:
    """Where the largest of each group of columns are, so many that ``stored`` values are stored, (m, n)."""
    grouped_MGW = _grouped(norms_MN, width, -2.0)
    rank_MGW = grouped_MGW.argsort(dim=-1, descending=True, stable=True).argsort(-1)
    whole, rest = divmod(stored, grouped_MGW.shape[0] * grouped_MGW.shape[1])
    keep_MGW = rank_MGW < whole
    if rest:
        keep_MGW |= _largest(torch.where(rank_MGW == whole, grouped_MGW, -3.0), rest)
    return keep_MGW.flatten(1)[:, : norms_MN.shape[1]]


def _grouped(matrix_MN: Tensor, width: int, fill: float) -> Tensor:
    """Groups of columns, the last one filled up: (m, n) → (m, g, width)."""
    padded = F.pad(matrix_MN, (0, -matrix_MN.shape[1] % width), value=fill)
    return padded.reshape(len(padded), -1, width)


@dataclass(frozen=True)
class SparsePlan(Plan):
    """The number of values that are stored once pruned, and the pattern; a multiple of the pattern's step."""

    nonzeros: int
    pattern: str = "unstructured"

    def __post_init__(self) -> None:
        geometry(self.shape, self.pattern)  # raises

    def size(self) -> Size:
        """Size once pruned."""
        return sparse_size(self.shape, self.nonzeros, self.pattern)

    def initialized(self, std: float) -> Sparse:
        """Uniform entries and nothing pruned yet."""
        weight_MN = uniform(*self.shape)
        weight_MN *= std / root_mean_square(weight_MN)
        return Sparse(weight_MN, torch.ones(self.shape, dtype=torch.bool), self.nonzeros, self.pattern)

    def fitted(self, weight_MN: Tensor) -> Sparse:
        """The blocks of largest norm."""
        matrix = self.unpruned(weight_MN)
        matrix.prune(self.nonzeros)
        return matrix

    def unpruned(self, weight_MN: Tensor) -> Sparse:
        """All of it, nothing pruned yet."""
        weight_MN = weight_MN.detach()
        return Sparse(weight_MN, torch.ones_like(weight_MN, dtype=torch.bool), self.nonzeros, self.pattern)

    def __str__(self) -> str:
        if width := PATTERNS[self.pattern].group:
            return f"{self.nonzeros // geometry(self.shape, self.pattern).step} of {width} columns"
        return f"{self.nonzeros:,} nonzeros{PATTERNS[self.pattern]}"
