"""Compressed matrices as NumPy arrays: what the kernels take and a file stores.

The families are those of ``doping.matrices``, with the same arrays; nothing of training is imported here.

Values are float32, or narrow: int8 times a scale of their row (``doping.inference.kernels.narrow``), which is in a field
of the same name with ``_scale`` behind it. Rows, because their scales can be taken out of a product:
(diag(s) W) x = diag(s) (W x).
So it is with Kronecker factors, (diag(s) B) ⊗ (diag(t) C) = (diag(s) ⊗ diag(t)) (B ⊗ C), if all terms share the scales.

Legend: M rows, N columns, R rank or terms, I J rows and columns of a left Kronecker factor, K L of a right one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from doping.inference.kernels.sparse import Array, Sparse, Values
from doping.inference.kernels.tiles import Tiles

Shape = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Dense:
    """All values, ``weight`` (m, n)."""

    weight: Values
    weight_scale: Array | None = None

    def __post_init__(self) -> None:
        _check(weight=(self.weight, 2, self.weight_scale))

    @property
    def shape(self) -> Shape:
        """(m, n)."""
        return self.weight.shape[0], self.weight.shape[1]

    def dense(self) -> Array:
        """The weight itself."""
        return _wide(self.weight, self.weight_scale)


@dataclass(frozen=True, eq=False)
class Kronecker:
    """Σ_r B_r ⊗ C_r: ``b`` (terms, m1, n1) and ``c`` (terms, m2, n2)."""

    b: Values
    c: Values
    b_scale: Array | None = None
    c_scale: Array | None = None

    def __post_init__(self) -> None:
        _check(b=(self.b, 3, self.b_scale), c=(self.c, 3, self.c_scale))
        if len(self.b) != len(self.c):
            raise ValueError(f"b has {len(self.b)} terms and c has {len(self.c)}; expected as many")

    @property
    def shape(self) -> Shape:
        """(m1·m2, n1·n2)."""
        return self.b.shape[1] * self.c.shape[1], self.b.shape[2] * self.c.shape[2]

    def dense(self) -> Array:
        """The products summed, (m, n)."""
        b_RIJ, c_RKL = _wide(self.b, self.b_scale), _wide(self.c, self.c_scale)
        written: Array = np.einsum("rij,rkl->ikjl", b_RIJ, c_RKL).reshape(self.shape)
        return written


@dataclass(frozen=True, eq=False)
class LowRank:
    """U V: ``u`` (m, r) and ``v`` (r, n)."""

    u: Values
    v: Values
    u_scale: Array | None = None
    v_scale: Array | None = None

    def __post_init__(self) -> None:
        _check(u=(self.u, 2, self.u_scale), v=(self.v, 2, self.v_scale))
        if self.u.shape[1] != self.v.shape[0]:
            raise ValueError(f"u has rank {self.u.shape[1]} and v has {self.v.shape[0]}; expected the same")

    @property
    def shape(self) -> Shape:
        """(m, n)."""
        return self.u.shape[0], self.v.shape[1]

    def dense(self) -> Array:
        """U V, (m, n)."""
        return _wide(self.u, self.u_scale) @ _wide(self.v, self.v_scale)


@dataclass(frozen=True, eq=False)
class Hybrid:
    """[A ; u₁ v₁ᵀ | u₂ v₂ᵀ]: ``a`` (r, n), ``u`` (m − r, 2), ``v`` (n), where v₁ is for the first n // 2 columns.

    Only A can be narrow: u has two values a row, which its scale would outweigh.
    """

    a: Values
    u: Array
    v: Array
    a_scale: Array | None = None

    def __post_init__(self) -> None:
        _check(a=(self.a, 2, self.a_scale), u=(self.u, 2, None), v=(self.v, 1, None))
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
        return np.vstack([_wide(self.a, self.a_scale), lower])


Structured = Dense | Kronecker | LowRank | Hybrid


@dataclass(frozen=True, eq=False)
class Sum:
    """M + S."""

    structured: Structured
    sparse: Sparse | Tiles

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


Matrix = Structured | Sparse | Tiles | Sum


def widened(matrix: Matrix) -> Matrix:
    """The same matrix with all values in float32."""
    if isinstance(matrix, Sum):
        return Sum(_widened(matrix.structured), matrix.sparse.widened())
    return matrix.widened() if isinstance(matrix, Sparse | Tiles) else _widened(matrix)


def _widened(matrix: Structured) -> Structured:
    arrays = {name: array for name, array in vars(matrix).items() if not name.endswith("_scale")}
    return type(matrix)(**{name: _wide(array, getattr(matrix, f"{name}_scale", None)) for name, array in arrays.items()})


def _wide(values: Values, scale: Array | None) -> Array:
    """As float32; the rows, which have the scales, are the last dimension but one."""
    wide: Array = values if scale is None else values * scale[:, None]
    return wide


def _check(**arrays: tuple[Values, int, Array | None]) -> None:
    """Each is a float32 array of so many dimensions, or an int8 array with a scale a row."""
    for name, (array, dimensions, scale) in arrays.items():
        kind = np.float32 if scale is None else np.int8
        if array.dtype != kind or array.ndim != dimensions:
            raise ValueError(f"{name} is {array.dtype} {array.shape}; expected {kind.__name__} of {dimensions} dimensions")
        if scale is not None and (scale.dtype != np.float32 or scale.shape != array.shape[-2:-1]):
            raise ValueError(f"the scales of {name} are {scale.dtype} {scale.shape}; expected float32 {array.shape[-2:-1]}")
