"""Doping: W = M + S, any structured matrix M plus an extremely sparse S (Thakker et al., MLSys 2021, arXiv 2102.07071).

M and S train together while S is pruned, until size(M) + size(S) fit the budget. The two adapt to each other while S is
dense (co-matrix adaptation, CMA); co-matrix row dropout (CMR) makes each do without the other: in a training step every
output row of M x and of S x is dropped with probability p, independently, and what stays is scaled by 1 / (1 − p), which
keeps the expectation. Drawn once a minibatch that is a mask on the rows of the matrices,
W = diag(b₁) M + diag(b₂) S, so the fused LSTM kernels stay usable. A row can lose both parts, with probability p²: the
draws are independent, as the paper has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from doping.matrices.base import Matrix, Plan
from doping.matrices.budget import Size
from doping.matrices.sparse import Sparse, SparsePlan
from doping.method import RowDropout


class Doped(Matrix):
    """W = M + S.

    ``cmr_probability`` is the p in force: ``cmr.probability`` at first; where it is to fall with the pruning, a schedule
    sets it. It is no part of the state.
    """

    _p: Tensor

    def __init__(self, structured: Matrix, sparse: Sparse, cmr: RowDropout):
        super().__init__()
        self.shape = structured.shape
        self.structured = structured
        self.sparse = sparse
        self.cmr = cmr
        # Compiled code takes p from a tensor: a number would be compiled anew at each of its values.
        self.register_buffer("_p", torch.tensor(0.0), persistent=False)
        self.cmr_probability = cmr.probability

    @property
    def cmr_probability(self) -> float:
        """The p in force."""
        return self._cmr_probability

    @cmr_probability.setter
    def cmr_probability(self, p: float) -> None:
        self._cmr_probability = p
        self._p.fill_(p)

    def dense(self) -> Tensor:
        """M + S, (m, n)."""
        return self.structured.dense() + self.sparse.dense()

    def sample(self) -> Tensor:
        """diag(b₁) M + diag(b₂) S with fresh b in training mode, M + S in evaluation mode; (m, n)."""
        if not self.training or self.cmr.probability == 0:
            return self.dense()
        p = self._p if torch.compiler.is_compiling() else self.cmr_probability
        if isinstance(p, float) and p == 0:
            return self.dense()
        structured, sparse = self.structured.dense(), self.sparse.dense()
        if self.cmr.on == "both":
            structured = structured * _kept_rows(structured, p)
        return torch.addcmul(structured, sparse, _kept_rows(sparse, p))

    def matmul(self, x: Tensor) -> Tensor:
        """M x + S x, (..., n) → (..., m)."""
        return self.structured.matmul(x) + self.sparse.matmul(x)

    def scale_gradients(self) -> None:
        """Those of M."""
        self.structured.scale_gradients()

    def size(self) -> Size:
        """Both parts."""
        return self.structured.size() + self.sparse.size()


def _kept_rows(matrix_MN: Tensor, p: float | Tensor) -> Tensor:
    """A column (m, 1) of zeros with probability p and of 1 / (1 − p) otherwise."""
    if isinstance(p, Tensor):
        return (torch.rand_like(matrix_MN[:, :1]) >= p) / (1 - p)
    return torch.empty_like(matrix_MN[:, :1]).bernoulli_(1 - p).div_(1 - p)


@dataclass(frozen=True)
class DopedPlan(Plan):
    """The plans of M and S, the share of the initial variance that S starts with, and the row dropout in training."""

    structured: Plan
    sparse: SparsePlan
    sparse_variance: float
    cmr: RowDropout

    def size(self) -> Size:
        """Both parts, S pruned."""
        return self.structured.size() + self.sparse.size()

    def initialized(self, std: float) -> Doped:
        """Independent parts, whose variances add up."""
        structured = self.structured.initialized(std * (1 - self.sparse_variance) ** 0.5)
        return Doped(structured, self.sparse.initialized(std * self.sparse_variance**0.5), self.cmr)

    def fitted(self, weight_MN: Tensor) -> Doped:
        """The structured fit, then the largest residuals."""
        structured = self.structured.fitted(weight_MN)
        return Doped(structured, self.sparse.fitted(weight_MN.detach() - structured.dense().detach()), self.cmr)

    def unpruned(self, weight_MN: Tensor) -> Doped:
        """The structured fit, and all that it leaves: M + S is the dense matrix."""
        structured = self.structured.fitted(weight_MN)
        return Doped(structured, self.sparse.unpruned(weight_MN.detach() - structured.dense().detach()), self.cmr)

    def __str__(self) -> str:
        return f"{self.structured} + {self.sparse}"
