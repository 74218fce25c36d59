"""A layer over a batch of sequences of different lengths, each read to its own end.

Sorted by length, the sequences that are not over at a step are the first ones. So the steps are cut where a sequence
ends, and the layer runs over each piece with as many sequences as there are: nothing is masked, and nothing computed in
vain.

Legend: T steps, B batch, I inputs, O outputs.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from doping.inference.families.sparse import Array


class HasForward(Protocol):
    """A layer in one direction."""

    reverse: bool

    def forward(self, x_TBI: Array, *state: Any) -> tuple[Array, ...]:
        """Outputs and the last state."""
        ...


def forward_to_lengths(
    layer: HasForward, x_TBI: Array, lengths_B: npt.NDArray[np.integer], *state: Array
) -> tuple[Array, ...]:
    """What ``layer.forward`` gives for each sequence by itself.

    Args:
        layer: in either direction; in the reverse one each sequence is read from its own end.
        x_TBI: padded inputs; what is behind the end of a sequence is not read.
        lengths_B: steps of each sequence, in any order.
        *state: each part (B, …), to start with.

    Returns:
        Outputs, with zeros behind the end of a sequence, and the state of each sequence after its last step.

    """
    order_B = np.argsort(-lengths_B, kind="stable")
    lengths_B = lengths_B[order_B]
    x_TBI = x_TBI[:, order_B]
    last = [np.array(part[order_B], np.float32) for part in state]
    y_TBO = None
    pieces = list(pairwise(sorted({0, *lengths_B.tolist()})))
    for start, end in reversed(pieces) if layer.reverse else pieces:
        count = int((lengths_B >= end).sum())
        y, *after = layer.forward(x_TBI[start:end, :count], *(np.ascontiguousarray(part[:count]) for part in last))
        if y_TBO is None:
            y_TBO = np.zeros((*x_TBI.shape[:2], y.shape[2]), np.float32)
        y_TBO[start:end, :count] = y
        for part, new in zip(last, after, strict=True):
            part[:count] = new
    assert y_TBO is not None
    back_B = np.argsort(order_B)
    return y_TBO[:, back_B], *(part[back_B] for part in last)


def check_lengths(lengths_B: npt.ArrayLike, steps: int, batch: int) -> npt.NDArray[np.int64]:
    """The lengths as an array. Raises ``ValueError`` if they are not one per sequence, from 1 to ``steps``."""
    found = np.asarray(lengths_B)
    if found.shape != (batch,) or not np.issubdtype(found.dtype, np.integer):
        raise ValueError(f"the lengths have shape {found.shape} and type {found.dtype}; expected {batch} whole numbers")
    if not 1 <= found.min() <= found.max() <= steps:
        raise ValueError(f"lengths from {found.min()} to {found.max()} were given; expected 1 to {steps}, the steps given")
    return found.astype(np.int64)
