"""Narrow values: int8 or int4, and a scale for each row of a matrix, of a factor, or of S.

With 8 bits a row's largest magnitude becomes 127, so no value is off by more than 1/254 of it. With 4 bits the numbers are
−7 to 7, and a row's scale is the one of least squares among some that clip its largest values.
"""

from __future__ import annotations

from math import prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from doping.inference.families.sparse import Array, Values

Bits = Literal[8, 4]
LARGEST: dict[Bits, int] = {8: 127, 4: 7}
"""Symmetric, so that no value needs a zero point."""
CLIPPED = tuple(float(share) for share in np.linspace(0.5, 1, 21))
"""What of a row's largest magnitude becomes the largest number of 4 bits, where that has the least squared error."""


def wide(values: Values, scale: Array | None) -> Array:
    """As float32; the rows, which have the scales, are the last dimension but one."""
    widened: Array = values if scale is None else values * scale[:, None]
    return widened


def in_pairs(numbers: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Numbers of 4 bits, two in a byte, the first one in its lower half."""
    assert fit_in_4_bits(numbers), "a value has more than 4 bits"
    flat = np.pad(numbers.ravel(), (0, numbers.size % 2)).view(np.uint8)
    return np.asarray(flat[::2] & 15 | flat[1::2] << 4, np.uint8)


def from_pairs(pairs: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """The numbers again. Raises ``ValueError`` if there is one beyond the last."""
    numbers = (np.stack([pairs << 4, pairs & 0xF0], axis=1).view(np.int8) >> 4).ravel()
    size = prod(shape)
    if numbers[size:].any():
        raise ValueError("has a value beyond its last one")
    return np.ascontiguousarray(numbers[:size].reshape(shape))


def fit_in_4_bits(numbers: npt.NDArray[Any]) -> bool:
    """Whether all are int8 numbers from -8 to 7."""
    return numbers.dtype == np.int8 and (numbers.size == 0 or bool(numbers.min() >= -8 and numbers.max() <= 7))


class Rounding:
    """To so many bits; ``short_scales`` says whether scales are rounded up to the upper 16 bits of a float32."""

    def __init__(self, bits: Bits = 8, short_scales: bool = False):
        self._bits, self._largest = bits, LARGEST[bits]
        self._shares = (1.0,) if bits == 8 else CLIPPED
        self._short = short_scales

    def at_least(self, bits: Bits) -> Rounding:
        """The same to so many bits, if it is to fewer."""
        return self if self._bits >= bits else Rounding(bits, self._short)

    def rows(self, values: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.int8], Array]:
        """Numbers and scales; rows are the last dimension but one, and terms before it share theirs."""
        rows = values.shape[-2]
        return self.numbers(values, np.broadcast_to(np.arange(rows)[:, None], values.shape), rows)

    def numbers(
        self, values: npt.NDArray[Any], row_of: npt.NDArray[np.int64], rows: int
    ) -> tuple[npt.NDArray[np.int8], Array]:
        """Numbers of values, each in the row that ``row_of`` names, and the scales of so many rows."""
        largest_M = np.zeros(rows, np.float32)
        np.maximum.at(largest_M, row_of.ravel(), np.abs(values).ravel())
        best_M, scale_M = np.full(rows, np.inf), self._scale(largest_M)
        for share in self._shares if len(self._shares) > 1 else ():
            tried_M = self._scale(np.float32(share) * largest_M)
            off = (self._rounded(values, tried_M[row_of]) * tried_M[row_of] - values).ravel()
            squares_M = np.bincount(row_of.ravel(), off.astype(np.float64) ** 2, rows)
            scale_M = np.where(squares_M < best_M, tried_M, scale_M)
            best_M = np.minimum(best_M, squares_M)
        return self._rounded(values, scale_M[row_of]), scale_M

    def _scale(self, largest: npt.NDArray[np.floating]) -> Array:
        """Of rows with this largest magnitude; a row of zeros has 1."""
        scale = np.where(largest > 0, largest / np.float32(self._largest), 1).astype(np.float32)
        if self._short:
            scale = ((scale.view(np.uint32) + 0xFFFF) & 0xFFFF0000).astype(np.uint32).view(np.float32)
        return scale

    def _rounded(self, values: npt.NDArray[np.floating], scale: Array) -> npt.NDArray[np.int8]:
        with np.errstate(divide="ignore", invalid="ignore"):  # a scale too small for a float32 is 0
            quotient = np.where(scale > 0, values / scale, 0)
        return np.rint(quotient).clip(-self._largest, self._largest).astype(np.int8)
