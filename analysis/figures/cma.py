"""Figure: how validation degrades while the sparse part is annealed (co-matrix adaptation); a panel a factor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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

COLUMNS = 2
LEFT, PANEL, BELOW, ABOVE = 0.5, 1.75, 0.42, 0.5
"""Inches: margin with the axis, width of a panel, the room below and above it."""
TITLE_PAD = 20
"""Points between a panel and its title: the uppermost label reaches above the panel."""


@dataclass(frozen=True)
class Curve:
    """The validation of one setting, over its finished seeds, from the last measurement before the annealing on."""

    row: TableRow
    points: pd.DataFrame
    """A row a step while annealing: sparsity, and mean, low, high of the validation over seeds."""
    final: float
    """Mean validation at the end of the training, when the mask has been frozen for a while."""

    @property
    def sparsity(self) -> float:
        """The sparsity that it ends with."""
        return float(self.points["sparsity"].iloc[-1])


@dataclass(frozen=True)
class Panel:
    """All curves of one compression factor, and their place in the figure."""

    section: Section
    unit: str
    factor: float
    curves: list[Curve]
    line: int
    column: int


def draw(sections: Sequence[Section], results: Results, stem: Path) -> list[Path]:
    """Draw a study to ``stem.png`` and ``stem.svg``; returns the paths, none where no method has a sparse part.

    The axis is logarithmic in what remains, so that the last stretch, where co-adaptation shows, is wide. A line runs
    from the last validation before the annealing to the first one after it, its band spans the seeds; from there a
    dotted line leads to the marker: the value at the end of the training. Panels of a task share their range, which is
    that of the second half of the sparsity: what comes before is still learning, not degradation.
    """
    panels = _panels(sections, results.curves)
    if not panels:
        return []
    with drawing.style():
        rooms = [drawing.label_room(["Dense", *(drawing.label(curve.row) for curve in p.curves)]) for p in panels]
        tall = max(1.8, *(height for _, height in rooms))
        across, down = LEFT + PANEL + max(width for width, _ in rooms), tall + BELOW + ABOVE
        width = across * (1 + max(panel.column for panel in panels))
        height = down * (1 + max(panel.line for panel in panels))
        figure = Figure(figsize=(width, height))
        for panel in panels:
            x, y = panel.column * across + LEFT, height - (panel.line + 1) * down + BELOW
            axes = figure.add_axes((x / width, y / height, PANEL / width, tall / height))
            axes.set_ylim(*_limits(panel.section, [p for p in panels if p.section is panel.section]))
            _draw_panel(axes, panel)
        return drawing.save(figure, stem)


def _panels(sections: Sequence[Section], curves: pd.DataFrame) -> list[Panel]:
    panels: list[Panel] = []
    line = 0
    for section in sections:
        by_factor: dict[tuple[str, float], list[Curve]] = {}
        for row in section.rows:
            if curve := _curve(row, curves):
                by_factor.setdefault((row.unit, row.factor), []).append(curve)
        for index, ((unit, factor), found) in enumerate(by_factor.items()):
            panels.append(Panel(section, unit, factor, found, line + index // COLUMNS, index % COLUMNS))
        # A task begins on a line of its own: panels beside one another share the label of the axis.
        line += math.ceil(len(by_factor) / COLUMNS)
    return panels


def _curve(row: TableRow, curves: pd.DataFrame) -> Curve | None:
    """The curve of a setting; None for a method without a sparse part, or where no seed has finished."""
    points = course(row, curves, "validation") if row.validation else None
    return None if points is None or row.validation is None else Curve(row, points, row.validation.mean)


def _limits(section: Section, panels: Sequence[Panel]) -> tuple[float, float]:
    shown: list[float] = []
    for curve in (curve for panel in panels for curve in panel.curves):
        late = curve.points[curve.points["sparsity"] >= curve.sparsity / 2]
        shown += [*late["low"], *late["high"], curve.final]
    return drawing.limits(shown, shown, section.dense_mean("validation"))


def _draw_panel(axes: Axes, panel: Panel) -> None:
    section, decimals = panel.section, labels.metric_decimals(panel.section.metric)
    title = f"{section.title}, {labels.asked_of(panel.factor, panel.unit, ' fewer ')}"
    axes.set_title(title, loc="left", weight="bold", pad=TITLE_PAD)
    if panel.column == 0:
        axes.set_ylabel(f"{labels.metric_name(section.metric)}, validation")
    end = sparsity_axis(axes, max(curve.sparsity for curve in panel.curves), end=True)
    ends = drawing.dense_line(axes, section.dense_mean("validation"))
    looks = drawing.looks(section.rows)
    for curve in panel.curves:
        look = looks[curve.row.key]
        x, y = curve.points["sparsity"], curve.points["mean"]
        axes.plot(x, y, **look.stroke())
        axes.fill_between(x, curve.points["low"], curve.points["high"], color=look.colour, alpha=0.15, linewidth=0)
        axes.plot([x.iloc[-1], end], [y.iloc[-1], curve.final], color=look.colour, linestyle=":", linewidth=0.8)
        axes.plot([end], [curve.final], **look.markers())
        if curve.final > axes.get_ylim()[1]:
            drawing.mark_clipped(axes, end, look, labels.fixed(curve.final, decimals))
        ends.append(End(end, curve.final, look, drawing.label(curve.row)))
    drawing.label_ends(axes, ends)
