"""Figure: test quality against the size of the LSTM in values and in bytes, and against its latency; one line per method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis import labels
from analysis.figures import drawing
from analysis.figures.drawing import End, Look
from analysis.results import Results
from analysis.section import Section, TableRow

SIZES = {
    "values": "LSTM weights: remaining values",
    "bytes": "LSTM weights: bytes, indices included",
    "deployed_bytes": "LSTM as deployed: bytes, scales and biases too",
    "latency_us": "Latency: microseconds a time step",
}
RATIOS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 60, 80, 100)
LEFT, GAP, PANEL, BELOW, ABOVE = 0.55, 0.22, 2.4, 0.42, 0.56
"""Inches: margin with the axis, gap between the panels, their width, the room below and above them."""


def draw(sections: Sequence[Section], _: Results, stem: Path) -> list[Path]:
    """Draw the sections of a study below one another to ``stem.png`` and ``stem.svg``; returns the paths.

    A line joins the means, small dots are the seeds; latency has a panel where it was measured. Sizes shrink to the right,
    where methods part and their labels are. Points above the axis (see ``drawing.upper_limit``) are shown by an arrow with
    their value.
    """
    with drawing.style():
        rooms = [drawing.label_room(["Dense", *_labels(section)]) for section in sections]
        panel = max(2.1, *(height for _, height in rooms))
        panels = [_sizes(section) for section in sections]
        width = LEFT + max(map(len, panels)) * (PANEL + GAP) - GAP + max(width for width, _ in rooms)
        height = len(sections) * (panel + BELOW + ABOVE)
        figure = Figure(figsize=(width, height))
        for index, section in enumerate(sections):
            bottom = height - (index + 1) * (panel + BELOW + ABOVE) + BELOW
            figure.text(LEFT / width, (bottom + panel + 0.41) / height, section.title, weight="bold")
            first: Axes | None = None
            for column, size in enumerate(panels[index]):
                left = LEFT + column * (PANEL + GAP)
                box = (left / width, bottom / height, PANEL / width, panel / height)
                axes = figure.add_axes(box, sharey=first)
                if first is None:
                    first = axes
                    axes.set_ylabel(f"{labels.metric_name(section.metric)}, test")
                    _limit(axes, section)
                axes.tick_params(labelleft=axes is first)
                ends = _panel(axes, section, size)
            drawing.label_ends(axes, ends)
        return drawing.save(figure, stem)


def _sizes(section: Section) -> list[str]:
    """The panels; last, where the labels are, one that has all lines: some may lack a latency."""
    kept = {"deployed_bytes"} if section.narrow else {"values", "bytes"}
    sizes = [size for size in SIZES if size in kept or (size == "latency_us" and section.measured(size))]
    return sorted(sizes, key=lambda size: sum(math.isfinite(row.sizes[size]) for row in section.rows))


def _limit(axes: Axes, section: Section) -> None:
    shown = [row for rows in section.lines().values() for row in rows]
    dense = [section.dense] if section.dense else []
    tops = [float(row.finished["test"].max()) for row in shown or dense]
    bottoms = [float(row.finished["test"].min()) for row in [*shown, *dense]]
    axes.set_ylim(*drawing.limits(bottoms, tops, section.dense_mean("test")))


def _labels(section: Section) -> list[str]:
    return [drawing.label(rows[0]) for rows in section.lines().values()]


def _panel(axes: Axes, section: Section, size: str) -> list[End]:
    # A method may lack a latency at some of its factors, or at all.
    measured = {key: [row for row in rows if math.isfinite(row.sizes[size])] for key, rows in section.lines().items()}
    lines = {key: rows for key, rows in measured.items() if rows}
    shown = [row for rows in lines.values() for row in rows]
    _size_axis(
        axes,
        size,
        [row.sizes[size] for row in shown],
        section.dense.sizes[size] if section.dense else math.nan,
        sorted({row.factor for row in shown if row.unit != "size"}),
    )
    ends = drawing.dense_line(axes, section.dense_mean("test"))
    looks = drawing.looks(section.rows)
    for key, of_key in lines.items():
        rows = sorted(of_key, key=lambda row: -row.sizes[size])
        _line(axes, rows, size, looks[key], labels.metric_decimals(section.metric))
        assert rows[-1].test
        ends.append(End(rows[-1].sizes[size], rows[-1].test.mean, looks[key], drawing.label(rows[-1])))
    return ends


def _line(axes: Axes, rows: Sequence[TableRow], size: str, look: Look, decimals: int) -> None:
    x = [row.sizes[size] for row in rows]
    y = [row.test.mean for row in rows if row.test]
    axes.plot(x, y, **look.style())
    for row in rows:
        if row.n > 1:
            axes.plot([row.sizes[size]] * row.n, row.finished["test"], ".", color=look.colour, markersize=1.8, zorder=3)
    for place, value in zip(x, y, strict=True):
        if value > axes.get_ylim()[1]:
            drawing.mark_clipped(axes, place, look, labels.fixed(value, decimals))


def _size_axis(axes: Axes, size: str, sizes: Sequence[float], dense: float, factors: Sequence[float]) -> None:
    low, high = min(sizes, default=dense / 10), max(sizes, default=dense)
    # A study of one factor must not look as if its methods were of very different sizes.
    margin = max((high / low) ** 0.06, (2.0 / (high / low)) ** 0.5)
    axes.set_xscale("log")
    axes.set_xlim(high * margin, low / margin)
    axes.xaxis.set_major_locator(FixedLocator(_round_numbers(low / margin, high * margin)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: labels.round_number(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(SIZES[size])
    if not math.isfinite(dense):
        return
    least, most = dense / high / margin, dense / low * margin
    # Factors are of values: where no point has few enough indices to reach one of them in bytes, round numbers are shown.
    of_study = size not in ("latency_us", "deployed_bytes") and any(least <= factor <= most for factor in factors)
    top = axes.secondary_xaxis("top", functions=(lambda x: dense / np.maximum(x, 1e-9),) * 2)
    top.xaxis.set_major_locator(FixedLocator(_apart(factors if of_study else RATIOS, least, most)))
    top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: labels.factor(value)))
    top.xaxis.set_minor_locator(NullLocator())
    top.set_xlabel("Times faster than Dense" if size == "latency_us" else "Compression factor", color="0.35", labelpad=3)
    top.tick_params(length=2, pad=1, colors="0.35")
    top.spines["top"].set_visible(False)


def _apart(factors: Sequence[float], low: float, high: float) -> list[float]:
    """The factors within the axis, without those too close to the one before for their labels."""
    kept: list[float] = []
    for factor in factors:
        if low <= factor <= high and (not kept or math.log(factor / kept[-1]) > 0.1 * math.log(high / low)):
            kept.append(factor)
    return kept


def _round_numbers(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: 1, 2 and 5 of each power of ten; more of them where these would be fewer than two."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for leading in ((1, 2, 5), (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)):
        ticks = [number * 10.0**power for power in powers for number in leading]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) > 1:
            break
    return ticks
