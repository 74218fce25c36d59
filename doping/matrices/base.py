"""The one interface of all weight matrices, and of the plans that they are made from.

A *plan* is what a matrix is before it has values: a shape and the few numbers that decide its size (a rank, factor shapes,
a number of nonzeros). A *family* is a plan class and a matrix class in one file.

Legend of dimensions, here and in the families: M rows (outputs), N columns (inputs), R rank or number of terms.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from doping.matrices.budget import Shape, Size


@dataclass(frozen=True)
class Stored:
    """What a file keeps of a structured matrix.

    Attributes:
        kind: the ``kind`` of its class in ``doping.inference.families``.
        sizes: the few numbers that decide its shapes, by their names there.
        arrays: its values, by their names there.

    """

    kind: str
    sizes: dict[str, int | tuple[int, int]]
    arrays: dict[str, npt.NDArray[Any]]


class Matrix(nn.Module, ABC):
    """A trainable (m, n) matrix that stores itself in its own way.

    Parameters and buffers are all it consists of, so ``state_dict`` holds it whole.
    """

    shape: Shape

    @abstractmethod
    def dense(self) -> Tensor:
        """The matrix written out, (m, n): differentiable in the parameters, and without noise."""

    @abstractmethod
    def matmul(self, x: Tensor) -> Tensor:
        """Product with the vectors of ``x``, (..., n) → (..., m), without forming the matrix."""

    @abstractmethod
    def size(self) -> Size:
        """What it stores at this moment."""

    def sample(self) -> Tensor:
        """The matrix as one training step uses it, (m, n): ``dense()``, with the noise that its training asks for."""
        return self.dense()

    def scale_gradients(self) -> None:
        """Make of the gradients of factors those of scaled gradient descent; what has no factors keeps its own."""

    def stored(self) -> Stored:
        """What a file keeps of it.

        Raises:
            NotImplementedError: of matrices that have no stored form of their own.

        """
        raise NotImplementedError(f"{type(self).__name__} has no stored form; write its method stored()")

    def bits_of(self, parameter: str, bits: int) -> int:
        """Bits that a parameter of its own is stored with where values have ``bits``: some cannot be so narrow."""
        return bits

    def extra_repr(self) -> str:
        """Shape, for ``print(model)``."""
        return f"{self.shape[0]} x {self.shape[1]}"


@dataclass(frozen=True)
class Plan(ABC):
    """All that decides the size of a matrix, and how to make one."""

    shape: Shape

    @abstractmethod
    def size(self) -> Size:
        """Size of the matrix; of a sparse one, once it is pruned."""

    @abstractmethod
    def initialized(self, std: float) -> Matrix:
        """A random matrix whose ``dense()`` has entries around zero with root mean square ``std``."""

    @abstractmethod
    def fitted(self, weight_MN: Tensor) -> Matrix:
        """The matrix of this plan that is nearest to a dense one in the Frobenius norm."""

    def unpruned(self, weight_MN: Tensor) -> Matrix:
        """A matrix to start training with from a dense one: the nearest, but with nothing pruned yet."""
        return self.fitted(weight_MN)

    def caution(self) -> str:
        """What users should know who were given this plan for a size; empty where there is nothing."""
        return ""


class StructuredPlan(Plan):
    """Plan of a matrix given by a few dense factors; what doping can be added to."""

    smaller_hint: ClassVar[str] = ""
    """Added to a refusal where nothing is left for S: how M can be made smaller."""

    @classmethod
    @abstractmethod
    def around(cls, shape: Shape, values: float) -> list[Self]:
        """Plans of about so many values, the preferred ones first; the nearest below and above are among them."""

    @classmethod
    @abstractmethod
    def for_doping(cls, shape: Shape, values: float, share: float | None) -> Self:
        """The plan of M in M + S, where both may have ``values`` values together; the smallest one if none fits.

        ``share`` is the share of M; where it is None the family has its own default.
        """


def divisors(number: int) -> list[int]:
    """All of them, ascending."""
    return [d for d in range(1, number + 1) if number % d == 0]


def uniform(*shape: int) -> Tensor:
    """Uniform numbers around zero of variance 1: the distribution that ``nn.LSTM`` starts with."""
    return torch.empty(shape).uniform_(-(3**0.5), 3**0.5)


def root_mean_square(x: Tensor) -> Tensor:
    """Root of the mean square of all entries, a scalar tensor."""
    return x.square().mean().sqrt()


def array(x: Tensor) -> npt.NDArray[np.float32]:
    """A tensor as float32 in NumPy."""
    converted: npt.NDArray[np.float32] = x.detach().float().cpu().numpy()
    return converted
