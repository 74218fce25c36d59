"""Figure: what M and S each contribute while S is annealed; a line of panels a factor, a panel a quantity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import labels
from analysis.figures import drawing
from analysis.figures.annealing import course, sparsity_axis
from analysis.figures.drawing import End
from analysis.results import Results
from analysis.section import Section, TableRow
from doping.families import is_doped

LEFT, PANEL, BELOW, ABOVE = 0.5, 1.7, 0.42, 0.42
"""Inches: margin with the axis, width of a panel, the room below and above it."""
QUANTITIES = {
    "energy_sparse": "Energy share of S x",
    "validation_without_sparse": "{metric} with S off",
    "validation_without_structured": "{metric} with M off",
    "gradient_ratio": "Gradient norm, S over M",
}
"""Columns of the curves, and what a panel says; ``gradient_ratio`` is computed."""


def draw(sections: Sequence[Section], results: Results, stem: Path) -> list[Path]:
    """Draw a study to ``stem.png`` and ``stem.svg``; returns the paths, none where this was not recorded."""
    curves = results.curves.assign(gradient_ratio=results.curves["gradient_sparse"] / results.curves["gradient_structured"])
    lines = [(section, cell, found) for section in sections for cell, found in _cells(section, curves).items()]
    if not lines:
        return []
    with drawing.style():
        rooms = [drawing.label_room([drawing.label(row) for row, _ in _courses(found)]) for _, _, found in lines]
        panel = max(1.6, *(height for _, height in rooms))
        across, down = LEFT + PANEL, panel + BELOW + ABOVE
        width = max(len(found) for _, _, found in lines) * across + max(width for width, _ in rooms)
        height = len(lines) * down
        figure = Figure(figsize=(width, height))
        for index, (section, (unit, factor), found) in enumerate(lines):
            bottom = height - (index + 1) * down + BELOW
            title = f"{section.title}, {labels.asked_of(factor, unit, ' fewer ')}"
            figure.text(LEFT / width, (bottom + panel + 0.26) / height, title, weight="bold")
            for column, (quantity, courses) in enumerate(found.items()):
                box = ((column * across + LEFT) / width, bottom / height, PANEL / width, panel / height)
                axes = figure.add_axes(box)
                metric = labels.metric_name(section.metric)
                axes.set_title(QUANTITIES[quantity].format(metric=metric), loc="left")
                ends = _panel(axes, section, courses)
            drawing.label_ends(axes, ends)
        return drawing.save(figure, stem)


_Found = dict[str, list[tuple[TableRow, pd.DataFrame]]]
"""The rows with a course, by quantity."""


def _cells(section: Section, curves: pd.DataFrame) -> dict[tuple[str, float], _Found]:
    cells: dict[tuple[str, float], _Found] = {}
    for row in section.rows:
        if is_doped(row.method):
            for quantity in QUANTITIES:
                if (found := course(row, curves, quantity)) is not None:
                    cells.setdefault((row.unit, row.factor), {}).setdefault(quantity, []).append((row, found))
    return cells


def _courses(found: _Found) -> list[tuple[TableRow, pd.DataFrame]]:
    return next(iter(found.values()))


def _panel(axes: Axes, section: Section, courses: Sequence[tuple[TableRow, pd.DataFrame]]) -> list[End]:
    sparsity_axis(axes, max(float(points["sparsity"].iloc[-1]) for _, points in courses), end=False)
    looks = drawing.looks(section.rows)
    ends = []
    for row, points in courses:
        look = looks[row.key]
        axes.plot(points["sparsity"], points["mean"], **look.stroke())
        axes.fill_between(points["sparsity"], points["low"], points["high"], color=look.colour, alpha=0.15, linewidth=0)
        ends.append(End(float(points["sparsity"].iloc[-1]), float(points["mean"].iloc[-1]), look, drawing.label(row)))
    return ends
