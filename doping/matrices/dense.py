"""The uncompressed matrix: the reference in every comparison."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from doping.matrices.base import Matrix, Plan, Stored, array, root_mean_square, uniform
from doping.matrices.budget import Size, dense_size


class Dense(Matrix):
    """All m·n values, as they are."""

    def __init__(self, weight_MN: Tensor):
        super().__init__()
        self.shape = (weight_MN.shape[0], weight_MN.shape[1])
        self.weight = nn.Parameter(weight_MN)

    def dense(self) -> Tensor:
        """The parameter itself, (m, n)."""
        return self.weight

    def matmul(self, x: Tensor) -> Tensor:
        """(..., n) → (..., m)."""
        return x @ self.weight.mT

    def stored(self) -> Stored:
        """``weight``."""
        return Stored("dense", {}, {"weight": array(self.weight)})

    def size(self) -> Size:
        """m·n values and multiply–adds."""
        return dense_size(self.shape)


@dataclass(frozen=True)
class DensePlan(Plan):
    """Nothing to decide but the shape."""

    def size(self) -> Size:
        """m·n values and multiply–adds."""
        return dense_size(self.shape)

    def initialized(self, std: float) -> Dense:
        """Uniform entries."""
        weight = uniform(*self.shape)
        return Dense(weight * (std / root_mean_square(weight)))

    def fitted(self, weight_MN: Tensor) -> Dense:
        """A copy."""
        return Dense(weight_MN.detach().clone())

    def __str__(self) -> str:
        return "dense"
