"""How a weight matrix is described in a bundle: its families and patterns, and the tensors that each consists of.

The parts of a family stand in its own file; here is what they share, the sparse part, and the sum.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from math import prod
from typing import Annotated, Any, Literal, Self

import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from doping.inference.families.tiles import groups_of_tiles
from doping.patterns import PATTERNS, PatternName

Width = Annotated[int, Field(ge=1, le=1 << 20)]
"""Inputs or hidden units; a width beyond a million is taken for damage."""
Count = Annotated[int, Field(ge=0, le=(1 << 31) - 1)]

TensorKind = Literal["F32", "BF16", "I8", "I4", "U8", "U16", "U32"]
"""Types of numbers, by the names that safetensors gives them; but for I4, two in a byte, which it takes for bytes."""
BITS: dict[TensorKind, int] = {"F32": 32, "BF16": 16, "I8": 8, "I4": 4, "U8": 8, "U16": 16, "U32": 32}

Narrow = Literal["int8", "int4"]
ValueKind = Literal["float32", Narrow]
"""How values are stored; int8 and int4 have a scale for each row (``doping.inference.families.narrow``)."""


class Part(BaseModel):
    """Base of all parts: immutable, and strict about types and unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False)


class TensorShape(Part):
    """Type and shape that a tensor must have."""

    kind: TensorKind
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """What it weighs."""
        return -(-prod(self.shape) * BITS[self.kind] // 8)


class Valued(Part):
    """Base of parts whose values may be narrow."""

    values: Annotated[ValueKind, Field(exclude_if=lambda kind: kind == "float32")] = "float32"
    """How they are stored. Not written where it is float32: so files without narrow values are what they always were."""
    scales: Annotated[Literal["float32", "bfloat16"], Field(exclude_if=lambda kind: kind == "float32")] = "float32"
    """How the scales of narrow values are stored; until version 3 of the format as float32, and then S had offsets."""

    @model_validator(mode="after")
    def _has_scales(self) -> Self:
        if {"float32": self.scales != "float32", "int8": False, "int4": self.scales != "bfloat16"}[self.values]:
            raise ValueError(f"values are {self.values} and scales {self.scales}; expected bfloat16 with int4 or int8")
        return self

    def valued(self, name: str, shape: tuple[int, ...], rows: int, *, least_bits: int = 4) -> dict[str, TensorShape]:
        """The tensor of values, of ``least_bits`` at least, and the scales of its rows if it is narrow."""
        if self.values == "float32":
            return {name: TensorShape(kind="F32", shape=shape)}
        kind: TensorKind = "I4" if self.values == "int4" and least_bits == 4 else "I8"
        scales = TensorShape(kind="BF16" if self.scales == "bfloat16" else "F32", shape=(rows,))
        return {name: TensorShape(kind=kind, shape=shape), f"{name}_scale": scales}


class StructuredParts(Valued, ABC):
    """Base of the parts of a family; ``kind`` names it."""

    kind: str

    @abstractmethod
    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """The tensors of a matrix (rows, columns), by name.

        Raises:
            ValueError: if such a matrix cannot have these parts.

        """

    def implied(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays of the matrix that follow from what is described here, and so are not in a file."""
        return {}


class SparseParts(Valued):
    """Blocks of values with one column index each, in compressed rows of blocks (``doping.inference.families.sparse``)."""

    pattern: PatternName = "unstructured"
    """What a block is."""
    blocks: Count
    """Blocks that are stored."""

    def tensors(self, rows: int, columns: int) -> dict[str, TensorShape]:
        """``values`` (blocks, block), ``columns`` (blocks), ``offsets`` (groups of rows + 1).

        Of tiles: ``values`` (tiles, 16, 4), ``columns`` (tiles), each by fours, and ``offsets``. Where values are narrow,
        ``counts`` (groups) stand for ``offsets``: how many blocks each group has. Of N:M: ``values`` and ``places``.
        """
        pattern = PATTERNS[self.pattern]
        if pattern.group:
            bits = pattern.group.bit_length() - 1
            self.of_each(rows, columns)
            places = TensorShape(kind="U8", shape=(-(-self.blocks * bits // 8),))
            return {**self.valued("values", (self.blocks, 1), rows), "places": places}
        tiles = pattern.columns > 1
        block = (pattern.rows, pattern.columns) if tiles else (pattern.rows,)
        groups, across = groups_of_tiles((rows, columns)) if tiles else (-(-rows // block[0]), columns)
        if self.blocks > groups * across:
            what = "tiles" if tiles else f"blocks of {block[0]}"
            raise ValueError(f"a sparse matrix of {rows} x {columns} cannot have {self.blocks:,} {what}")
        index: TensorKind = "U16" if across <= 1 << 16 else "U32"
        counted = self.values != "float32" and (tiles or self.scales == "bfloat16")
        return {
            **self.valued("values", (self.blocks, *block), rows),
            "columns": TensorShape(kind=index, shape=(self.blocks,)),
            **(
                {"counts": TensorShape(kind=index, shape=(groups,))}
                if counted
                else {"offsets": TensorShape(kind="U32", shape=(groups + 1,))}
            ),
        }

    def of_each(self, rows: int, columns: int) -> int:
        """N of N:M: values that are stored of every group of columns of a row.

        Raises:
            ValueError: if the blocks are not equally many in every group.

        """
        width = PATTERNS[self.pattern].group
        stored, rest = divmod(self.blocks, rows * -(-columns // width))
        if rest or not 0 < stored <= min(width, columns):
            raise ValueError(f"{self.blocks:,} values are not N of {width} columns in each row of {rows} x {columns}")
        return stored


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
