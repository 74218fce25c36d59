"""What the figures share: the looks of a method, labels at the ends of lines, the range of an axis, saving.

Colours are those of Okabe and Ito (Color Universal Design, 2008), without the yellow; related methods have related ones.
"""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from analysis import labels
from analysis.section import Key, TableRow

FONT = 7.5
"""Points; the smallest text of a figure is FONT - 0.5."""
Dashes = str | tuple[int, tuple[float, ...]]
"""A line style of matplotlib."""
_LOOKS = {
    "pruned": ("#000000", "o"),
    "lmf": ("#E69F00", "v"),
    "hmd": ("#009E73", "s"),
    "kp": ("#56B4E9", "D"),
    "monarch": ("#882255", "<"),
    "doped_lmf": ("#D55E00", "^"),
    "doped_hmd": ("#CC79A7", "p"),
    "doped_kp": ("#0072B2", "P"),
    "doped_monarch": ("#999933", ">"),
}
_OTHER_LOOKS = ("#7F7F7F", "X")
COLOURS = tuple(colour for colour, _ in _LOOKS.values())
"""All of them, for lines that are no methods."""
_LINES: tuple[Dashes, ...] = ("-", (0, (3.5, 1.5)), (0, (1, 1.3)), (0, (3.5, 1, 1, 1)))
LABEL_OFFSET = 32.0
"""Points from the right end of the axes to the text of a label; leader and a sample of the line stand between."""
LINE_HEIGHT = 1.28 * FONT
CLIP = 4.0
"""Where an axis ends, see ``upper_limit``."""


@dataclass(frozen=True)
class Look:
    """How a line is drawn: a colour and a marker for each method, hollow with CMR, the dashes for each setting."""

    colour: str
    marker: str
    hollow: bool
    line: Dashes

    def stroke(self) -> dict[str, Any]:
        """Keyword arguments of ``Axes.plot`` for the line alone."""
        return {"color": self.colour, "linestyle": self.line}

    def markers(self) -> dict[str, Any]:
        """Keyword arguments of ``Axes.plot`` for the markers alone."""
        face = "white" if self.hollow else self.colour
        return {
            **{"color": self.colour, "marker": self.marker, "markersize": 4},
            **{"markerfacecolor": face, "markeredgewidth": 0.9},
        }

    def style(self) -> dict[str, Any]:
        """Keyword arguments of ``Axes.plot`` for the line with its markers."""
        return self.stroke() | self.markers()


DENSE = Look("0.45", "", False, (0, (6, 3)))


class End(NamedTuple):
    """The end of a line, in the units of the axes, and the label that belongs there."""

    x: float
    y: float
    look: Look
    text: str
    """May have several lines."""


def looks(rows: Sequence[TableRow]) -> dict[Key, Look]:
    """The look of each line of a study, the task's own dense model excepted, in the order of the tables."""
    result: dict[Key, Look] = {}
    ordered = sorted((row for row in rows if not row.whole), key=lambda r: labels.method_rank(r.method, r.cmr))
    for row in ordered:
        if row.key not in result:
            earlier = sum(other.method == row.method for other in result)
            result[row.key] = look_of(row.method, row.cmr, earlier)
    return result


def look_of(method: str, hollow: bool, earlier: int) -> Look:
    """The look of a line of a method of which there have been so many ``earlier`` ones."""
    colour, marker = _LOOKS.get(method, _OTHER_LOOKS)
    return Look(colour, marker, hollow, _LINES[earlier % len(_LINES)])


def upper_limit(values: Sequence[float], floor: float) -> float:
    """Upper end of an axis, so that a hopeless method does not squash the others.

    It is the largest value; but where that is more than CLIP times as far from ``floor`` (dense) as the median value is,
    it is the largest of the values within that range.
    """
    far = floor + CLIP * (statistics.median(values) - floor)
    near = [value for value in values if value <= far]
    return max(near) if near and far > floor else max(values)


def limits(lows: Sequence[float], highs: Sequence[float], dense: float | None) -> tuple[float, float]:
    """Both ends of an axis of a quality, with a margin, see ``upper_limit``; ``dense``: its mean, where there is one."""
    low = min(lows) if dense is None else min(dense, *lows)
    high = upper_limit(highs, low if dense is None else dense)
    margin = 0.06 * (high - low) or 0.06 * abs(high)
    return low - margin, high + margin


def dense_line(axes: Axes, dense: float | None) -> list[End]:
    """Draw the line of Dense, where there is one; returns its end."""
    if dense is None:
        return []
    axes.axhline(dense, linewidth=0.8, zorder=1, **DENSE.stroke())
    return [End(axes.get_xlim()[1], dense, DENSE, "Dense")]


def spread(positions: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Centres of things of these ``sizes``, so that none overlap, in the same order and as little moved as can be.

    Least squares by pooling of adjacent violators; then kept within ``low`` … ``high``, where there is room for all.
    """
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    # Each centre's distance to the first, where all touch; less that, a centre only must not be below the one before.
    offsets = [0.0]
    for before, after in pairwise(order):
        offsets.append(offsets[-1] + (sizes[before] + sizes[after]) / 2)
    pools: list[tuple[float, int]] = []
    for index, offset in zip(order, offsets, strict=False):
        pools.append((positions[index] - offset, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean, count), (mean_before, count_before) = pools.pop(), pools.pop()
            total = count + count_before
            pools.append(((mean * count + mean_before * count_before) / total, total))
    levels = [mean for mean, count in pools for _ in range(count)]
    result = [0.0] * len(positions)
    for index, offset, level in zip(order, offsets, levels, strict=False):
        result[index] = max(min(level, high - offsets[-1]), low) + offset
    return result


def label(row: TableRow) -> str:
    """The label of a row at the end of its line: what tells variants apart stands on lines of its own."""
    # A line ends at a comma only: the blanks between are made unbreakable for the wrapping.
    variant = row.variant.replace(" ", "\xa0").replace(",\xa0", ", ")
    lines = textwrap.wrap(variant, 24, break_long_words=False, break_on_hyphens=False)
    return "\n".join([labels.method_name(row.method, row.cmr), *lines])


def label_room(texts: Sequence[str]) -> tuple[float, float]:
    """Inches (width, height) that these labels take to the right of the axes."""
    font = FontProperties(family="DejaVu Sans")
    lines = [line for text in texts for line in text.split("\n")]
    widths = [TextPath((0, 0), line, size=FONT, prop=font).get_extents().width for line in lines]
    return (LABEL_OFFSET + max(widths) + 4) / 72, len(lines) * LINE_HEIGHT / 72


def label_ends(axes: Axes, ends: Sequence[End]) -> None:
    """Write the label of each line to the right of ``axes``, level with its end as far as there is room."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    box = axes.get_position()
    height, width = box.height * figure.get_figheight() * 72, box.width * figure.get_figwidth() * 72
    to_axes = axes.transData + axes.transAxes.inverted()
    targets = [min(max(float(to_axes.transform((end.x, end.y))[1]), 0.0), 1.0) for end in ends]
    sizes = [(end.text.count("\n") + 1) * LINE_HEIGHT / height for end in ends]
    beside: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    for end, level in zip(ends, spread(targets, sizes, -0.06, 1.06), strict=True):
        marked = bool(end.look.marker)
        axes.annotate(
            "",
            xy=(end.x, min(end.y, axes.get_ylim()[1])),
            xytext=(1 + (8 if marked else LABEL_OFFSET - 3) / width, level),
            textcoords="axes fraction",
            arrowprops={"arrowstyle": "-", "color": end.look.colour, "lw": 0.4, "shrinkA": 0, "shrinkB": 3},
            annotation_clip=False,
        )
        if marked:
            sample = [1 + at / width for at in (9, LABEL_OFFSET / 2 + 3, LABEL_OFFSET - 3)]
            axes.plot(sample, [level] * 3, markevery=[1], **end.look.style(), **beside)
        # Text in black: orange and sky blue are too pale to read.
        align = "center" if "\n" in end.text else "center_baseline"
        axes.text(1 + LABEL_OFFSET / width, level, end.text, va=align, linespacing=1.15, **beside)


def mark_clipped(axes: Axes, x: float, look: Look, text: str) -> None:
    """An arrow at the upper edge for a point that lies above it, with its value to the left."""
    edge = axes.get_xaxis_transform()
    axes.text(x, 0.97, "↑", transform=edge, ha="center", va="center", fontsize=FONT + 1.5, color=look.colour)
    axes.annotate(
        text,
        xy=(x, 0.97),
        xycoords=edge,
        xytext=(-4, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=FONT - 0.5,
    )


@contextmanager
def style() -> Iterator[None]:
    """Settings of matplotlib under which the figures are drawn and saved; the same input gives the same file."""
    settings: Any = {
        "font.family": "DejaVu Sans",
        "font.size": FONT,
        "axes.titlesize": FONT + 0.5,
        "axes.labelsize": FONT,
        "xtick.labelsize": FONT - 0.5,
        "ytick.labelsize": FONT - 0.5,
        "axes.linewidth": 0.6,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "lines.linewidth": 1.1,
        # Names are the user's: a dollar in them is no formula.
        "text.parse_math": False,
        "svg.hashsalt": "analysis",
        "svg.fonttype": "path",
    }
    with mpl.rc_context(settings):
        yield


def save(figure: Figure, stem: Path) -> list[Path]:
    """Save as ``stem.png`` and ``stem.svg``; returns the paths."""
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    figure.savefig(paths[0], dpi=300, metadata={"Software": None})
    figure.savefig(paths[1], metadata={"Date": None, "Creator": None})
    return paths
