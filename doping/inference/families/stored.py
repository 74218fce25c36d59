"""How a weight matrix is described in a bundle: its families and patterns, and the tensors that each consists of.

The parts of a family stand in its own file; here is what they share, the sparse part, and the sum.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from doping.inference.families.sparse import ROWS_OF_BLOCK, StoredPattern
from doping.inference.families.tiles import groups_of_tiles

Width = Annotated[int, Field(ge=1, le=1 << 20)]
"""Inputs or hidden units; a width beyond a million is taken for damage."""
Count = Annotated[int, Field(ge=0, le=(1 << 31) - 1)]

TensorKind = Literal["F32", "I8", "U16", "U32"]
"""Types of numbers, by the names that safetensors gives them."""
BYTES: dict[TensorKind, int] = {"F32": 4, "I8": 1, "U16": 2, "U32": 4}

ValueKind = Literal["float32", "int8"]
"""How values are stored; int8 has a scale for each row (``doping.inference.families.narrow``)."""


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

    def valued(self, name: str, shape: tuple[int, ...], rows: int) -> dict[str, TensorShape]:
        """The tensor of values, and the scales of its rows if it is narrow."""
        if self.values == "float32":
            return {name: TensorShape(kind="F32", shape=shape)}
        return {name: TensorShape(kind="I8", shape=shape), f"{name}_scale": TensorShape(kind="F32", shape=(rows,))}


class StructuredParts(Valued, ABC):
    """Base of the parts of a family; ``kind`` names it."""

    kind: str

    @abstractmethod
    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """The tensors of a matrix (rows, columns), by name.

        Raises:
            ValueError: if such a matrix cannot have these parts.

        """


class SparseParts(Valued):
    """Blocks of values with one column index each, in compressed rows of blocks (``doping.inference.families.sparse``)."""

    pattern: StoredPattern | Literal["tiles"] = "unstructured"
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
            **self.valued("values", (self.blocks, block), rows),
            "columns": TensorShape(kind="U16" if columns <= 1 << 16 else "U32", shape=(self.blocks,)),
            "offsets": TensorShape(kind="U32", shape=(groups + 1,)),
        }

    def _tiles(self, rows: int, columns: int) -> dict[str, TensorShape]:
        groups, across = groups_of_tiles((rows, columns))
        if self.blocks > groups * across:
            raise ValueError(f"a sparse matrix of {rows} x {columns} cannot have {self.blocks:,} tiles")
        offsets = TensorShape(kind="U32", shape=(groups + 1,))
        return {
            **self.valued("values", (self.blocks, 16, 4), rows),
            "columns": TensorShape(kind="U16", shape=(self.blocks,)),
            **({"offsets": offsets} if self.values == "float32" else {"counts": TensorShape(kind="U16", shape=(groups,))}),
        }


def _parts_of_kind(given: object) -> object:
    """The parts of the family that ``kind`` names; a description that names none of them is refused."""
    if not isinstance(given, dict):
        return given
    from doping.inference.families import classes  # which are made of the parts that are defined here

    found = classes().get(given.get("kind", ""))
    if found is None:
        raise ValueError(f"kind is {given.get('kind')!r}; expected one of {', '.join(classes())}")
    # As JSON, where a shape is a list: strict about everything else.
    return found.parts.model_validate_json(json.dumps(given))


class MatrixParts(Part):
    """A weight M + S, either part of which may be missing."""

    structured: Annotated[SerializeAsAny[StructuredParts] | None, BeforeValidator(_parts_of_kind)] = None
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
