"""Hybrid (HMD): free rows above two blocks of rank 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from doping.inference.families import int8_layout
from doping.inference.families.base import Shape, StructuredMatrix, check
from doping.inference.families.layout import HYBRID, Fields, laid_out, padded, scale_fields
from doping.inference.families.narrow import LARGEST, Bits, wide
from doping.inference.families.parts import StructuredParts, TensorShape
from doping.inference.families.sparse import Array, Values

if TYPE_CHECKING:
    from torch import Tensor

    from doping.inference.exporters.onnx_graph import Builder


class HybridParts(StructuredParts):
    """[A ; u₁ v₁ᵀ | u₂ v₂ᵀ], v₁ for the first n // 2 columns; only A can be narrow."""

    kind: Literal["hybrid"] = "hybrid"
    free_rows: Annotated[int, Field(ge=0, le=1 << 22)]
    """Rows of A."""

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """``a`` (r, n), ``u`` (m − r, 2) with u₁ and u₂ as columns, ``v`` (n) with v₁ and v₂ one behind the other."""
        if self.free_rows >= rows:
            raise ValueError(f"a hybrid matrix of {rows} rows cannot have {self.free_rows} free ones")
        return {
            **self.valued("a", (self.free_rows, columns), self.free_rows),
            "u": TensorShape(kind="F32", shape=(rows - self.free_rows, 2)),
            "v": TensorShape(kind="F32", shape=(columns,)),
        }


@dataclass(frozen=True, eq=False)
class Hybrid(StructuredMatrix):
    """[A ; u₁ v₁ᵀ | u₂ v₂ᵀ]: ``a`` (r, n), ``u`` (m − r, 2), ``v`` (n), where v₁ is for the first n // 2 columns.

    Only A can be narrow: u has two values a row, which its scale would outweigh.
    """

    kind = "hybrid"
    parts = HybridParts

    a: Values
    u: Array
    v: Array
    a_scale: Array | None = None

    def __post_init__(self) -> None:
        check(a=(self.a, 2, self.a_scale), u=(self.u, 2, None), v=(self.v, 1, None))
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
        return np.vstack([wide(self.a, self.a_scale), lower])

    def layout(self) -> Fields:
        """A row by row, u by its columns, padded, and v."""
        weight, left, right = laid_out(self.a), padded(self.u.T), laid_out(self.v)
        fields: Fields = {"kind": HYBRID, "rank": len(self.a), "weight": weight, "left": left, "right": right}
        return fields | scale_fields(weight_scales=self.a_scale)

    def int8_layout(self, bits: Bits, units: int) -> int8_layout.Fields:
        """A above v₁ and v₂, which are rounded here: they are float32 also in a narrow matrix."""
        v_2N, steps = self._halves(), LARGEST[bits]
        v_scale = np.maximum(np.abs(v_2N).max(axis=1, initial=0) / steps, np.float32(1e-30)).astype(np.float32)
        numbers = np.rint(v_2N / v_scale[:, None]).clip(-steps, steps).astype(np.int8)
        scale = np.concatenate([int8_layout.known(self.a_scale), v_scale])
        first = int8_layout.blocks(np.concatenate([self.a, numbers]), scale, bits)
        return {"kind": int8_layout.HYBRID, "first": first, "u": np.ascontiguousarray(self.u.T)}

    def torch_product(self, tensors: dict[str, Tensor], x_BN: Tensor) -> Tensor:
        """A x above, two sums times u below."""
        import torch

        half = x_BN.shape[1] // 2
        scaled_BN = x_BN * tensors["v"]
        sums_B2 = torch.stack([scaled_BN[:, :half].sum(1), scaled_BN[:, half:].sum(1)], dim=1)
        return torch.cat([x_BN @ tensors["a"].mT, sums_B2 @ tensors["u"].mT], dim=1)

    def onnx_product(self, graph: Builder, x: Any) -> Any:
        """A x above, two sums times u below."""
        lower = graph.multiply(self.u, graph.multiply(self._halves(), x))
        return graph.add("Concat", graph.multiply(self.a, x, self.a_scale), lower, axis=1) if len(self.a) else lower

    def onnx_composed(self, graph: Builder) -> Any:
        """The blocks put together."""
        lower = graph.add("MatMul", graph.constant(self.u, "u"), graph.constant(self._halves(), "v"))
        return graph.add("Concat", graph.wide(self.a, self.a_scale, "a"), lower, axis=0) if len(self.a) else lower

    def _halves(self) -> Array:
        """Both halves of v as the rows of a (2, N) matrix, so that one product gives both sums."""
        half = len(self.v) // 2
        v_2N = np.zeros((2, len(self.v)), np.float32)
        v_2N[0, :half], v_2N[1, half:] = self.v[:half], self.v[half:]
        return v_2N
