"""Floats of workspace that the kernels need, as they count them themselves, for headers that are written before they run.

``small`` is for kernels compiled with ``-DDOPED_SMALL``, which compute one vector at a time.
"""

from __future__ import annotations

from typing import Any, cast

from doping.inference.families.layout import HYBRID, KRONECKER, KRONECKER_LEFT_FIRST, LANES, LOW_RANK, MONARCH, fields
from doping.inference.families.matrix import Matrix

PADDING = 16
"""Floats that may be read behind an array."""


def layer_workspace(input: Matrix, recurrent: Matrix, small: bool) -> int:
    """What ``doped_workspace`` gives for one sequence on one thread."""
    at_once = 1 if small else LANES
    inputs, hidden = input.shape[1], recurrent.shape[1]
    panels = 0 if small else _room(inputs * LANES) + _room(4 * hidden * LANES)
    between = _room(max(_between(input, at_once), _between(recurrent, at_once)))
    return between + panels + _room(inputs) + at_once * _room(4 * hidden) + _room(hidden)


def multiply_workspace(matrix: Matrix, small: bool) -> int:
    """What ``doped_multiply_workspace`` gives."""
    at_once = 1 if small else LANES
    rows, columns = matrix.shape
    return _room(_between(matrix, at_once)) + _room(columns * at_once) + _room(rows * at_once)


def _room(floats: int) -> int:
    return (floats + 2 * PADDING - 1) // PADDING * PADDING


def _between(matrix: Matrix, at_once: int) -> int:
    """Floats between the two stages of a product with the structured part."""
    laid_out = cast("dict[str, Any]", fields(matrix))
    match laid_out.get("kind"):
        case kind if kind == KRONECKER:
            rows = laid_out["rows"] // laid_out["left_rows"]
            return int(laid_out["left_columns"] * laid_out["terms"] * -(-rows // LANES) * LANES * at_once)
        case kind if kind == KRONECKER_LEFT_FIRST:
            columns = laid_out["columns"] // laid_out["left_columns"]
            return int(laid_out["left_rows"] * laid_out["terms"] * columns * at_once)
        case kind if kind == LOW_RANK:
            return int(laid_out["rank"] * at_once)
        case kind if kind == MONARCH:
            return int(2 * laid_out["left_rows"] * laid_out["left_columns"] * laid_out["terms"] * at_once)
        case kind if kind == HYBRID:
            return 2 * at_once
        case _:
            return 0
