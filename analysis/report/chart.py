"""What the figures to explore have in common: how a line looks, what a reader can change, what a mark says of its trial.

They are specifications for Vega-Lite, and their data is kept apart, as ``trials``, ``curves`` and ``cmr``. What a reader can
change are parameters of a chart; those called ``methods`` and ``seeds`` all charts have in common.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

import altair as alt

from analysis import labels
from analysis.figures import drawing
from analysis.figures.drawing import Look
from analysis.section import Section, TableRow

KEPT = "indexof(methods, datum.line) >= 0 && indexof(seeds, datum.seed) >= 0"
SHAPES = {
    **{"o": "circle", "v": "triangle-down", "s": "square", "D": "diamond", "^": "triangle-up"},
    **{"p": "triangle-right", "P": "cross", "<": "triangle-left", ">": "arrow", "X": "wedge", "": "stroke"},
}
"""Vega's shapes for matplotlib's markers."""
HEIGHT = 380


@dataclass(frozen=True)
class Choice:
    """A parameter that a reader sets by a list: its name, what it is called, the values and what these are called."""

    signal: str
    name: str
    options: dict[str, str]


@dataclass(frozen=True)
class Chart:
    """A figure to explore."""

    name: str
    title: str
    caption: str
    alt: str
    """In words, for those who cannot see it."""
    spec: dict[str, Any]
    choices: list[Choice]
    reading: Sequence[str] = ()
    """How to read it, in the numbers of the study."""

    def value(self, choice: Choice) -> str:
        """What a parameter is at first."""
        values = {parameter["name"]: parameter["value"] for parameter in self.spec["params"]}
        return str(values[choice.signal])


def looks(section: Section) -> dict[str, Look]:
    """The look of each line by its label, dense first.

    As in the figures on paper, unless a method comes in several settings. There the labels at the lines tell these apart,
    here each has a colour of its own.
    """
    of_key = drawing.looks(section.rows)
    settings = Counter((key.method, key.cmr) for key in of_key)
    if max(settings.values(), default=0) > 1:
        colours = cycle(drawing.COLOURS)
        of_key = {key: replace(look, colour=next(colours)) for key, look in of_key.items()}
    return {row.label: drawing.DENSE if row.method == "dense" else of_key[row.key] for row in section.rows}


def colour(look: Look) -> str:
    """The colour of a look for the web."""
    return "#737373" if look is drawing.DENSE else look.colour


def seeds(section: Section) -> list[float]:
    """The seeds of the finished trials."""
    return sorted({float(seed) for row in section.rows for seed in row.finished["seed"]})


def at(row: TableRow) -> str:
    """The factor of a row as readers choose it, e.g. ``20× values``."""
    return labels.asked_of(row.factor, row.unit, " ")


def quality(metric: str) -> str:
    """An expression for the name of the metric and of the split that the parameter ``quality`` says."""
    return f"{json.dumps(labels.metric_name(metric) + ', ')} + quality"


def names(of_key: dict[str, str]) -> str:
    """Names by key, as an object of Vega's expression language."""
    return json.dumps(of_key, ensure_ascii=False)


class Encodings:
    """How a line is drawn, by its label, as in the figures on paper; without legends: the filter of the page is one."""

    def __init__(self, section: Section) -> None:
        of_label = looks(section)
        domain, values = list(of_label), list(of_label.values())
        colours = alt.Scale(domain=domain, range=[colour(look) for look in values])
        fills = alt.Scale(domain=domain, range=["white" if look.hollow else colour(look) for look in values])
        shapes = alt.Scale(domain=domain, range=[SHAPES[look.marker] for look in values])
        dashes = alt.Scale(domain=domain, range=[_dashes(look) for look in values])
        self.colour = alt.Color("line:N", scale=colours, legend=None)
        self.dash = alt.StrokeDash("line:N", scale=dashes, legend=None)
        self.mark = {
            "stroke": alt.Stroke("line:N", scale=colours, legend=None),
            "fill": alt.Fill("line:N", scale=fills, legend=None),
            "shape": alt.Shape("line:N", scale=shapes, legend=None),
        }


def _dashes(look: Look) -> list[float]:
    return [1, 0] if isinstance(look.line, str) else [2 * part for part in look.line[1]]


def tooltip(section: Section, prefix: str = "") -> list[alt.Tooltip]:
    """What a mark says; ``prefix`` of the fields that hold the metric at the end."""
    decimals = f".{labels.metric_decimals(section.metric)}f"
    return [
        alt.Tooltip("trial:N"),
        alt.Tooltip("line:N", title="method"),
        alt.Tooltip("at:N", title="fewer"),
        alt.Tooltip("seed:Q", format="d"),
        alt.Tooltip(f"{prefix}validation:Q", title="validation at the end", format=decimals),
        alt.Tooltip(f"{prefix}test:Q", title="test", format=decimals),
        alt.Tooltip("values:Q", format=","),
        alt.Tooltip("bytes:Q", format=","),
    ]


def finished(layers: list[alt.Chart], section: Section, values: dict[str, str], title: str) -> dict[str, Any]:
    """The specification, with its parameters and their values; the title, an expression of them, names both axes."""
    own = {"methods": list(looks(section)), "seeds": seeds(section)} | values
    chart = (
        alt.LayerChart(layer=layers)
        .add_params(*(alt.param(name=name, value=value) for name, value in own.items()))
        .properties(
            width="container",
            height=HEIGHT,
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
            title=alt.TitleParams(text=alt.ExprRef(title), anchor="start", fontWeight="normal", fontSize=13, offset=10),
        )
        .configure(font="system-ui, sans-serif", background="white", aria=False)
        .configure_axis(labelFontSize=12, gridColor="#e5e5e5", domainColor="#888", tickColor="#888", labelOverlap="greedy")
        .configure_view(stroke=None)
        .configure_legend(labelFontSize=12)
    )
    spec: dict[str, Any] = chart.to_dict()
    return spec
