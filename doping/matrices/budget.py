"""How large a matrix is, and how large it may be.

Sizes are computed here and nowhere else, always three of them, because a compression factor that counts values alone
flatters sparse methods: values that remain, bytes in the deployed format (float32 values; for sparse matrices compressed
rows, whose column indices take two bytes up to 65,536 columns and whose row offsets take four; where blocks are pruned, one
index a block and one offset a row of blocks), and multiply–adds per product with one vector.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Literal, Protocol, TypeVar

from doping.errors import UserError

TOLERANCE = 0.01
"""Largest relative difference between the compression factor asked for and the one reached."""

VALUE_BYTES = 4
OFFSET_BYTES = 4

Shape = tuple[int, int]
"""(rows m, columns n)."""


class BudgetError(UserError):
    """A family cannot have the size that was asked for; the message names the nearest factors it can have."""


@dataclass(frozen=True)
class Size:
    """Size of a matrix, or of several together.

    Attributes:
        values: numbers that are stored.
        bytes: what they weigh in the deployed format, indices included.
        multiply_adds: multiply–adds of one product with a vector.

    """

    values: int
    bytes: int
    multiply_adds: int

    def __add__(self, other: Size) -> Size:
        return Size(self.values + other.values, self.bytes + other.bytes, self.multiply_adds + other.multiply_adds)


def structured_size(values: int, multiply_adds: int) -> Size:
    """Size of a matrix that stores float32 values and no indices."""
    return Size(values, VALUE_BYTES * values, multiply_adds)


def dense_size(shape: Shape) -> Size:
    """Size of an uncompressed matrix of this shape."""
    return structured_size(shape[0] * shape[1], shape[0] * shape[1])


def sparse_size(shape: Shape, blocks: int, entries: int = 1) -> Size:
    """Size of a matrix with so many blocks of ``entries`` values of a column each, in compressed rows of blocks."""
    values = blocks * entries
    offsets = ceil(shape[0] / entries) + 1
    return Size(values, _block_bytes(shape, entries) * blocks + OFFSET_BYTES * offsets, values)


def _block_bytes(shape: Shape, entries: int) -> int:
    index_bytes = 2 if shape[1] <= 1 << 16 else 4
    return VALUE_BYTES * entries + index_bytes


class Sized(Protocol):
    """Anything with a size."""

    def size(self) -> Size:
        """Its size."""
        ...


SizedT = TypeVar("SizedT", bound=Sized)


@dataclass(frozen=True)
class Budget:
    """How many times smaller than dense a matrix must be.

    Attributes:
        factor: the compression factor.
        unit: what it counts.

    """

    factor: float
    unit: Literal["values", "bytes"] = "values"

    def reached(self, shape: Shape, size: Size) -> float:
        """Compression factor, in the budget's unit, of a matrix of this shape and size."""
        return compression_factor(dense_size(shape), size, self.unit)

    def structured_values(self, shape: Shape) -> float:
        """Values a structured matrix may have; the same in both units, as it stores no indices."""
        return shape[0] * shape[1] / self.factor

    def nonzeros(self, shape: Shape, spent: Size | None = None, entries: int = 1) -> int:
        """Nonzeros that a sparse matrix of blocks of ``entries`` values may store beside a structured one of size ``spent``.

        Raises:
            BudgetError: if nothing is left for them, or if so few that the factor is missed by more than 1 %.

        """
        spent = spent or Size(0, 0, 0)
        if self.unit == "values":
            blocks = round((self.structured_values(shape) - spent.values) / entries)
        else:
            empty = sparse_size(shape, 0, entries).bytes
            left = VALUE_BYTES * self.structured_values(shape) - spent.bytes - empty
            blocks = round(left / _block_bytes(shape, entries))
        blocks = max(min(blocks, ceil(shape[0] / entries) * shape[1]), 1)
        nonzeros = blocks * entries
        reached = self.reached(shape, sparse_size(shape, blocks, entries) + spent)
        if not self.met_by(reached):
            limit = f"beside a structured part of {spent.values:,} values" if spent.values else "with a sparse matrix"
            limit += f" in blocks of {entries}" if entries > 1 else ""
            raise BudgetError(self.refusal(shape, limit, [(f"{nonzeros:,} nonzeros", reached)]))
        return nonzeros

    def met_by(self, factor: float) -> bool:
        """Whether a factor is the one asked for, within 1 %."""
        return abs(factor - self.factor) <= TOLERANCE * self.factor

    def refusal(self, shape: Shape, family: str, nearest: list[tuple[str, float]]) -> str:
        """One line that says what cannot be had and what can."""
        choices = " and ".join(f"{factor:.4g} ({what})" for what, factor in nearest) or "none"
        return (
            f"factor {self.factor:g} in {self.unit} is impossible for a {shape[0]} x {shape[1]} matrix {family}: "
            f"nearest possible {choices}; choose such a factor, or another width of the model"
        )

    def fit(self, shape: Shape, plans: Iterable[SizedT], family: str) -> SizedT:
        """Return the first of the plans that meets the budget; they come in order of preference.

        Raises:
            BudgetError: if none does; it names the nearest factors below and above.

        """
        factors: list[tuple[str, float]] = []
        for plan in plans:
            factor = self.reached(shape, plan.size())
            if self.met_by(factor):
                return plan
            factors.append((str(plan), factor))
        below = [choice for choice in factors if choice[1] < self.factor]
        above = [choice for choice in factors if choice[1] > self.factor]
        nearest = [max(below, key=lambda c: c[1])] if below else []
        nearest += [min(above, key=lambda c: c[1])] if above else []
        raise BudgetError(self.refusal(shape, family, nearest))


def compression_factor(dense: Size, compressed: Size, unit: Literal["values", "bytes"]) -> float:
    """How many times smaller ``compressed`` is than ``dense``."""
    if unit == "values":
        return dense.values / compressed.values
    return dense.bytes / compressed.bytes
