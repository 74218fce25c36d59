"""Low rank (LMF): U V."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from doping.inference.families import int8_layout
from doping.inference.families.base import Shape, StructuredMatrix, check
from doping.inference.families.layout import LOW_RANK, Fields, laid_out, padded, scale_fields
from doping.inference.families.narrow import Bits, wide
from doping.inference.families.sparse import Array, Values
from doping.inference.families.stored import StructuredParts, TensorShape, Width

if TYPE_CHECKING:
    from torch import Tensor

    from doping.inference.exporters.onnx_graph import Builder


class LowRankParts(StructuredParts):
    """U V."""

    kind: Literal["low_rank"] = "low_rank"
    rank: Width
    """Columns of U and rows of V."""

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """``u`` (m, r) and ``v`` (r, n)."""
        return self.valued("u", (rows, self.rank), rows) | self.valued("v", (self.rank, columns), self.rank)


@dataclass(frozen=True, eq=False)
class LowRank(StructuredMatrix):
    """U V: ``u`` (m, r) and ``v`` (r, n)."""

    kind = "low_rank"
    parts = LowRankParts

    u: Values
    v: Values
    u_scale: Array | None = None
    v_scale: Array | None = None

    def __post_init__(self) -> None:
        check(u=(self.u, 2, self.u_scale), v=(self.v, 2, self.v_scale))
        if self.u.shape[1] != self.v.shape[0]:
            raise ValueError(f"u has rank {self.u.shape[1]} and v has {self.v.shape[0]}; expected the same")

    @property
    def shape(self) -> Shape:
        """(m, n)."""
        return self.u.shape[0], self.v.shape[1]

    def dense(self) -> Array:
        """U V, (m, n)."""
        return wide(self.u, self.u_scale) @ wide(self.v, self.v_scale)

    def layout(self) -> Fields:
        """U by its columns, padded; V by its rows."""
        fields: Fields = {"kind": LOW_RANK, "rank": len(self.v), "left": padded(self.u.T), "right": laid_out(self.v)}
        return fields | scale_fields(left_scales=self.u_scale, right_scales=self.v_scale)

    def int8_layout(self, bits: Bits, units: int) -> int8_layout.Fields:
        """The blocks of V, then those of U."""
        first = int8_layout.blocks(self.v, self.v_scale, bits)
        second = int8_layout.blocks(self.u, self.u_scale, bits, units)
        return {"kind": int8_layout.LOW_RANK, "first": first, "second": second}

    def torch_product(self, tensors: dict[str, Tensor], x_BN: Tensor) -> Tensor:
        """U (V x)."""
        return (x_BN @ tensors["v"].mT) @ tensors["u"].mT

    def onnx_product(self, graph: Builder, x: Any) -> Any:
        """U (V x)."""
        return graph.multiply(self.u, graph.multiply(self.v, x, self.v_scale), self.u_scale)

    def onnx_composed(self, graph: Builder) -> Any:
        """U V."""
        return graph.add("MatMul", graph.wide(self.u, self.u_scale, "u"), graph.wide(self.v, self.v_scale, "v"))
