"""The uncompressed matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from doping.inference.families import int8_layout
from doping.inference.families.base import Shape, StructuredMatrix, check
from doping.inference.families.layout import DENSE, Fields, laid_out, scale_fields
from doping.inference.families.narrow import Bits, wide
from doping.inference.families.sparse import Array, Values
from doping.inference.families.stored import StructuredParts, TensorShape

if TYPE_CHECKING:
    from torch import Tensor

    from doping.inference.exporters.onnx_graph import Builder


class DenseParts(StructuredParts):
    """All m·n values."""

    kind: Literal["dense"] = "dense"

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """``weight`` (m, n)."""
        return self.valued("weight", (rows, columns), rows)


@dataclass(frozen=True, eq=False)
class Dense(StructuredMatrix):
    """All values, ``weight`` (m, n)."""

    kind = "dense"
    parts = DenseParts

    weight: Values
    weight_scale: Array | None = None

    def __post_init__(self) -> None:
        check(weight=(self.weight, 2, self.weight_scale))

    @property
    def shape(self) -> Shape:
        """(m, n)."""
        return self.weight.shape[0], self.weight.shape[1]

    def dense(self) -> Array:
        """The weight itself."""
        return wide(self.weight, self.weight_scale)

    def layout(self) -> Fields:
        """The weight, row by row."""
        fields: Fields = {"kind": DENSE, "weight": laid_out(self.weight)}
        return fields | scale_fields(weight_scales=self.weight_scale)

    def int8_layout(self, bits: Bits, units: int) -> int8_layout.Fields:
        """All blocks."""
        return {"kind": int8_layout.DENSE, "first": int8_layout.blocks(self.weight, self.weight_scale, bits, units)}

    def torch_product(self, tensors: dict[str, Tensor], x_BN: Tensor) -> Tensor:
        """W x."""
        return x_BN @ tensors["weight"].mT

    def onnx_product(self, graph: Builder, x: Any) -> Any:
        """W x."""
        return graph.multiply(self.weight, x, self.weight_scale)

    def onnx_composed(self, graph: Builder) -> Any:
        """W."""
        return graph.wide(self.weight, self.weight_scale, "weight")
