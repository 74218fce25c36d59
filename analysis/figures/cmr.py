"""Figure: final quality against the probability of row dropout (CMR); a panel a factor, a line a structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import labels, variants
from analysis.figures import drawing
from analysis.figures.drawing import End, Look
from analysis.results import Results
from analysis.section import Section, TableRow
from doping.families import is_doped

LEFT, PANEL, BELOW, ABOVE = 0.55, 2.2, 0.42, 0.3
"""Inches: margin with the axis, width of a panel, the room below and above it."""
FEWEST = 3
"""Probabilities, with 0, that a line needs for a panel to be worth drawing."""


@dataclass(frozen=True)
class Line:
    """Rows that differ in the probability alone, in its order."""

    method: str
    setting: str
    """What tells it from others of the same method: how and where rows are dropped; mostly empty."""
    rows: list[TableRow]

    @property
    def name(self) -> str:
        """Name for readers."""
        return labels.method_name(self.method, False, self.setting)

    @property
    def label(self) -> str:
        """The same in several lines."""
        return "\n".join(filter(None, [labels.method_name(self.method, False), self.setting.replace(", ", ",\n")]))


def draw(sections: Sequence[Section], _: Results, stem: Path) -> list[Path]:
    """Draw a study to ``stem.png`` and ``stem.svg``; returns the paths, none where no probability was varied.

    Markers are means over seeds of the validation, which is what one chooses the probability by; small dots are the seeds.
    """
    panels = [(section, *panel) for section in sections for panel in lines(section).items()]
    if not panels:
        return []
    with drawing.style():
        rooms = [drawing.label_room(["Dense", *(line.label for line in found)]) for _, _, found in panels]
        panel = max(2.1, *(height for _, height in rooms))
        width = LEFT + PANEL + max(width for width, _ in rooms)
        height = len(panels) * (panel + BELOW + ABOVE)
        figure = Figure(figsize=(width, height))
        for index, (section, (unit, factor), found) in enumerate(panels):
            bottom = height - (index + 1) * (panel + BELOW + ABOVE) + BELOW
            axes = figure.add_axes((LEFT / width, bottom / height, PANEL / width, panel / height))
            axes.set_title(f"{section.title}, {labels.asked_of(factor, unit, ' fewer ')}", loc="left", weight="bold")
            _panel(axes, section, found)
        return drawing.save(figure, stem)


def lines(section: Section) -> dict[tuple[str, float], list[Line]]:
    """The lines at each (unit, factor) of a section where at least one has FEWEST probabilities."""
    cells: dict[tuple[str, float], dict[str, list[TableRow]]] = {}
    for row in section.rows:
        if is_doped(row.method) and row.validation:
            cells.setdefault((row.unit, row.factor), {}).setdefault(row.method, []).append(row)
    result = {}
    for cell, by_method in cells.items():
        found = [line for method, rows in by_method.items() for line in _lines(method, rows)]
        if any(len(line.rows) >= FEWEST for line in found):
            result[cell] = found
    return result


def _lines(method: str, rows: Sequence[TableRow]) -> list[Line]:
    dropping = [row for row in rows if row.cmr]
    paths = [path for path in variants.varying([[row.flat for row in dropping]]) if path != variants.PROBABILITY]
    groups: dict[str, list[TableRow]] = {}
    for row in dropping:
        groups.setdefault(variants.describe(row.flat, paths), []).append(row)
    result = []
    for setting, of_setting in groups.items():
        same = variants.without_cmr(of_setting[0].flat)
        off = [row for row in rows if not row.cmr and variants.without_cmr(row.flat) == same]
        result.append(Line(method, setting, sorted([*off, *of_setting], key=lambda row: row.probability)))
    return result


def _panel(axes: Axes, section: Section, found: Sequence[Line]) -> None:
    dense = section.dense_mean("validation")
    values = [float(value) for line in found for row in line.rows for value in row.finished["validation"]]
    axes.set_ylim(*drawing.limits(values, values, dense))
    probabilities = sorted({row.probability for line in found for row in line.rows})
    axes.set_xlim(-0.03 * probabilities[-1], 1.03 * probabilities[-1])
    axes.set_xticks(probabilities)
    axes.set_xlabel("Probability p of co-matrix row dropout")
    axes.set_ylabel(f"{labels.metric_name(section.metric)}, validation")
    ends = drawing.dense_line(axes, dense)
    for index, line in enumerate(found):
        look = drawing.look_of(
            line.method, hollow=False, earlier=sum(other.method == line.method for other in found[:index])
        )
        ends.append(_line(axes, line, look, labels.metric_decimals(section.metric)))
    drawing.label_ends(axes, ends)


def _line(axes: Axes, line: Line, look: Look, decimals: int) -> End:
    x = [row.probability for row in line.rows]
    y = [row.validation.mean for row in line.rows if row.validation]
    axes.plot(x, y, **look.style())
    for place, value in zip(x, y, strict=True):
        if value > axes.get_ylim()[1]:
            drawing.mark_clipped(axes, place, look, labels.fixed(value, decimals))
    for row in line.rows:
        if row.n > 1:
            seeds = row.finished["validation"]
            axes.plot([row.probability] * row.n, seeds, ".", color=look.colour, markersize=1.8, zorder=3)
    return End(x[-1], y[-1], look, line.label)
