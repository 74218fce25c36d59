"""Hybrid matrix decomposition (HMD): some rows unconstrained, the rest two blocks of rank 1.

W = P [A ; u₁ v₁ᵀ | u₂ v₂ᵀ] with A (r, n), u₁ and u₂ (m − r, 1), v₁ for the first and v₂ for the second half of the columns.
About twice the rank of LMF at the same size (Thakker et al., arXiv 1906.04886). The permutation P puts as many unconstrained
rows first in each of the four gates of an LSTM weight, one more in the first gates where r is no multiple of four: for the
paper compresses the matrices of the gates, and the first rows of the stacked one would all be of the input gate. With one
gate, and where m is no multiple of four, P leaves the rows as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from doping.matrices.base import Matrix, Stored, StructuredPlan, array, root_mean_square, uniform
from doping.matrices.budget import Shape, Size, structured_size
from doping.matrices.scaled_gradients import scale_gradients

GATES = 4
"""Of an LSTM."""


class Hybrid(Matrix):
    """W = P [A ; u₁ v₁ᵀ | u₂ v₂ᵀ]; ``u`` holds u₁ and u₂ as columns, ``v`` holds v₁ and v₂ one behind the other."""

    places: Tensor

    def __init__(self, a_RN: Tensor, u_L2: Tensor, v_N: Tensor, gates: int = 1):
        super().__init__()
        self.shape = (a_RN.shape[0] + u_L2.shape[0], a_RN.shape[1])
        self.gates = gates
        # Of each row, where it is below A and above u. No part of the state: it follows from the shape.
        order_M = torch.cat(_rows(self.shape[0], a_RN.shape[0], gates))
        self.register_buffer("places", order_M.argsort(), persistent=False)
        self.a = nn.Parameter(a_RN)
        self.u = nn.Parameter(u_L2)
        self.v = nn.Parameter(v_N)

    def dense(self) -> Tensor:
        """The blocks put together, (m, n)."""
        left, right = _halves(self.v)
        lower = torch.cat([self.u[:, :1] * left, self.u[:, 1:] * right], dim=1)
        return torch.cat([self.a, lower])[self.places]

    def matmul(self, x: Tensor) -> Tensor:
        """(..., n) → (..., m); the lower rows cost one product with v and one with u."""
        halves = zip(_halves(x), _halves(self.v), strict=True)
        sums = torch.stack([(x_half * v_half).sum(-1) for x_half, v_half in halves], dim=-1)
        return torch.cat([x @ self.a.mT, sums @ self.u.mT], dim=-1)[..., self.places]

    def scale_gradients(self) -> None:
        """Those of both blocks of rank 1; A keeps its own."""
        assert self.u.grad is not None
        assert self.v.grad is not None
        halves = zip(_halves(self.v), _halves(self.v.grad), strict=True)
        for column, (v_H, gradient_H) in enumerate(halves):
            u_1L, gradient_1L = self.u.mT[column, None], self.u.grad.mT[column, None]
            scale_gradients(u_1L, gradient_1L, v_H[None], gradient_H[None])

    def stored(self) -> Stored:
        """``a``, ``u`` and ``v``, and how many gates the rows of A are spread over if it is more than one."""
        arrays: dict[str, npt.NDArray[Any]] = {"a": array(self.a), "u": array(self.u), "v": array(self.v)}
        if self.gates == 1:
            return Stored("hybrid", {"free_rows": self.a.shape[0]}, arrays)
        arrays["gates"] = np.array([self.gates], np.uint16)
        return Stored("hybrid", {"free_rows": self.a.shape[0], "gates": self.gates}, arrays)

    def bits_of(self, parameter: str, bits: int) -> int:
        """Those of A; u and v stay float32."""
        return bits if parameter == "a" else 32

    def size(self) -> Size:
        """r·n + 2·(m − r) + n values and multiply–adds."""
        return HybridPlan(self.shape, self.a.shape[0], self.gates).size()


@dataclass(frozen=True)
class HybridPlan(StructuredPlan):
    """The number r of unconstrained rows, and of gates that they are spread over."""

    rows: int
    gates: int = GATES

    @classmethod
    def around(cls, shape: Shape, values: float, free_rows: str | None = None) -> list[Self]:
        """The two numbers of rows next to so many values."""
        rows = cls._rows_within(shape, values)
        return [cls(shape, r, _gates(free_rows)) for r in (rows, rows + 1) if 0 <= r < shape[0]]

    @classmethod
    def for_doping(cls, shape: Shape, values: float, share: float | None, free_rows: str | None = None) -> Self:
        """The largest number of rows within the share, by default half of the values."""
        rows = cls._rows_within(shape, values * (share or 0.5))
        return cls(shape, min(max(rows, 0), shape[0] - 1), _gates(free_rows))

    @staticmethod
    def _rows_within(shape: Shape, values: float) -> int:
        m, n = shape
        if n <= 2:  # then a row of A costs no more than the two values of u in its place, and nothing is saved
            return -1
        return floor((values - 2 * m - n) / (n - 2))

    def size(self) -> Size:
        """r·n + 2·(m − r) + n values and multiply–adds."""
        m, n = self.shape
        wide = 2 * (m - self.rows) + n
        values = self.rows * n + wide
        return structured_size(values, values, scales=self.rows, float32=wide)

    def initialized(self, std: float) -> Hybrid:
        """Uniform A, u and v."""
        m, n = self.shape
        a_RN, u_L2, v_N = uniform(self.rows, n), uniform(m - self.rows, 2), uniform(n)
        lower = Hybrid(a_RN[:0], u_L2, v_N).dense().detach()
        scale = (std / root_mean_square(lower)).sqrt()
        if self.rows:
            a_RN *= std / root_mean_square(a_RN)
        return Hybrid(a_RN, u_L2 * scale, v_N * scale, self.gates)

    def fitted(self, weight_MN: Tensor) -> Hybrid:
        """A copied; each rank-1 block by its largest singular value."""
        upper, lower = (weight_MN.detach()[rows] for rows in _rows(self.shape[0], self.rows, self.gates))
        columns, vectors = [], []
        for block in _halves(lower):
            u, s, v = torch.linalg.svd(block, full_matrices=False)
            columns.append(u[:, :1] * s[:1].sqrt())
            vectors.append(v[0] * s[:1].sqrt())
        return Hybrid(upper, torch.cat(columns, dim=1), torch.cat(vectors), self.gates)

    def __str__(self) -> str:
        return f"{self.rows} free rows"


def _gates(free_rows: str | None) -> int:
    """Over how many gates the free rows are spread, by the setting of a method."""
    return 1 if free_rows == "stacked" else GATES


def _rows(rows: int, free: int, gates: int) -> tuple[Tensor, Tensor]:
    """The unconstrained rows and the others, each ascending."""
    of_gate = rows if rows % gates else rows // gates
    place_M = torch.arange(rows) % of_gate
    gate_M = torch.arange(rows) // of_gate
    number = rows // of_gate
    free_M = place_M < free // number + (gate_M < free % number)
    return free_M.nonzero().flatten(), (~free_M).nonzero().flatten()


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first n // 2 and the other entries of the last dimension."""
    half = x.shape[-1] // 2
    return x[..., :half], x[..., half:]
