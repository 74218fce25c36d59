"""Monarch matrices: C x B blocks, each U V of a small rank R.

As a product that is two block-diagonal ones with a permutation between. Legend beyond that of ``base``: G gates (4 or 1),
P rows of one gate in a block, X = G·P; Q columns of a block; Y = B·R, Z = C·R.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from doping.inference.families import int8_layout
from doping.inference.families.base import Shape, StructuredMatrix, check
from doping.inference.families.layout import MONARCH, Fields, laid_out, scale_fields
from doping.inference.families.narrow import Bits, wide
from doping.inference.families.sparse import Array, Values
from doping.inference.families.stored import StructuredParts, TensorShape, Width

if TYPE_CHECKING:
    from torch import Tensor

    from doping.inference.exporters.onnx_graph import Builder


def gates_of(rows: int) -> int:
    """What so many rows are taken for: the four stacked gates of an LSTM, or none (1)."""
    return 1 if rows % 4 else 4


class MonarchParts(StructuredParts):
    """C x B blocks, each U V."""

    kind: Literal["monarch"] = "monarch"
    blocks: tuple[Width, Width]
    """(C, B): how many the rows and the columns are cut into."""
    rank: Width
    """Of each block."""

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """``u`` (C, m / C, B·R) and ``v`` (B, C·R, n / B)."""
        (c, b), g = self.blocks, gates_of(rows)
        if rows % (g * c) or columns % b:
            raise ValueError(f"{c} x {b} blocks of {g} gates do not divide a matrix of {rows} x {columns}")
        u = self.valued("u", (c, rows // c, b * self.rank), rows // c)
        return u | self.valued("v", (b, c * self.rank, columns // b), c * self.rank)


@dataclass(frozen=True, eq=False)
class Monarch(StructuredMatrix):
    """Blocks U V: ``u`` (C, m / C, B·R), whose rows are those of a gate after another, and ``v`` (B, C·R, n / B)."""

    kind = "monarch"
    parts = MonarchParts

    u: Values
    v: Values
    u_scale: Array | None = None
    v_scale: Array | None = None

    def __post_init__(self) -> None:
        check(u=(self.u, 3, self.u_scale), v=(self.v, 3, self.v_scale))
        (c, _, y), (b, z, _) = self.u.shape, self.v.shape
        if y % b or z % c or y // b != z // c or self.shape[0] % (gates_of(self.shape[0]) * c):
            raise ValueError(f"u is {self.u.shape} and v {self.v.shape}; expected (C, m / C, B·R) and (B, C·R, n / B)")

    @property
    def shape(self) -> Shape:
        """(m, n)."""
        return self.u.shape[0] * self.u.shape[1], self.v.shape[0] * self.v.shape[2]

    @property
    def rank(self) -> int:
        """Of a block."""
        return int(self.u.shape[2] // len(self.v))

    @property
    def gates(self) -> int:
        """What the rows are taken for."""
        return gates_of(self.shape[0])

    def dense(self) -> Array:
        """Every block written out, (m, n)."""
        c, b = len(self.u), len(self.v)
        u_CXBR = wide(self.u, self.u_scale).reshape(c, -1, b, self.rank)
        v_BCRQ = wide(self.v, self.v_scale).reshape(b, c, self.rank, -1)
        blocks_CXBQ = np.einsum("cxbr,bcrq->cxbq", u_CXBR, v_BCRQ)
        written: Array = blocks_CXBQ.reshape(c, self.gates, -1, self.shape[1]).swapaxes(0, 1).reshape(self.shape)
        return written

    def layout(self) -> Fields:
        """Both as they are, and the scales of every row."""
        c, b = len(self.u), len(self.v)
        fields: Fields = {"kind": MONARCH, "left_rows": c, "left_columns": b, "terms": self.rank}
        fields |= {"left": laid_out(self.u), "right": laid_out(self.v)}
        u_scale, v_scale = (None if scale is None else np.tile(scale, times)
                            for scale, times in ((self.u_scale, c), (self.v_scale, b)))  # fmt: skip
        return fields | scale_fields(left_scales=u_scale, right_scales=v_scale)

    def int8_layout(self, bits: Bits, units: int) -> int8_layout.Fields:
        """The blocks of V, then those of U, without those of 16 x 4 that are zero."""
        c, b, g = len(self.u), len(self.v), self.gates
        v_MN = _block_diagonal(self.v)
        u_GCPY = _block_diagonal(self.u).reshape(c, g, -1, c * b * self.rank).swapaxes(0, 1)
        u_scale_M = np.broadcast_to(int8_layout.known(self.u_scale).reshape(1, g, -1), (c, g, self.u.shape[1] // g))
        first = int8_layout.blocks(v_MN, np.tile(int8_layout.known(self.v_scale), b), bits, listed=True)
        second = int8_layout.blocks(
            u_GCPY.reshape(self.shape[0], -1), u_scale_M.swapaxes(0, 1).reshape(-1), bits, units, listed=True
        )
        fields = {"left_rows": c, "left_columns": b, "terms": self.rank}
        return {"kind": int8_layout.MONARCH, "first": first, "second": second} | fields

    def torch_product(self, tensors: dict[str, Tensor], x_BN: Tensor) -> Tensor:
        """Both block-diagonal products."""
        (c, x, y), (b, _, q), g = self.u.shape, self.v.shape, self.gates
        z = tensors["v"] @ x_BN.view(len(x_BN), b, q, 1)
        z = z.view(len(x_BN), b, c, self.rank).transpose(1, 2).reshape(len(x_BN), c, y, 1)
        return (tensors["u"] @ z).view(len(x_BN), c, g, x // g).transpose(1, 2).flatten(1)

    def onnx_product(self, graph: Builder, x: Any) -> Any:
        """Both block-diagonal products."""
        (c, _, y), (b, _, q), g = self.u.shape, self.v.shape, self.gates

        def shaped(x: Any, *shape: int) -> Any:
            return graph.add("Reshape", x, graph.constant(np.array([-1, *shape]), "shape"))

        z = graph.add("MatMul", graph.wide(self.v, self.v_scale, "v"), shaped(x, b, q, 1))
        z = graph.add("Transpose", shaped(z, b, c, self.rank), perm=[0, 2, 1, 3])
        y_CX = graph.add("MatMul", graph.wide(self.u, self.u_scale, "u"), shaped(z, c, y, 1))
        y_GCP = graph.add("Transpose", shaped(y_CX, c, g, self.u.shape[1] // g), perm=[0, 2, 1, 3])
        return shaped(y_GCP, self.shape[0])

    def onnx_composed(self, graph: Builder) -> Any:
        """The product with the unit matrix, transposed."""
        unit = graph.constant(np.eye(self.shape[1], dtype=np.float32), "unit")
        return graph.add("Transpose", self.onnx_product(graph, unit), perm=[1, 0])


def _block_diagonal(blocks_KIJ: Values) -> Values:
    """Blocks along the diagonal, (K·I, K·J)."""
    count, rows, columns = blocks_KIJ.shape
    written = np.zeros((count, rows, count, columns), blocks_KIJ.dtype)
    written[np.arange(count), :, np.arange(count)] = blocks_KIJ
    return written.reshape(count * rows, count * columns)
