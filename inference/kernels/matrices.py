"""Compressed matrices as NumPy arrays: what the kernels take and a file stores.

The families are those of ``lightning_modules.matrices``, with the same arrays; nothing of training is imported here.

Legend: M rows, N columns, R rank or terms, I J rows and columns of a left Kronecker factor, K L of a right one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inference.kernels.sparse import Array, Sparse

Shape = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Dense:
    """All values, ``weight`` (m, n)."""

    weight: Array

    def __post_init__(self) -> None:
        _check(weight=(self.weight, 2))

    @property
    def shape(self) -> Shape:
        """(m, n)."""
        return self.weight.shape[0], self.weight.shape[1]

    def dense(self) -> Array:
        """The weight itself."""
        return self.weight


@dataclass(frozen=True, eq=False)
class Kronecker:
    """Σ_r B_r ⊗ C_r: ``b`` (terms, m1, n1) and ``c`` (terms, m2, n2)."""

    b: Array
    c: Array

    def __post_init__(self) -> None:
        _check(b=(self.b, 3), c=(self.c, 3))
        if len(self.b) != len(self.c):
            raise ValueError(f"b has {len(self.b)} terms and c has {len(self.c)}; expected as many")

    @property
    def shape(self) -> Shape:
        """(m1·m2, n1·n2)."""
        return self.b.shape[1] * self.c.shape[1], self.b.shape[2] * self.c.shape[2]

    def dense(self) -> Array:
        """The products summed, (m, n)."""
        written: Array = np.einsum("rij,rkl->ikjl", self.b, self.c).reshape(self.shape)
        return written


@dataclass(frozen=True, eq=False)
class LowRank:
    """U V: ``u`` (m, r) and ``v`` (r, n)."""

    u: Array
    v: Array

    def __post_init__(self) -> None:
        _check(u=(self.u, 2), v=(self.v, 2))
        if self.u.shape[1] != self.v.shape[0]:
            raise ValueError(f"u has rank {self.u.shape[1]} and v has {self.v.shape[0]}; expected the same")

    @property
    def shape(self) -> Shape:
        """(m, n)."""
        return self.u.shape[0], self.v.shape[1]

    def dense(self) -> Array:
        """U V, (m, n)."""
        return self.u @ self.v


@dataclass(frozen=True, eq=False)
class Hybrid:
    """[A ; u₁ v₁ᵀ | u₂ v₂ᵀ]: ``a`` (r, n), ``u`` (m − r, 2), ``v`` (n), where v₁ is for the first n // 2 columns."""

    a: Array
    u: Array
    v: Array

    def __post_init__(self) -> None:
        _check(a=(self.a, 2), u=(self.u, 2), v=(self.v, 1))
        if self.u.shape[1] != 2 or self.v.shape[0] != self.a.shape[1]:
            columns = self.a.shape[1]
            raise ValueError(
                f"u is {self.u.shape} and v is {self.v.shape}; expected (rows, 2) and ({columns},), as a has columns"
            )

    @property
    def shape(self) -> Shape:
        """(m, n)."""
        return self.a.shape[0] + self.u.shape[0], self.a.shape[1]

    def dense(self) -> Array:
        """The blocks put together, (m, n)."""
        half = self.v.shape[0] // 2
        lower = np.hstack([np.outer(self.u[:, 0], self.v[:half]), np.outer(self.u[:, 1], self.v[half:])])
        return np.vstack([self.a, lower])


Structured = Dense | Kronecker | LowRank | Hybrid


@dataclass(frozen=True, eq=False)
class Sum:
    """M + S."""

    structured: Structured
    sparse: Sparse

    def __post_init__(self) -> None:
        if self.structured.shape != self.sparse.shape:
            raise ValueError(f"M is {self.structured.shape} and S is {self.sparse.shape}; expected the same shape")

    @property
    def shape(self) -> Shape:
        """(m, n)."""
        return self.structured.shape

    def dense(self) -> Array:
        """Both written out and added, (m, n)."""
        return self.structured.dense() + self.sparse.dense()


Matrix = Structured | Sparse | Sum


def _check(**arrays: tuple[Array, int]) -> None:
    """Each is a float32 array of so many dimensions."""
    for name, (array, dimensions) in arrays.items():
        if array.dtype != np.float32 or array.ndim != dimensions:
            raise ValueError(f"{name} is {array.dtype} {array.shape}; expected float32 of {dimensions} dimensions")
