"""What the figures of the annealing share: a quantity against sparsity, on an axis that is logarithmic in what remains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.section import TableRow

TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
LABEL_WIDTH = 0.05
"""Width of a digit of a label, as a share of the axis."""


def course(row: TableRow, curves: pd.DataFrame, column: str) -> pd.DataFrame | None:
    """A column of the curves over the finished seeds, from the last measurement before the annealing to the first after it.

    A row a step: sparsity, and mean, low, high over the seeds. None for a method without a sparse part, or where the column
    has no numbers.
    """
    if not row.sparse:
        return None
    own = curves[curves["trial_id"].isin(row.finished["trial_id"])].dropna(subset=["step", "sparsity", column])
    steps = own.groupby("step").agg(
        sparsity=("sparsity", "mean"),
        mean=(column, "mean"),
        low=(column, "min"),
        high=(column, "max"),
        seeds=("trial_id", "nunique"),
    )
    # A step that only some seeds were measured at would show the difference of seeds as a jump.
    steps = steps[steps["seeds"] == own["trial_id"].nunique()].sort_index()
    if steps.empty or steps["sparsity"].max() <= 0:
        return None
    before = int((steps["sparsity"] <= 0).sum())
    annealing = int((steps["sparsity"] < steps["sparsity"].max()).sum())
    return steps.iloc[max(before - 1, 0) : annealing + 1]


def sparsity_axis(axes: Axes, densest: float, end: bool) -> float:
    """Prepare the axis up to the sparsity ``densest``; returns its last place, labelled "end" where ``end`` is true."""
    last = float(unstretch((1.18 if end else 1.0) * stretch(densest)))
    axes.set_xscale("function", functions=(stretch, unstretch))
    axes.set_xlim(0, float(unstretch(1.03 * stretch(last))))
    axes.xaxis.set_major_locator(FixedLocator([*_ticks(densest, last), *[last] * end]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: "end" if end and value == last else _percent(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Sparsity while annealing, %")
    return last


def _ticks(densest: float, last: float) -> list[float]:
    """Those of ``TICKS`` whose labels have room, the highest first."""
    kept: list[float] = []
    for tick in sorted((tick for tick in TICKS if tick <= densest + 1e-3), reverse=True):
        room = LABEL_WIDTH * len(_percent(tick)) * float(stretch(last))
        if not kept or float(stretch(kept[-1]) - stretch(tick)) >= room:
            kept.append(tick)
    return kept


def _percent(sparsity: float) -> str:
    return f"{100 * sparsity:g}"


def stretch(sparsity: Any) -> Any:
    """Minus the logarithm of what remains."""
    return -np.log(np.maximum(1 - np.asarray(sparsity, dtype=float), 1e-9))


def unstretch(stretched: Any) -> Any:
    """The inverse of ``stretch``."""
    return 1 - np.exp(-np.asarray(stretched, dtype=float))
