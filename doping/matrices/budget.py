"""How large a matrix is, and how large it may be.

Sizes are computed here and nowhere else, because a compression factor that counts values alone flatters sparse methods:
values that remain, bytes in the deployed format, and multiply–adds per product with one vector. What is deployed:

- float32: values of four bytes; for sparse matrices compressed rows of blocks (``doping.patterns``), whose column
  indices take two bytes up to 65,536 columns, one a block, and whose offsets take four, one a row of blocks and one more.
- int8 and int4: values of a byte or half of one, and a scale of two bytes (a bfloat16) for each row of a matrix, of a
  factor, or of S. Indices are as above; in place of offsets there is a number of blocks for each row of blocks, as wide as
  an index. Some values keep more bits: u and v of hybrid matrices stay float32, and left Kronecker factors int8.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from math import ceil
from typing import Literal, Protocol, TypeVar

from doping.errors import UserError
from doping.method import Values
from doping.patterns import geometry

TOLERANCE = 0.01
"""Largest relative difference between the compression factor asked for and the one reached."""

VALUE_BYTES = 4
OFFSET_BYTES = 4
VALUE_BITS: dict[Values, int] = {"float32": 32, "int8": 8, "int4": 4}
SCALE_BYTES = 2

Shape = tuple[int, int]
"""(rows m, columns n)."""


class BudgetError(UserError):
    """A family cannot have the size that was asked for; the message names the nearest factors it can have.

    ``nearest`` are these factors, exactly.
    """

    def __init__(self, message: str, nearest: Iterable[float] = ()) -> None:
        super().__init__(message)
        self.nearest = tuple(nearest)

    def __reduce__(self) -> tuple[type[BudgetError], tuple[str, tuple[float, ...]]]:
        return type(self), (str(self), self.nearest)


@dataclass(frozen=True)
class Size:
    """Size of a matrix, or of several together.

    Attributes:
        values: numbers that are stored.
        bytes: what they weigh in the deployed format with float32 values, indices included.
        multiply_adds: multiply–adds of one product with a vector.
        bytes_int8: what they weigh with int8 values, indices and scales included.
        bytes_int4: the same with int4 values.

    """

    values: int
    bytes: int
    multiply_adds: int
    bytes_int8: int = 0
    bytes_int4: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    def bytes_in(self, values: Values) -> int:
        """Bytes with such values."""
        return {"float32": self.bytes, "int8": self.bytes_int8, "int4": self.bytes_int4}[values]

    def overhead(self, values: Values) -> int:
        """Bytes beyond those that the values alone would take: indices, scales, and values that are wider than others."""
        return self.bytes_in(values) - ceil(self.values * VALUE_BITS[values] / 8)


def structured_size(values: int, multiply_adds: int, scales: int, *, float32: int = 0, int8: int = 0) -> Size:
    """Size of a matrix that stores values and no indices, and so many scales where its values are narrow.

    Of the values, so many stay float32 and so many int8, however narrow the others are.
    """
    narrow = SCALE_BYTES * scales + 4 * float32
    return Size(
        values,
        VALUE_BYTES * values,
        multiply_adds,
        narrow + values - float32,
        narrow + int8 + ceil((values - float32 - int8) / 2),
    )


def dense_size(shape: Shape) -> Size:
    """Size of an uncompressed matrix of this shape."""
    return structured_size(shape[0] * shape[1], shape[0] * shape[1], shape[0])


def sparse_size(shape: Shape, values: int, pattern: str = "unstructured") -> Size:
    """Size of a matrix that stores so many values, zeros of its blocks included, in a pattern."""
    of = geometry(shape, pattern)
    indices = ceil(values // of.entries * of.index_bits / 8)
    narrow = indices + of.offsets * of.index_bits // 8 + SCALE_BYTES * shape[0]
    wide = indices + (OFFSET_BYTES * (of.offsets + 1) if of.offsets else 0)
    return Size(values, wide + VALUE_BYTES * values, values, narrow + values, narrow + ceil(values / 2))


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
        narrow: how values are stored: what bytes are counted of; those of the dense matrix are always float32.

    """

    factor: float
    unit: Literal["values", "bytes"] = "values"
    narrow: Values = "float32"

    def reached(self, shape: Shape, size: Size) -> float:
        """Compression factor, in the budget's unit, of a matrix of this shape and size."""
        return compression_factor(dense_size(shape), size, self.unit, self.narrow)

    def structured_values(self, shape: Shape, overhead: int = 0) -> float:
        """Values a structured matrix may have, beside so many bytes of scales; float32 ones need none."""
        values = shape[0] * shape[1] / self.factor
        if self.unit == "values":
            return values
        return max(VALUE_BYTES * values - overhead, 0) * 8 / VALUE_BITS[self.narrow]

    def nonzeros(self, shape: Shape, spent: Size | None = None, pattern: str = "unstructured") -> int:
        """Values that a sparse matrix of a pattern may store beside a structured one of size ``spent``.

        Raises:
            BudgetError: if nothing is left for them, or if so few that the factor is missed by more than 1 %.
            ValueError: if the shape has no such pattern.

        """
        spent, of = spent or Size(0, 0, 0), geometry(shape, pattern)
        if self.unit == "values":
            steps = round((shape[0] * shape[1] / self.factor - spent.values) / of.step)
        else:
            empty = sparse_size(shape, 0, pattern).bytes_in(self.narrow)
            left = VALUE_BYTES * shape[0] * shape[1] / self.factor - spent.bytes_in(self.narrow) - empty
            step_bits = VALUE_BITS[self.narrow] * of.step + of.index_bits * of.step // of.entries
            steps = round(left * 8 / step_bits)
        nonzeros = max(min(steps, of.steps), 1) * of.step
        reached = self.reached(shape, sparse_size(shape, nonzeros, pattern) + spent)
        if not self.met_by(reached):
            limit = f"beside a structured part of {spent.values:,} values" if spent.values else "with a sparse matrix"
            limit += "" if of.entries == of.step == 1 else f" in {pattern}"
            raise BudgetError(self.refusal(shape, limit, [(f"{nonzeros:,} nonzeros", reached)]), [reached])
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
        raise BudgetError(self.refusal(shape, family, nearest), [reached for _, reached in nearest])


def compression_factor(dense: Size, compressed: Size, unit: Literal["values", "bytes"], narrow: Values = "float32") -> float:
    """How many times smaller ``compressed`` is than ``dense``, whose bytes are those of float32."""
    if unit == "values":
        return dense.values / compressed.values
    return dense.bytes / compressed.bytes_in(narrow)
