"""Sparse matrices that start dense and are pruned by magnitude while they train.

The baseline ``pruned`` is such a matrix alone; ``S`` of a doped matrix is one beside a structured matrix. How much is pruned
when is decided by a schedule elsewhere (``lightning_modules.schedules``); here is what pruning does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_modules.matrices.base import Matrix, Plan, root_mean_square, uniform
from lightning_modules.matrices.budget import Size, sparse_size


class Sparse(Matrix):
    """A weight and the mask of what is left of it; the mask is a buffer, so it is saved with the weight.

    ``planned_nonzeros`` is how many nonzeros are left when pruning is over.
    """

    mask: Tensor

    def __init__(self, weight_MN: Tensor, mask_MN: Tensor, planned_nonzeros: int):
        super().__init__()
        self.shape = (weight_MN.shape[0], weight_MN.shape[1])
        self.planned_nonzeros = planned_nonzeros
        self.weight = nn.Parameter(weight_MN * mask_MN)
        self.register_buffer("mask", mask_MN)

    def dense(self) -> Tensor:
        """The weight with zeros where it was pruned, (m, n); no gradient flows there."""
        return self.weight * self.mask

    def matmul(self, x: Tensor) -> Tensor:
        """(..., n) → (..., m), over the nonzeros only."""
        rows, columns = self.mask.nonzero(as_tuple=True)
        products = x[..., columns] * self.weight[rows, columns]
        return x.new_zeros(*x.shape[:-1], self.shape[0]).index_add(-1, rows, products)

    def size(self) -> Size:
        """Nonzeros, and their indices."""
        return sparse_size(self.shape, self.nonzeros())

    def nonzeros(self) -> int:
        """How many values the mask leaves."""
        return int(self.mask.sum())

    @property
    def planned_sparsity(self) -> float:
        """Share of zeros when pruning is over."""
        return 1 - self.planned_nonzeros / (self.shape[0] * self.shape[1])

    @torch.no_grad()
    def prune(self, nonzeros: int) -> None:
        """Keep the ``nonzeros`` largest magnitudes, of equal ones the first in row order; what is gone stays gone."""
        surplus = self.nonzeros() - nonzeros
        if surplus <= 0:
            return
        magnitudes = torch.where(self.mask, self.weight.abs(), -1.0).flatten()
        rank_of_threshold = magnitudes.numel() - nonzeros
        threshold = torch.kthvalue(magnitudes, rank_of_threshold).values if rank_of_threshold else magnitudes.min() - 1
        keep = magnitudes > threshold
        tied = (magnitudes == threshold).nonzero().flatten()
        keep[tied[: nonzeros - int(keep.sum())]] = True
        self.mask.copy_(keep.view(self.shape))
        self.apply_mask()

    @torch.no_grad()
    def apply_mask(self) -> None:
        """Zero what was pruned: momentum and Adam move pruned weights even where their gradient is zero."""
        self.weight.mul_(self.mask)


@dataclass(frozen=True)
class SparsePlan(Plan):
    """The number of nonzeros once pruned."""

    nonzeros: int

    def size(self) -> Size:
        """Size once pruned."""
        return sparse_size(self.shape, self.nonzeros)

    def initialized(self, std: float) -> Sparse:
        """Uniform entries and nothing pruned yet."""
        weight_MN = uniform(*self.shape)
        weight_MN *= std / root_mean_square(weight_MN)
        return Sparse(weight_MN, torch.ones(self.shape, dtype=torch.bool), self.nonzeros)

    def fitted(self, weight_MN: Tensor) -> Sparse:
        """The largest magnitudes."""
        weight_MN = weight_MN.detach()
        matrix = Sparse(weight_MN, torch.ones_like(weight_MN, dtype=torch.bool), self.nonzeros)
        matrix.prune(self.nonzeros)
        return matrix

    def __str__(self) -> str:
        return f"{self.nonzeros:,} nonzeros"
