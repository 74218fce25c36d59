"""Narrow values: int8, and a float32 scale for each row of a matrix, of a factor, or of S.

A row's largest magnitude becomes 127, so no value is off by more than 1/254 of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from doping.inference.families.sparse import Array, Values

LARGEST = 127
"""Symmetric, so that no value needs a zero point."""


def rounded_rows(values: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.int8], Array]:
    """Numbers and scales; rows are the last dimension but one, and terms before it share theirs."""
    others = tuple(axis for axis in range(values.ndim) if axis != values.ndim - 2)
    scale = scales(np.abs(values).max(axis=others, initial=0))
    return rounded(values, scale[:, None]), scale


def scales(largest: npt.NDArray[np.floating]) -> Array:
    """Of rows with this largest magnitude; a row of zeros has 1."""
    return np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)


def rounded(values: npt.NDArray[np.floating], scale: Array) -> npt.NDArray[np.int8]:
    """The nearest numbers, between ± 127."""
    with np.errstate(divide="ignore", invalid="ignore"):  # the padding of a block has values 0 and no row, so no scale
        quotient = np.where(scale > 0, values / scale, 0)
    return np.rint(quotient).clip(-LARGEST, LARGEST).astype(np.int8)


def wide(values: Values, scale: Array | None) -> Array:
    """As float32; the rows, which have the scales, are the last dimension but one."""
    widened: Array = values if scale is None else values * scale[:, None]
    return widened
