"""How a weight matrix is described in a bundle: its families and patterns, and the tensors that each consists of.

A new family is a class here, one in ``doping.inference.kernels.matrices``, and a case in ``doping.inference.from_torch``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from doping.inference.kernels.sparse import ROWS_OF_BLOCK, Pattern
from doping.inference.kernels.tiles import groups_of_tiles

Width = Annotated[int, Field(ge=1, le=1 << 20)]
"""Inputs or hidden units; a width beyond a million is taken for damage."""
Count = Annotated[int, Field(ge=0, le=(1 << 31) - 1)]

TensorKind = Literal["F32", "I8", "U16", "U32"]
"""Types of numbers, by the names that safetensors gives them."""
BYTES: dict[TensorKind, int] = {"F32": 4, "I8": 1, "U16": 2, "U32": 4}

ValueKind = Literal["float32", "int8"]
"""How values are stored; int8 has a scale for each row (``doping.inference.kernels.narrow``)."""


class Part(BaseModel):
    """Base of all parts: immutable, and strict about types and unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False)


class TensorShape(Part):
    """Type and shape that a tensor must have."""

    kind: TensorKind
    shape: tuple[int, ...]


class Valued(Part):
    """Base of parts whose values may be narrow."""

    values: Annotated[ValueKind, Field(exclude_if=lambda kind: kind == "float32")] = "float32"
    """How they are stored. Not written where it is float32: so files without narrow values are what they always were."""

    def _values(self, name: str, shape: tuple[int, ...], rows: int) -> dict[str, TensorShape]:
        """The tensor of values, and the scales of its rows if it is narrow."""
        if self.values == "float32":
            return {name: TensorShape(kind="F32", shape=shape)}
        return {name: TensorShape(kind="I8", shape=shape), f"{name}_scale": TensorShape(kind="F32", shape=(rows,))}


class DenseParts(Valued):
    """All m·n values."""

    kind: Literal["dense"] = "dense"

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """``weight`` (m, n)."""
        return self._values("weight", (rows, columns), rows)


class LowRankParts(Valued):
    """U V."""

    kind: Literal["low_rank"] = "low_rank"
    rank: Width
    """Columns of U and rows of V."""

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """``u`` (m, r) and ``v`` (r, n)."""
        return self._values("u", (rows, self.rank), rows) | self._values("v", (self.rank, columns), self.rank)


class HybridParts(Valued):
    """[A ; u₁ v₁ᵀ | u₂ v₂ᵀ], v₁ for the first n // 2 columns; only A can be narrow."""

    kind: Literal["hybrid"] = "hybrid"
    free_rows: Annotated[int, Field(ge=0, le=1 << 22)]
    """Rows of A."""

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """``a`` (r, n), ``u`` (m − r, 2) with u₁ and u₂ as columns, ``v`` (n) with v₁ and v₂ one behind the other."""
        if self.free_rows >= rows:
            raise ValueError(f"a hybrid matrix of {rows} rows cannot have {self.free_rows} free ones")
        return {
            **self._values("a", (self.free_rows, columns), self.free_rows),
            "u": TensorShape(kind="F32", shape=(rows - self.free_rows, 2)),
            "v": TensorShape(kind="F32", shape=(columns,)),
        }


class KroneckerParts(Valued):
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
        return self._values("b", (self.terms, m1, n1), m1) | self._values("c", (self.terms, m2, n2), m2)


class SparseParts(Valued):
    """Blocks of values with one column index each, in compressed rows of blocks (``doping.inference.kernels.sparse``)."""

    pattern: Pattern | Literal["tiles"] = "unstructured"
    """What a block is."""
    blocks: Count
    """Blocks that are stored."""

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """``values`` (blocks, block), ``columns`` (blocks), ``offsets`` (groups of rows + 1).

        Of tiles: ``values`` (tiles, 16, 4), ``columns`` (tiles), each by fours, and ``offsets``; or, where values are
        narrow, ``counts`` (groups of 4 units), how many tiles each has.
        """
        if self.pattern == "tiles":
            return self._tiles(rows, columns)
        block = ROWS_OF_BLOCK[self.pattern]
        groups = -(-rows // block)
        if self.blocks > groups * columns:
            raise ValueError(f"a sparse matrix of {rows} x {columns} cannot have {self.blocks:,} blocks of {block}")
        return {
            **self._values("values", (self.blocks, block), rows),
            "columns": TensorShape(kind="U16" if columns <= 1 << 16 else "U32", shape=(self.blocks,)),
            "offsets": TensorShape(kind="U32", shape=(groups + 1,)),
        }

    def _tiles(self, rows: int, columns: int) -> dict[str, TensorShape]:
        groups, across = groups_of_tiles((rows, columns))
        if self.blocks > groups * across:
            raise ValueError(f"a sparse matrix of {rows} x {columns} cannot have {self.blocks:,} tiles")
        offsets = TensorShape(kind="U32", shape=(groups + 1,))
        return {
            **self._values("values", (self.blocks, 16, 4), rows),
            "columns": TensorShape(kind="U16", shape=(self.blocks,)),
            **({"offsets": offsets} if self.values == "float32" else {"counts": TensorShape(kind="U16", shape=(groups,))}),
        }


StructuredParts = Annotated[DenseParts | LowRankParts | HybridParts | KroneckerParts, Field(discriminator="kind")]


class MatrixParts(Part):
    """A weight M + S, either part of which may be missing."""

    structured: StructuredParts | None = None
    """M."""
    sparse: SparseParts | None = None
    """S."""

    @model_validator(mode="after")
    def _is_something(self) -> MatrixParts:
        if self.structured is None and self.sparse is None:
            raise ValueError("a matrix needs a structured or a sparse part")
        return self

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """Tensors of both parts, those of S under ``sparse.``."""
        tensors = self.structured.tensors(rows, columns) if self.structured else {}
        if self.sparse:
            tensors |= {f"sparse.{name}": shape for name, shape in self.sparse.tensors(rows, columns).items()}
        return tensors
