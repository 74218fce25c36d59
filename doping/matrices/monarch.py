"""Monarch matrices: W is cut into C x B blocks, and each block is U V of a small rank R of its own.

That is a block-diagonal matrix, a permutation, and another block-diagonal matrix (Dao et al. 2022, arXiv 2204.00595): first
every stretch of inputs is multiplied by the V of its blocks, B products of (C·R, n / B); then every stretch of outputs
takes what belongs to it, C products of (m / C, B·R). There are as many multiply–adds as values, where a sum of Kronecker
products has several times as many, and the rank of the whole may be full. The nearest one is a truncated singular value
decomposition of each block.

Where rows divide by four they are taken for stacked gates, and a stretch of outputs is the four gates of some units: so
they read the same inputs, and lie side by side in the kernels.

Legend: G gates (4 or 1), P rows of one gate in a block, X = G·P; Q columns of a block; Y = B·R, Z = C·R.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Self

import torch
from torch import Tensor, nn

from doping.inference.families.monarch import gates_of
from doping.matrices.base import Matrix, Stored, StructuredPlan, array, divisors, root_mean_square, uniform
from doping.matrices.budget import Shape, Size, structured_size
from doping.matrices.scaled_gradients import scale_gradients


class Monarch(Matrix):
    """W of blocks U V: ``u`` (C, G·P, B·R) and ``v`` (B, C·R, Q)."""

    def __init__(self, u_CXY: Tensor, v_BZQ: Tensor):
        super().__init__()
        (c, x, y), (b, _, q) = u_CXY.shape, v_BZQ.shape
        self.plan = MonarchPlan((c * x, b * q), (c, b), y // b)
        self.shape = self.plan.shape
        self.u = nn.Parameter(u_CXY)
        self.v = nn.Parameter(v_BZQ)

    def dense(self) -> Tensor:
        """Every block written out, (m, n)."""
        u_CBXR, v_CBRQ = self._by_block(self.u, self.v)
        return _put_together(u_CBXR @ v_CBRQ, gates_of(self.shape[0]))

    def matmul(self, x: Tensor) -> Tensor:
        """Both block-diagonal products, (..., n) → (..., m)."""
        (c, b), g = self.plan.blocks, gates_of(self.shape[0])
        some, r, p = x.shape[:-1], self.plan.block_rank, self.u.shape[1] // g
        z_BZ1 = self.v @ x.reshape(*some, b, -1, 1)
        z_CY1 = z_BZ1.reshape(*some, b, c, r).transpose(-3, -2).reshape(*some, c, b * r, 1)
        return (self.u @ z_CY1).reshape(*some, c, g, p).transpose(-3, -2).flatten(-3)

    def scale_gradients(self) -> None:
        """Every block is a product of its own."""
        assert self.u.grad is not None
        assert self.v.grad is not None
        (u_CBXR, v_CBRQ), gradients = self._by_block(self.u, self.v), self._by_block(self.u.grad, self.v.grad)
        u_CBRX, v_CBRQ = (gradient.contiguous() for gradient in (gradients[0].mT, gradients[1]))
        scale_gradients(u_CBXR.mT, u_CBRX, self._by_block(self.u, self.v)[1], v_CBRQ)
        self.u.grad.copy_(u_CBRX.permute(0, 3, 1, 2).flatten(2))
        self.v.grad.copy_(v_CBRQ.transpose(0, 1).flatten(1, 2))

    def stored(self) -> Stored:
        """``u`` and ``v``."""
        sizes: dict[str, int | Shape] = {"blocks": self.plan.blocks, "rank": self.plan.block_rank}
        return Stored("monarch", sizes, {"u": array(self.u), "v": array(self.v)})

    def size(self) -> Size:
        """R·(B·m + C·n) values and multiply–adds."""
        return self.plan.size()

    def extra_repr(self) -> str:
        """Blocks and their rank."""
        return str(self.plan)

    def _by_block(self, u_CXY: Tensor, v_BZQ: Tensor) -> tuple[Tensor, Tensor]:
        """U (C, B, G·P, R) and V (C, B, R, Q)."""
        (c, b), r = self.plan.blocks, self.plan.block_rank
        return u_CXY.reshape(c, -1, b, r).transpose(1, 2), v_BZQ.reshape(b, c, r, -1).transpose(0, 1)


def _put_together(blocks_CBXQ: Tensor, gates: int) -> Tensor:
    """The matrix of these blocks, (m, n)."""
    c, b, x, q = blocks_CBXQ.shape
    return blocks_CBXQ.reshape(c, b, gates, x // gates, q).permute(2, 0, 3, 1, 4).reshape(c * x, b * q)


@dataclass(frozen=True)
class MonarchPlan(StructuredPlan):
    """Blocks (C, B) that rows and columns are cut into, and the rank R of each."""

    blocks: Shape
    block_rank: int

    @classmethod
    def around(cls, shape: Shape, values: float) -> list[Self]:
        """Plans of about so many values: highest rank first, then fewest blocks."""
        m, n = shape
        plans = []
        for c in divisors(m // gates_of(m)):
            for b in divisors(n):
                rank = floor(values / (b * m + c * n))
                plans += [cls(shape, (c, b), r) for r in (rank, rank + 1) if 1 <= r <= min(m // c, n // b)]
        return sorted(plans, key=lambda plan: (-plan.rank, plan.blocks[0] * plan.blocks[1], plan.blocks))

    @classmethod
    def for_doping(cls, shape: Shape, values: float, share: float | None) -> Self:
        """The one of highest rank and most values within the share, by default half of the values."""
        within = values * (share or 0.5)
        fitting = [plan for plan in cls.around(shape, within) if plan.size().values <= within]
        return max(fitting, key=lambda plan: (plan.rank, plan.size().values), default=cls(shape, (1, 1), 1))

    @property
    def rank(self) -> int:
        """The rank of such a matrix with factors in general position."""
        (c, b), r = self.blocks, self.block_rank
        return min(c * min(self.shape[0] // c, b * r), b * min(self.shape[1] // b, c * r))

    def size(self) -> Size:
        """R·(B·m + C·n) values and multiply–adds; blocks beside or under one another share their scales."""
        (m, n), (c, b) = self.shape, self.blocks
        values = self.block_rank * (b * m + c * n)
        return structured_size(values, values, scales=m // c + c * self.block_rank)

    def initialized(self, std: float) -> Monarch:
        """Uniform factors of equal scale."""
        (m, n), (c, b), r = self.shape, self.blocks, self.block_rank
        matrix = Monarch(uniform(c, m // c, b * r), uniform(b, c * r, n // b))
        with torch.no_grad():
            scale = (std / root_mean_square(matrix.dense())).sqrt()
            matrix.u.mul_(scale)
            matrix.v.mul_(scale)
        return matrix

    def fitted(self, weight_MN: Tensor) -> Monarch:
        """The truncated singular value decomposition of each block, the singular values shared evenly by both factors."""
        (c, b), g, r = self.blocks, gates_of(self.shape[0]), self.block_rank
        (m, n), weight_MN = self.shape, weight_MN.detach()
        blocks_GCPBQ = weight_MN.reshape(g, c, m // (g * c), b, n // b)
        u, s, v = torch.linalg.svd(blocks_GCPBQ.permute(1, 3, 0, 2, 4).flatten(2, 3), full_matrices=False)
        root_CB1R = s[..., None, :r].sqrt()
        u_CBXR, v_CBRQ = u[..., :r] * root_CB1R, root_CB1R.mT * v[..., :r, :]
        return Monarch(u_CBXR.transpose(1, 2).flatten(2), v_CBRQ.transpose(0, 1).flatten(1, 2))

    def __str__(self) -> str:
        return f"{self.blocks[0]} x {self.blocks[1]} blocks of rank {self.block_rank}"
