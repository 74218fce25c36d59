"""Kronecker products (KP): Σ_r B_r ⊗ C_r, with B (m1, n1), C (m2, n2), m = m1·m2, n = n1·n2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from doping.inference.families import int8_layout
from doping.inference.families.base import Shape, StructuredMatrix, check
from doping.inference.families.layout import KRONECKER, KRONECKER_LEFT_FIRST, Fields, laid_out, padded, scale_fields
from doping.inference.families.narrow import Bits, wide
from doping.inference.families.sparse import Array, Values
from doping.inference.families.stored import StructuredParts, TensorShape, Width

if TYPE_CHECKING:
    from torch import Tensor

    from doping.inference.exporters.onnx_graph import Builder


LEFT_FIRST_FROM = 1.2
"""How many times the multiply–adds of left first the other order may have, as its loops are wider. Measured with
(50 x 26) ⊗ (52 x 25): 4 % more multiply–adds take 6 % less time for a vector, 18 % less for a panel."""


def multiply_adds(left: Shape, right: Shape, right_first: bool) -> int:
    """Multiply–adds of B (X Cᵀ), or of (B X) Cᵀ, for B (m1, n1), C (m2, n2) and X (n1, n2)."""
    (m1, n1), (m2, n2) = left, right
    return n1 * m2 * (n2 + m1) if right_first else m1 * n2 * (n1 + m2)


def right_first(left: Shape, right: Shape, handicap: float = 1.0) -> bool:
    """Whether B (X Cᵀ) is at most ``handicap`` times as much work as the other order."""
    return multiply_adds(left, right, True) <= handicap * multiply_adds(left, right, False)


class KroneckerParts(StructuredParts):
    """Σ_r B_r ⊗ C_r."""

    kind: Literal["kronecker"] = "kronecker"
    left: tuple[Width, Width]
    """Shape (m1, n1) of the left factors B_r."""
    terms: Width = 1
    """How many products are summed."""

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """``b`` (terms, m1, n1) and ``c`` (terms, m2, n2) with m = m1·m2, n = n1·n2."""
        (m1, n1) = self.left
        if rows % m1 or columns % n1:
            raise ValueError(f"left factors of {m1} x {n1} do not divide a matrix of {rows} x {columns}")
        (m2, n2) = rows // m1, columns // n1
        b = self.valued("b", (self.terms, m1, n1), m1, least_bits=Kronecker.least_bits["b"])
        return b | self.valued("c", (self.terms, m2, n2), m2)


@dataclass(frozen=True, eq=False)
class Kronecker(StructuredMatrix):
    """Σ_r B_r ⊗ C_r: ``b`` (terms, m1, n1) and ``c`` (terms, m2, n2)."""

    kind = "kronecker"
    parts = KroneckerParts
    least_bits: ClassVar[dict[str, Bits]] = {"b": 8}

    b: Values
    c: Values
    b_scale: Array | None = None
    c_scale: Array | None = None

    def __post_init__(self) -> None:
        check(b=(self.b, 3, self.b_scale), c=(self.c, 3, self.c_scale))
        if len(self.b) != len(self.c):
            raise ValueError(f"b has {len(self.b)} terms and c has {len(self.c)}; expected as many")

    @property
    def shape(self) -> Shape:
        """(m1·m2, n1·n2)."""
        return self.b.shape[1] * self.c.shape[1], self.b.shape[2] * self.c.shape[2]

    def dense(self) -> Array:
        """The products summed, (m, n)."""
        b_RIJ, c_RKL = wide(self.b, self.b_scale), wide(self.c, self.c_scale)
        written: Array = np.einsum("rij,rkl->ikjl", b_RIJ, c_RKL).reshape(self.shape)
        return written

    def layout(self) -> Fields:
        """Both factors so that the loops of the cheaper order run over whole vectors."""
        (terms, m1, n1), (_, m2, n2) = self.b.shape, self.c.shape
        fields: Fields = {"terms": terms, "left_rows": m1, "left_columns": n1}
        b_scale, c_scale = self.b_scale, None if self.c_scale is None else padded(self.c_scale)
        if right_first((m1, n1), (m2, n2), LEFT_FIRST_FROM):
            left_IJR, right_LRK = self.b.transpose(1, 2, 0), self.c.transpose(2, 0, 1)
            scales = scale_fields(left_scales=b_scale, right_scales=None if c_scale is None else np.tile(c_scale, terms))
            return fields | {"kind": KRONECKER, "left": laid_out(left_IJR), "right": padded(right_LRK)} | scales
        left_IRJ, right_RLK = self.b.transpose(1, 0, 2), self.c.transpose(0, 2, 1)
        scales = scale_fields(left_scales=None if b_scale is None else np.repeat(b_scale, terms), right_scales=c_scale)
        return fields | {"kind": KRONECKER_LEFT_FIRST, "left": laid_out(left_IRJ), "right": padded(right_RLK)} | scales

    def int8_layout(self, bits: Bits, units: int) -> int8_layout.Fields:
        """The blocks of the factor that comes first, then B with the terms side by side; B always takes 8 bits."""
        (terms, m1, n1), (_, m2, n2) = self.b.shape, self.c.shape
        b_scale, c_scale = int8_layout.known(self.b_scale), int8_layout.known(self.c_scale)
        if int8_layout.right_first(terms, (m1, n1), (m2, n2)):
            kind, left = int8_layout.KRONECKER, self.b.transpose(1, 2, 0).reshape(m1, n1 * terms)
            first = int8_layout.blocks(self.c.reshape(terms * m2, n2), np.tile(c_scale, terms), bits)
        else:
            kind, left = int8_layout.KRONECKER_LEFT_FIRST, self.b.transpose(1, 0, 2).reshape(m1 * terms, n1)
            first = int8_layout.blocks(self.c.transpose(1, 0, 2).reshape(m2, terms * n2), c_scale, bits)
            b_scale = np.repeat(b_scale, terms)
        int8_layout.check_width(left.shape[1])
        left = np.ascontiguousarray(np.pad(left, [(0, 0), (0, -left.shape[1] % int8_layout.COLUMNS)]))
        return {
            "kind": kind, "first": first, "terms": terms, "left_rows": m1, "left_columns": n1,
            "left": left, "left_scales": b_scale, "left_sums": left.sum(axis=1, dtype=np.int32),
        }  # fmt: skip

    def torch_product(self, tensors: dict[str, Tensor], x_BN: Tensor) -> Tensor:
        """Σ_r vec(B_r X C_rᵀ) with x reshaped to X (n1, n2)."""
        b_RIJ, c_RKL = tensors["b"], tensors["c"]
        x_B1JL = x_BN.view(len(x_BN), 1, b_RIJ.shape[2], c_RKL.shape[2])
        return (b_RIJ @ (x_B1JL @ c_RKL.mT)).sum(1).flatten(1)

    def onnx_product(self, graph: Builder, x: Any) -> Any:
        """Σ_r vec(B_r X C_rᵀ) with x reshaped to X (n1, n2), in the cheaper order."""
        (_, m1, n1), (_, m2, n2) = self.b.shape, self.c.shape
        x = graph.add("Reshape", x, graph.constant(np.array([-1, 1, n1, n2]), "shape"))
        b = graph.wide(self.b, self.b_scale, "b")
        right = graph.wide(np.ascontiguousarray(self.c.swapaxes(1, 2)), self.c_scale, "c", axis=-1)
        if right_first((m1, n1), (m2, n2)):
            y = graph.add("MatMul", b, graph.add("MatMul", x, right))
        else:
            y = graph.add("MatMul", graph.add("MatMul", b, x), right)
        y = graph.add("ReduceSum", y, graph.constant(np.array([1]), "axis"), keepdims=0)
        return graph.add("Reshape", y, graph.constant(np.array([-1, m1 * m2]), "shape"))

    def onnx_composed(self, graph: Builder) -> Any:
        """The products summed: as (R, m1, 1, n1, 1) and (R, 1, m2, 1, n2), whose product holds every pair of entries."""
        (_, m1, n1), (_, m2, n2) = self.b.shape, self.c.shape
        b, c = self.b[:, :, None, :, None], self.c[:, None, :, None, :]
        pairs = graph.add("Mul", graph.wide(b, self.b_scale, "b", axis=1), graph.wide(c, self.c_scale, "c", axis=2))
        terms = graph.add("ReduceSum", pairs, graph.constant(np.array([0]), "axis"), keepdims=0)
        return graph.add("Reshape", terms, graph.constant(np.array([m1 * m2, n1 * n2]), "shape"))
