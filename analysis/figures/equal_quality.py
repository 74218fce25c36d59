"""Figure: how many times smaller each method is than pruning at equal quality; beside the claim of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis import labels
from analysis.figures import drawing
from analysis.figures.drawing import End
from analysis.results import Results
from analysis.section import Section
from analysis.stats import equal_quality as calculation
from analysis.stats.equal_quality import EqualQuality
from analysis.tables import comparisons

LEFT, GAP, PANEL, BELOW, ABOVE = 0.55, 0.22, 2.4, 0.42, 0.46
"""Inches: margin with the axis, gap between the panels, their width, the room below and above them."""
TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.4, 2, 3, 5, 10)


def draw(sections: Sequence[Section], _: Results, stem: Path) -> list[Path]:
    """Draw a study to ``stem.png`` and ``stem.svg``; returns the paths, none where no method shares a range of quality.

    The baseline is pruning, or where a study lacks it the first method without doping. The band is what the paper claims.
    """
    drawn = [(section, found) for section in sections if (found := _found(section))]
    if not drawn:
        return []
    with drawing.style():
        named = [drawing.label(known.row) for _, found in drawn for of_size in found.values() for known in of_size]
        room, tall = drawing.label_room(list(dict.fromkeys([*named, "Pruned"])))
        panel = max(2.1, tall)
        width = LEFT + max(len(found) for _, found in drawn) * (PANEL + GAP) - GAP + room
        height = len(drawn) * (panel + BELOW + ABOVE)
        figure = Figure(figsize=(width, height))
        for index, (section, found) in enumerate(drawn):
            bottom = height - (index + 1) * (panel + BELOW + ABOVE) + BELOW
            figure.text(LEFT / width, (bottom + panel + 0.3) / height, section.title, weight="bold")
            first: Axes | None = None
            for column, (size, of_size) in enumerate(found.items()):
                left = LEFT + column * (PANEL + GAP)
                box = (left / width, bottom / height, PANEL / width, panel / height)
                axes = figure.add_axes(box, sharex=first, sharey=first)
                ends = _panel(axes, section, of_size, first=first is None)
                if size != "latency_us":
                    axes.axhspan(*calculation.PAPER, color="0.92", zorder=0)
                axes.set_title(f"In {comparisons.EQUAL_QUALITY[size]}", loc="left")
                first = first or axes
            assert first
            _scale(first, [ratio for of_size in found.values() for known in of_size for ratio in known.ratios])
            drawing.label_ends(axes, ends)
        return drawing.save(figure, stem)


def _found(section: Section) -> dict[str, list[EqualQuality]]:
    baselines = calculation.baselines(section)
    baseline = "pruned" if "pruned" in baselines else next(iter(baselines), None)
    compared = {size: calculation.compare(section, size) for size in comparisons.compared_sizes(section)}
    found = {size: [known for known in of_size if known.baseline == baseline] for size, of_size in compared.items()}
    # Last, where the labels are, the one with most lines.
    return {size: of_size for size, of_size in sorted(found.items(), key=lambda pair: len(pair[1])) if of_size}


def _panel(axes: Axes, section: Section, found: Sequence[EqualQuality], first: bool) -> list[End]:
    dense = section.dense_mean("test")
    name = labels.method_name(found[0].baseline, False)
    axes.axhline(1, linewidth=0.8, zorder=1, **drawing.DENSE.stroke())
    loss = "Test loss against Dense" + (", %" if section.losses_in_percent else "")
    axes.set_xlabel(f"{labels.metric_name(section.metric)}, test" if dense is None else loss)
    axes.tick_params(labelleft=first)
    if first:
        axes.set_ylabel(f"Times smaller than {name}")
        axes.text(0.02, 2.28, "claim of the paper", transform=axes.get_yaxis_transform(), va="top", color="0.35")
    looks = drawing.looks(section.rows)
    ends = [End(1.0, 1.0, drawing.DENSE, name)]
    for known in found:
        look = looks[known.row.key]
        scale = 100 / dense if dense and section.losses_in_percent else 1
        losses = [scale * (quality - (dense or 0)) for quality in known.qualities]
        axes.plot(losses, known.ratios, **look.style() | {"markersize": 2.5})
        ends.append(End(losses[-1], known.ratios[-1], look, drawing.label(known.row)))
    return [ends[0]._replace(x=axes.get_xlim()[1]), *ends[1:]]


def _scale(axes: Axes, ratios: Sequence[float]) -> None:
    low, high = min(*ratios, 0.7) / 1.1, max(*ratios, calculation.PAPER[1]) * 1.1
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in TICKS if low <= tick <= high]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: labels.factor(value)))
    axes.yaxis.set_minor_locator(NullLocator())
