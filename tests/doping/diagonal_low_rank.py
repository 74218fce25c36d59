"""A family that the project does not have: W = D + U V, where D has one value per row, in column ``row mod n``.

Both halves of a new family, how it trains and how it is stored and run; in the project they are a file each.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from doping.families import Family
from doping.inference.families.base import StructuredMatrix, check
from doping.inference.families.dense import Dense
from doping.inference.families.stored import StructuredParts, TensorShape, Width
from doping.matrices.base import Matrix, Stored, StructuredPlan, array, root_mean_square, uniform
from doping.matrices.budget import Shape, Size, structured_size

FAMILY = Family("dlr", "DLR", f"{__name__}:DiagonalLowRankPlan", f"{__name__}:StoredDiagonalLowRank")


class DiagonalLowRank(Matrix):
    def __init__(self, d_M: Tensor, u_MR: Tensor, v_RN: Tensor):
        super().__init__()
        self.shape = (u_MR.shape[0], v_RN.shape[1])
        self.d, self.u, self.v = nn.Parameter(d_M), nn.Parameter(u_MR), nn.Parameter(v_RN)

    def dense(self) -> Tensor:
        rows = torch.arange(self.shape[0])
        return (self.u @ self.v).index_put((rows, rows % self.shape[1]), self.d, accumulate=True)

    def matmul(self, x: Tensor) -> Tensor:
        return x @ self.dense().mT

    def stored(self) -> Stored:
        arrays = {"d": array(self.d), "u": array(self.u), "v": array(self.v)}
        return Stored("diagonal_low_rank", {"rank": self.v.shape[0]}, arrays)

    def size(self) -> Size:
        return DiagonalLowRankPlan(self.shape, self.v.shape[0]).size()


@dataclass(frozen=True)
class DiagonalLowRankPlan(StructuredPlan):
    rank: int

    @classmethod
    def around(cls, shape: Shape, values: float) -> list[Self]:
        rank = floor((values - shape[0]) / sum(shape))
        return [cls(shape, r) for r in (rank, rank + 1) if 1 <= r <= min(shape)]

    @classmethod
    def for_doping(cls, shape: Shape, values: float, share: float | None) -> Self:
        rank = floor((values * (share or 0.5) - shape[0]) / sum(shape))
        return cls(shape, min(max(rank, 1), *shape))

    def size(self) -> Size:
        values = self.shape[0] + self.rank * sum(self.shape)
        return structured_size(values, values, sum(self.shape))

    def initialized(self, std: float) -> DiagonalLowRank:
        u_MR, v_RN = uniform(self.shape[0], self.rank), uniform(self.rank, self.shape[1])
        scale = (std / root_mean_square(u_MR @ v_RN)).sqrt()
        return DiagonalLowRank(torch.zeros(self.shape[0]), u_MR * scale, v_RN * scale)

    def fitted(self, weight_MN: Tensor) -> DiagonalLowRank:
        u, s, v = torch.linalg.svd(weight_MN.detach(), full_matrices=False)
        root = s[: self.rank].sqrt()
        return DiagonalLowRank(torch.zeros(self.shape[0]), u[:, : self.rank] * root, root[:, None] * v[: self.rank])


class DiagonalLowRankParts(StructuredParts):
    kind: Literal["diagonal_low_rank"] = "diagonal_low_rank"
    rank: Width

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        d = TensorShape(kind="F32", shape=(rows,))
        return {"d": d, **self.valued("u", (rows, self.rank), rows), **self.valued("v", (self.rank, columns), self.rank)}


@dataclass(frozen=True, eq=False)
class StoredDiagonalLowRank(StructuredMatrix):
    kind = "diagonal_low_rank"
    parts = DiagonalLowRankParts

    d: np.ndarray
    u: np.ndarray
    v: np.ndarray
    u_scale: np.ndarray | None = None
    v_scale: np.ndarray | None = None

    def __post_init__(self) -> None:
        check(d=(self.d, 1, None), u=(self.u, 2, self.u_scale), v=(self.v, 2, self.v_scale))

    @property
    def shape(self):
        return self.u.shape[0], self.v.shape[1]

    def dense(self):
        wide = self.widened() if self.u_scale is not None else self
        written = wide.u @ wide.v
        rows = np.arange(self.shape[0])
        written[rows, rows % self.shape[1]] += self.d
        return written

    def layout(self):
        return Dense(self.dense()).layout()  # there is no kernel of its own: written out, it runs like a dense matrix

    def torch_product(self, tensors, x_BN):
        return x_BN @ torch.from_numpy(self.dense()).mT

    def onnx_product(self, graph, x):
        return graph.multiply(self.dense(), x)

    def onnx_composed(self, graph):
        return graph.constant(self.dense(), "weight")
