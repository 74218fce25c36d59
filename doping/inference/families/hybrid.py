"""Hybrid (HMD): free rows above two blocks of rank 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from doping.inference.families import int8_layout
from doping.inference.families.base import Shape, StructuredMatrix, check
from doping.inference.families.dense import Dense
from doping.inference.families.layout import HYBRID, Fields, laid_out, padded, scale_fields
from doping.inference.families.narrow import LARGEST, Bits, wide
from doping.inference.families.sparse import Array, Values
from doping.inference.families.stored import StructuredParts, TensorShape

if TYPE_CHECKING:
    from torch import Tensor

    from doping.inference.exporters.onnx_graph import Builder


class HybridParts(StructuredParts):
    """[A ; u₁ v₁ᵀ | u₂ v₂ᵀ], v₁ for the first n // 2 columns; only A can be narrow."""

    kind: Literal["hybrid"] = "hybrid"
    free_rows: Annotated[int, Field(ge=0, le=1 << 22)]
    """Rows of A."""
    gates: Annotated[int, Field(ge=1, le=4, exclude_if=lambda gates: gates == 1)] = 1
    """Stacked gates that the free rows are spread over. Not written where it is 1: so files are what they always were."""

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """``a`` (r, n), ``u`` (m − r, 2) with u₁ and u₂ as columns, ``v`` (n) with v₁ and v₂ one behind the other."""
        if self.free_rows >= rows:
            raise ValueError(f"a hybrid matrix of {rows} rows cannot have {self.free_rows} free ones")
        return {
            **self.valued("a", (self.free_rows, columns), self.free_rows),
            "u": TensorShape(kind="F32", shape=(rows - self.free_rows, 2)),
            "v": TensorShape(kind="F32", shape=(columns,)),
        }

    def implied(self) -> dict[str, npt.NDArray[Any]]:
        """``gates`` (1), if the free rows are spread over them."""
        return {"gates": np.array([self.gates], np.uint16)} if self.gates > 1 else {}


@dataclass(frozen=True, eq=False)
class Hybrid(StructuredMatrix):
    """[A ; u₁ v₁ᵀ | u₂ v₂ᵀ]: ``a`` (r, n), ``u`` (m − r, 2), ``v`` (n), where v₁ is for the first n // 2 columns.

    Where free rows are spread over stacked gates, the rows of A come first in each gate (``gates`` holds their number).
    Only A can be narrow: u has two values a row, which its scale would outweigh.
    """

    kind = "hybrid"
    parts = HybridParts
    rounds_vectors = True

    a: Values
    u: Array
    v: Array
    a_scale: Array | None = None
    gates: npt.NDArray[np.uint16] | None = None

    def __post_init__(self) -> None:
        check(a=(self.a, 2, self.a_scale), u=(self.u, 2, None), v=(self.v, 1, None))
        if self.u.shape[1] != 2 or self.v.shape[0] != self.a.shape[1]:
            columns = self.a.shape[1]
            raise ValueError(
                f"u is {self.u.shape} and v is {self.v.shape}; expected (rows, 2) and ({columns},), as a has columns"
            )

        if self.gates is not None and (
            self.gates.shape != (1,) or self.gates.dtype.kind not in "ui" or not 1 <= self.gates[0] <= 4
        ):
            raise ValueError(f"gates is {self.gates.dtype} {self.gates}; expected one whole number from 1 to 4")

    @property
    def shape(self) -> Shape:
        """(m, n)."""
        return self.a.shape[0] + self.u.shape[0], self.a.shape[1]

    @property
    def places(self) -> npt.NDArray[np.int64] | None:
        """Of each row, where it is below A and above u, (m,); None where A simply comes first."""
        gates = 1 if self.gates is None else int(self.gates[0])
        if gates == 1:
            return None
        return (~free_rows(self.shape[0], self.a.shape[0], gates)).argsort(kind="stable").argsort()

    def dense(self) -> Array:
        """The blocks put together, (m, n)."""
        half = self.v.shape[0] // 2
        lower = np.hstack([np.outer(self.u[:, 0], self.v[:half]), np.outer(self.u[:, 1], self.v[half:])])
        written = np.vstack([wide(self.a, self.a_scale), lower])
        return written if self.places is None else written[self.places]

    def layout(self) -> Fields:
        """A row by row, u by its columns, padded, and v; written out where the free rows are spread over gates."""
        if self.places is not None:
            return Dense(self.dense()).layout()  # there is no kernel for it
        weight, left, right = laid_out(self.a), padded(self.u.T), laid_out(self.v)
        fields: Fields = {"kind": HYBRID, "rank": len(self.a), "weight": weight, "left": left, "right": right}
        return fields | scale_fields(weight_scales=self.a_scale)

    def int8_layout(self, bits: Bits, units: int) -> int8_layout.Fields:
        """A above v₁ and v₂, which are rounded here: they are float32 also in a narrow matrix."""
        if self.places is not None:
            raise ValueError("a hybrid matrix with free rows in every gate has no product in int8; take float32 arithmetic")
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
        y_BM = torch.cat([x_BN @ tensors["a"].mT, sums_B2 @ tensors["u"].mT], dim=1)
        return y_BM if self.places is None else y_BM[:, torch.from_numpy(self.places)]

    def onnx_product(self, graph: Builder, x: Any) -> Any:
        """A x above, two sums times u below."""
        lower = graph.multiply(self.u, graph.multiply(self._halves(), x))
        y = graph.add("Concat", graph.multiply(self.a, x, self.a_scale), lower, axis=1) if len(self.a) else lower
        return self._in_place(graph, y, 1)

    def onnx_composed(self, graph: Builder) -> Any:
        """The blocks put together."""
        lower = graph.add("MatMul", graph.constant(self.u, "u"), graph.constant(self._halves(), "v"))
        written = graph.add("Concat", graph.wide(self.a, self.a_scale, "a"), lower, axis=0) if len(self.a) else lower
        return self._in_place(graph, written, 0)

    def _in_place(self, graph: Builder, rows: Any, axis: int) -> Any:
        """Rows in the order of the matrix."""
        return rows if self.places is None else graph.add("Gather", rows, graph.constant(self.places, "places"), axis=axis)

    def _halves(self) -> Array:
        """Both halves of v as the rows of a (2, N) matrix, so that one product gives both sums."""
        half = len(self.v) // 2
        v_2N = np.zeros((2, len(self.v)), np.float32)
        v_2N[0, :half], v_2N[1, half:] = self.v[:half], self.v[half:]
        return v_2N


def free_rows(rows: int, free: int, gates: int) -> npt.NDArray[np.bool_]:
    """Which rows are unconstrained, (m,): the first of each gate, equally many; the first gates have what is over."""
    of_gate = rows if rows % gates else rows // gates
    place_M, gate_M, number = np.arange(rows) % of_gate, np.arange(rows) // of_gate, rows // of_gate
    mask_M: npt.NDArray[np.bool_] = place_M < free // number + (gate_M < free % number)
    return mask_M
