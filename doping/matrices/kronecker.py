"""Kronecker products (KP): W = Σ_r B_r ⊗ C_r, with B (m1, n1), C (m2, n2), m = m1·m2, n = n1·n2.

One term is the Kronecker product of Thakker et al. (arXiv 1906.02876); a sum of several is the same family with ``terms``.
The best fit to a dense matrix is a truncated singular value decomposition after rearrangement (Van Loan & Pitsianis 1993):
B ⊗ C, its blocks laid out as rows, is the rank-1 matrix vec(B) vec(C)ᵀ.

Legend: I = m1, J = n1 (left factor); K = m2, L = n2 (right factor); R terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import floor
from typing import Self

import torch
from torch import Tensor, nn

from doping.inference.families.kronecker import multiply_adds, right_first
from doping.matrices.base import Matrix, Stored, StructuredPlan, array, divisors, root_mean_square, uniform
from doping.matrices.budget import BudgetError, Shape, Size, structured_size
from doping.matrices.scaled_gradients import scale_gradients


class Kronecker(Matrix):
    """W = Σ_r B_r ⊗ C_r."""

    def __init__(self, b_RIJ: Tensor, c_RKL: Tensor):
        super().__init__()
        self.b = nn.Parameter(b_RIJ)
        self.c = nn.Parameter(c_RKL)
        self.plan = KroneckerPlan(
            (b_RIJ.shape[1] * c_RKL.shape[1], b_RIJ.shape[2] * c_RKL.shape[2]),
            left=(b_RIJ.shape[1], b_RIJ.shape[2]),
            terms=b_RIJ.shape[0],
        )
        self.shape = self.plan.shape

    def dense(self) -> Tensor:
        """Σ_r B_r ⊗ C_r, (m, n): one matrix product, then the rearrangement undone."""
        rearranged = self.b.flatten(1).transpose(0, 1) @ self.c.flatten(1)
        blocks_IJKL = rearranged.view(*self.plan.left, *self.plan.right)
        return blocks_IJKL.permute(0, 2, 1, 3).reshape(self.shape)

    def matmul(self, x: Tensor) -> Tensor:
        """Σ_r vec(B_r X C_rᵀ) with x reshaped to X (n1, n2), in the cheaper order; (..., n) → (..., m)."""
        x_1JL = x.reshape(*x.shape[:-1], 1, self.plan.left[1], self.plan.right[1])
        if self.plan.right_first:
            y_RIK: Tensor = self.b @ (x_1JL @ self.c.mT)
        else:
            y_RIK = (self.b @ x_1JL) @ self.c.mT
        return y_RIK.sum(-3).flatten(-2)

    def scale_gradients(self) -> None:
        """Rearranged, W is a product of vec(B_r) and vec(C_r)."""
        assert self.b.grad is not None
        assert self.c.grad is not None
        terms = self.plan.terms
        scale_gradients(*(x.view(terms, -1) for x in (self.b, self.b.grad, self.c, self.c.grad)))

    def stored(self) -> Stored:
        """``b`` and ``c``."""
        sizes: dict[str, int | Shape] = {"left": self.plan.left, "terms": self.plan.terms}
        return Stored("kronecker", sizes, {"b": array(self.b), "c": array(self.c)})

    def bits_of(self, parameter: str, bits: int) -> int:
        """B has at least 8: it is multiplied with what C has summed."""
        return max(bits, 8) if parameter == "b" else bits

    def size(self) -> Size:
        """R·(m1·n1 + m2·n2) values."""
        return self.plan.size()

    def extra_repr(self) -> str:
        """Shapes of the factors."""
        return str(self.plan)


@dataclass(frozen=True)
class KroneckerPlan(StructuredPlan):
    """Shape (m1, n1) of the left factor, and the number of terms."""

    left: Shape
    terms: int = 1

    smaller_hint = "; or give structured_share, to take a structured part of lower rank"

    @classmethod
    def around(cls, shape: Shape, values: float, left: Shape | None = None, terms: int | None = None) -> list[Self]:
        """Factor shapes and numbers of terms of about so many values: highest rank first, then fewest multiply–adds."""
        plans = []
        for single, size in cls._single_terms(shape, left):
            counts = [terms] if terms else [floor(values / size.values), floor(values / size.values) + 1]
            most = single.most_terms
            few = [cls(shape, single.left, r) for r in counts if 1 <= r <= most]
            plans += [(-plan.rank, plan.terms * size.multiply_adds, plan.terms, plan) for plan in few]
        return [plan for *_, plan in sorted(plans, key=lambda each: each[:3])]

    @classmethod
    def for_doping(
        cls, shape: Shape, values: float, share: float | None, left: Shape | None = None, terms: int | None = None
    ) -> Self:
        """The smallest product of full rank, or with a share the product of highest rank and most values within it."""
        single_terms = sorted(cls._single_terms(shape, left), key=lambda each: (each[1].values, each[1].multiply_adds))
        smallest_first = [cls(shape, single.left, terms or 1) for single, _ in single_terms]
        if share is None:
            return max(smallest_first, key=lambda plan: plan.rank)
        within = [p for p in cls.around(shape, values * share, left, terms) if p.size().values <= values * share]
        return max(within, key=lambda plan: (plan.rank, plan.size().values), default=smallest_first[0])

    @classmethod
    @lru_cache(maxsize=256)  # A search for a size asks hundreds of times for those of the same matrix.
    def _single_terms(cls, shape: Shape, left: Shape | None) -> tuple[tuple[Self, Size], ...]:
        """Every shape of factors with one term, trivial ones (a factor of one entry) left out; each with its size."""
        m, n = shape
        if left:
            if m % left[0] or n % left[1]:
                rows, columns = (
                    min(divisors(size), key=lambda d: abs(d - asked)) for size, asked in zip(shape, left, strict=True)
                )
                raise ValueError(
                    f"left_shape {left[0]} x {left[1]} does not divide a {m} x {n} matrix: take divisors of {m} and of {n}, "
                    f"the nearest are {rows} x {columns}"
                )
            return ((plan := cls(shape, left), plan.size()),)
        shapes = [(m1, n1) for m1 in divisors(m) for n1 in divisors(n)]
        plans = [cls(shape, pair) for pair in shapes if 1 < pair[0] * pair[1] < m * n]
        if not plans:
            raise BudgetError(f"a {m} x {n} matrix is no Kronecker product of smaller ones; choose other dimensions")
        return tuple((plan, plan.size()) for plan in plans)

    @property
    def right(self) -> Shape:
        """Shape (m2, n2) of the right factor."""
        return self.shape[0] // self.left[0], self.shape[1] // self.left[1]

    @property
    def rank(self) -> int:
        """The rank of such a matrix with factors in general position."""
        return min(self.terms * min(self.left) * min(self.right), *self.shape)

    def caution(self) -> str:
        """Where its rank is below that of other products of such a matrix."""
        full = min(self.shape)
        return "" if self.rank == full else f"{self} has rank {self.rank} of {full}; another size or width may have more"

    @property
    def most_terms(self) -> int:
        """So many terms make any matrix; more are redundant."""
        return min(self.left[0] * self.left[1], self.right[0] * self.right[1])

    @property
    def right_first(self) -> bool:
        """Whether B (X Cᵀ) takes fewer multiply–adds than (B X) Cᵀ."""
        return right_first(self.left, self.right)

    def size(self) -> Size:
        """R·(m1·n1 + m2·n2) values; multiply–adds of the cheaper order."""
        left, right = (self.terms * rows * columns for rows, columns in (self.left, self.right))
        scales = self.left[0] + self.right[0]  # terms share theirs
        return structured_size(
            left + right, self.terms * multiply_adds(self.left, self.right, self.right_first), scales, int8=left
        )

    def initialized(self, std: float) -> Kronecker:
        """Uniform factors of equal scale."""
        matrix = Kronecker(uniform(self.terms, *self.left), uniform(self.terms, *self.right))
        with torch.no_grad():
            scale = (std / root_mean_square(matrix.dense())).sqrt()
            matrix.b.mul_(scale)
            matrix.c.mul_(scale)
        return matrix

    def fitted(self, weight_MN: Tensor) -> Kronecker:
        """The nearest sum of Kronecker products: the largest singular values of the rearranged matrix."""
        blocks_IKJL = weight_MN.detach().reshape(self.left[0], self.right[0], self.left[1], self.right[1])
        rearranged = blocks_IKJL.permute(0, 2, 1, 3).reshape(self.left[0] * self.left[1], -1)
        u, s, v = torch.linalg.svd(rearranged, full_matrices=False)
        root_R1 = s[: self.terms, None].sqrt()
        b_RIJ = (u[:, : self.terms].mT * root_R1).reshape(self.terms, *self.left)
        return Kronecker(b_RIJ, (v[: self.terms] * root_R1).reshape(self.terms, *self.right))

    def __str__(self) -> str:
        product = f"({self.left[0]} x {self.left[1]}) ⊗ ({self.right[0]} x {self.right[1]})"
        return product if self.terms == 1 else f"{self.terms} of {product}"
