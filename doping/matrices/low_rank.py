"""Low-rank matrix factorization (LMF): W = U V, with U (m, r) and V (r, n).

The best fit is the truncated singular value decomposition (Eckart & Young 1936).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Self

import torch
from torch import Tensor, nn

from doping.matrices.base import Matrix, Stored, StructuredPlan, array, root_mean_square, uniform
from doping.matrices.budget import Shape, Size, structured_size
from doping.matrices.scaled_gradients import scale_gradients


class LowRank(Matrix):
    """W = U V."""

    def __init__(self, u_MR: Tensor, v_RN: Tensor):
        super().__init__()
        self.shape = (u_MR.shape[0], v_RN.shape[1])
        self.u = nn.Parameter(u_MR)
        self.v = nn.Parameter(v_RN)

    def dense(self) -> Tensor:
        """U V, (m, n)."""
        return self.u @ self.v

    def matmul(self, x: Tensor) -> Tensor:
        """U (V x), (..., n) → (..., m)."""
        return (x @ self.v.mT) @ self.u.mT

    def scale_gradients(self) -> None:
        """Uᵀ and V are the factors."""
        assert self.u.grad is not None
        assert self.v.grad is not None
        scale_gradients(self.u.mT, self.u.grad.mT, self.v, self.v.grad)

    def stored(self) -> Stored:
        """``u`` and ``v``."""
        return Stored("low_rank", {"rank": self.v.shape[0]}, {"u": array(self.u), "v": array(self.v)})

    def size(self) -> Size:
        """r·(m + n) values and multiply–adds."""
        return LowRankPlan(self.shape, self.v.shape[0]).size()


@dataclass(frozen=True)
class LowRankPlan(StructuredPlan):
    """The rank r."""

    rank: int

    @classmethod
    def around(cls, shape: Shape, values: float) -> list[Self]:
        """The two ranks next to so many values."""
        rank = floor(values / sum(shape))
        return [cls(shape, r) for r in (rank, rank + 1) if 1 <= r <= min(shape)]

    @classmethod
    def for_doping(cls, shape: Shape, values: float, share: float | None) -> Self:
        """The largest rank within the share, by default half of the values."""
        rank = floor(values * (share or 0.5) / sum(shape))
        return cls(shape, min(max(rank, 1), *shape))

    def size(self) -> Size:
        """r·(m + n) values and multiply–adds."""
        values = self.rank * sum(self.shape)
        return structured_size(values, values, scales=self.shape[0] + self.rank)

    def initialized(self, std: float) -> LowRank:
        """Uniform factors of equal scale."""
        u_MR, v_RN = uniform(self.shape[0], self.rank), uniform(self.rank, self.shape[1])
        scale = (std / root_mean_square(u_MR @ v_RN)).sqrt()
        return LowRank(u_MR * scale, v_RN * scale)

    def fitted(self, weight_MN: Tensor) -> LowRank:
        """The truncated singular value decomposition, the singular values shared evenly by both factors."""
        u_MR, s_R, v_RN = torch.linalg.svd(weight_MN.detach(), full_matrices=False)
        root_R = s_R[: self.rank].sqrt()
        return LowRank(u_MR[:, : self.rank] * root_R, root_R[:, None] * v_RN[: self.rank])

    def __str__(self) -> str:
        return f"rank {self.rank}"
