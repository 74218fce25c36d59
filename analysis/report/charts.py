"""The figures to explore, as specifications for Vega-Lite: their data is kept apart, as ``trials``, ``curves`` and ``cmr``.

What a reader can change are parameters of a chart. Those called ``methods`` and ``seeds`` all charts have in common.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

import altair as alt
import pandas as pd

from analysis import labels
from analysis.figures import cmr, drawing
from analysis.figures.drawing import Look
from analysis.results import OPTIONAL_CURVES, Results
from analysis.summary import Row, Section

KEPT = "indexof(methods, datum.line) >= 0 && indexof(seeds, datum.seed) >= 0"
SHAPES = {
    **{"o": "circle", "v": "triangle-down", "s": "square", "D": "diamond", "^": "triangle-up"},
    **{"p": "triangle-right", "P": "cross", "X": "wedge", "": "stroke"},
}
"""Vega's shapes for matplotlib's markers."""
SIZES = {"values": "values", "bytes": "bytes", "multiply_adds": "multiply–adds a time step", "latency_us": "latency in µs"}
COURSES = {
    "validation": "validation",
    "training_loss": "training loss",
    "cmr_probability": "CMR probability in force",
    "energy_sparse": "energy share of S x",
    "energy_structured": "energy share of M x",
    "validation_without_sparse": "validation with S off",
    "validation_without_structured": "validation with M off",
    "gradient_sparse": "gradient norm of S",
    "gradient_structured": "gradient norm of M",
}
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

    def value(self, choice: Choice) -> str:
        """What a parameter is at first."""
        values = {parameter["name"]: parameter["value"] for parameter in self.spec["params"]}
        return str(values[choice.signal])


def charts(section: Section, results: Results) -> list[Chart]:
    """Those that the section has data for."""
    found = [_pareto(section), _courses(section, results), _cmr(section)]
    return [chart for chart in found if chart]


def data(section: Section, results: Results) -> dict[str, Any]:
    """The data of the charts by name: finished trials, their curves (CSV: half the size of JSON), the lines of CMR."""
    trials = [_trial(row, trial) for row in section.rows for trial in row.finished.to_dict("records")]
    ids = [trial["trial"] for trial in trials]
    curves = results.curves[results.curves["trial_id"].isin(ids)].rename(columns={"trial_id": "trial"})
    columns = ["trial", "step", "sparsity", *(name for name in COURSES if curves[name].notna().any())]
    by_id = {trial["trial"]: trial for trial in trials}
    names = _cmr_names(section)
    of_cmr = [
        by_id[trial_id] | {"setting": names[line.name], "probability": row.probability, "at": _at(row)}
        for found in cmr.lines(section).values()
        for line in found
        for row in line.rows
        for trial_id in row.finished["trial_id"]
    ]
    return {"trials": trials, "curves": curves[columns].to_csv(index=False, float_format="%.5g"), "cmr": of_cmr}


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


def _trial(row: Row, trial: dict[Any, Any]) -> dict[str, Any]:
    numbers = ("seed", "validation", "test", *SIZES)
    result = {name: float(f"{trial[name]:.6g}") if math.isfinite(trial[name]) else None for name in numbers}
    return {
        "trial": trial["trial_id"],
        "line": row.label,
        "dense": row.method == "dense",
        "at": _at(row),
        **result,
    }


def _at(row: Row) -> str:
    return f"{labels.factor(row.factor)} {row.unit}"


def _pareto(section: Section) -> Chart:
    sizes = {size: name for size, name in SIZES.items() if size != "latency_us" or section.measured(size)}
    encodings = _Encodings(section)
    shown = (
        _chart("trials")
        .transform_filter(KEPT)
        .transform_calculate(x="datum[size]", y="datum[quality]")
        .transform_filter("isValid(datum.x) && isValid(datum.y)")
    )
    compressed = shown.transform_filter("!datum.dense")
    x = alt.X(
        "x:Q", title=None, scale=alt.Scale(type="log", reverse=True, nice=False, padding=20), axis=alt.Axis(format="~s")
    )
    y = alt.Y("y:Q", title=None, scale=alt.Scale(zero=False, padding=10))
    lines = (
        compressed.transform_aggregate(x="mean(x)", y="mean(y)", groupby=["line", "at"])
        .mark_line(opacity=1)
        .encode(x, y, encodings.colour, encodings.dash, order="x:Q")
    )
    points = compressed.mark_point(size=70, strokeWidth=1.5, opacity=1).encode(
        x, y, tooltip=_tooltip(section), **encodings.mark
    )
    dense = (
        shown.transform_filter("datum.dense")
        .transform_aggregate(y="mean(y)", groupby=["line"])
        .mark_rule(strokeDash=[6, 3])
        .encode(y, encodings.colour, tooltip=["line:N", alt.Tooltip("y:Q", title="mean", format=".4~f")])
    )
    metric = labels.metric_name(section.metric)
    spec = _finished(
        [dense, lines, points],
        section,
        {"size": "values", "quality": "test"},
        f"['{metric}, ' + quality, 'against ' + {_names(sizes)}[size]]",
    )
    choices = [
        Choice("size", "Size", {key: f"by {name}" for key, name in sizes.items()}),
        Choice("quality", "Quality", {"test": "test", "validation": "validation"}),
    ]
    return Chart(
        "pareto",
        "Quality against size",
        "Lower is better. Each mark is a trial; lines join the means over seeds, the dashed line is Dense. Sizes shrink to "
        "the right.",
        f"Chart: {metric.lower()} on test against the size. " + _spoken(section),
        spec,
        choices,
    )


def _courses(section: Section, results: Results) -> Chart | None:
    ids = [trial_id for row in section.rows if row.sparse for trial_id in row.finished["trial_id"]]
    curves = results.curves[results.curves["trial_id"].isin(ids)]
    if curves.empty:
        return None
    encodings = _Encodings(section)
    names = {key: name for key, name in COURSES.items() if key == "validation" or _known(curves, key)}
    metric = labels.metric_name(section.metric)
    titles = {key: f"{metric}, {name}" if key.startswith("validation") else name for key, name in names.items()}
    places = list(dict.fromkeys(_at(row) for row in section.rows if row.sparse and row.n))
    joined = (
        _chart("curves")
        .transform_lookup(
            "trial", alt.LookupData(alt.NamedData("trials"), "trial", list(_OF_TRIAL)), list(_OF_TRIAL.values())
        )
        .transform_filter(KEPT)
        .transform_filter("datum.at == place || (against == 'step' && datum.dense)")
        .transform_filter("datum.sparsity > 0 || against == 'step'")
        .transform_calculate(
            x="against == 'step' ? datum.step : -log(max(1 - datum.sparsity, 1e-6)) / LN10",
            y="datum[shown]",
        )
        .transform_filter("isValid(datum.y)")
    )
    places_of_sparsity = [round(-math.log10(1 - sparsity), 6) for sparsity in _SPARSITIES]
    axis = alt.Axis(
        values=alt.ExprRef(f"against == 'step' ? null : {places_of_sparsity}"),
        labelExpr="against == 'step' ? format(datum.value, '~s') : format(100 * (1 - pow(10, -datum.value)), '.3~g') + ' %'",
    )
    x = alt.X("x:Q", title=None, axis=axis, scale=alt.Scale(zero=False))
    y = alt.Y("y:Q", title=None, scale=alt.Scale(zero=False))
    of_step = joined.transform_aggregate(x="mean(x)", y="mean(y)", low="min(y)", high="max(y)", groupby=["line", "step"])
    bands = of_step.mark_area(opacity=0.15).encode(x, alt.Y("low:Q", title=None), encodings.colour, y2="high:Q")
    lines = of_step.mark_line(opacity=1).encode(x, y, encodings.colour, encodings.dash, order="step:Q")
    here = [
        alt.Tooltip("step:Q"),
        alt.Tooltip("sparsity:Q", format=".2%"),
        alt.Tooltip("y:Q", title="value here", format=".4~f"),
    ]
    points = joined.mark_circle(size=14, opacity=0.75).encode(
        x, y, encodings.colour, tooltip=[*_tooltip(section, "final_"), *here]
    )
    against = "against == 'step' ? 'optimizer step' : 'sparsity (logarithmic in what remains)'"
    spec = _finished(
        [bands, lines, points],
        section,
        {"place": places[-1], "against": "sparsity", "shown": "validation"},
        f"[{_names(titles)}[shown], 'against ' + ({against})]",
    )
    choices = [
        Choice("place", "Factor", {place: place for place in places}),
        Choice("shown", "Show", names),
        Choice("against", "Against", {"sparsity": "sparsity", "step": "step"}),
    ]
    return Chart(
        "courses",
        "While training",
        "Lines are means over seeds, bands reach from the lowest to the highest seed, each mark is a measurement of a "
        "trial. Where a line rises while the sparsity does, M and S had adapted to each other.",
        f"Chart: the course of the training, at first {names['validation']} against sparsity at {places[-1]}. "
        "The same values are in curves.csv.",
        spec,
        choices,
    )


_OF_TRIAL = {name: name for name in ("line", "seed", "at", "dense", "values", "bytes")}
_OF_TRIAL |= {"validation": "final_validation", "test": "final_test"}
"""What a point of a curve takes from its trial, and what it calls it."""
_SPARSITIES = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)


def _cmr(section: Section) -> Chart | None:
    found = cmr.lines(section)
    if not found:
        return None
    places = list(dict.fromkeys(_at(line.rows[0]) for of_cell in found.values() for line in of_cell))
    names = _cmr_names(section)
    settings = list(dict.fromkeys(names.values()))
    shown = (
        _chart("cmr").transform_filter(KEPT).transform_filter("datum.at == place").transform_calculate(y="datum[quality]")
    )
    probabilities = sorted({row.probability for of_cell in found.values() for line in of_cell for row in line.rows})
    x = alt.X("probability:Q", title=None, axis=alt.Axis(values=probabilities, format="~g"))
    y = alt.Y("y:Q", title=None, scale=alt.Scale(zero=False, padding=10))
    # The lines are settings here, not methods: a legend of their own, in colours that go with none of the methods'.
    scale = alt.Scale(domain=settings, range=list(drawing.COLOURS[::-1]))
    legend = alt.Legend(orient="bottom", columns=1, title=None, labelLimit=340, symbolType="stroke")
    colours = alt.Color("setting:N", scale=scale, legend=legend)
    lines = shown.transform_aggregate(y="mean(y)", groupby=["setting", "probability"]).mark_line(opacity=1)
    points = shown.mark_point(size=60, filled=True, opacity=1)
    layers = [
        lines.encode(x, y, colours, alt.StrokeDash("setting:N", legend=None)),
        points.encode(
            x, y, colours, alt.Shape("setting:N", legend=None), tooltip=[alt.Tooltip("setting:N"), *_tooltip(section)]
        ),
    ]
    metric = labels.metric_name(section.metric)
    spec = _finished(
        layers,
        section,
        {"place": places[0], "quality": "validation"},
        f"['{metric}, ' + quality, 'against the probability p of row dropout']",
    )
    choices = [
        Choice("place", "Factor", {place: place for place in places}),
        Choice("quality", "Quality", {"validation": "validation", "test": "test"}),
    ]
    spoken = "; ".join(
        f"{line.name}: "
        + ", ".join(f"p {row.probability:g} {row.validation.mean:.4g}" for row in line.rows if row.validation)
        for of_cell in found.values()
        for line in of_cell
    )
    return Chart(
        "cmr",
        "Probability of row dropout",
        "Lower is better. Each mark is a trial; lines join the means over seeds. Choose p by validation, not by test.",
        f"Chart: {metric.lower()} on validation against the probability of row dropout. {spoken}.",
        spec,
        choices,
    )


def _cmr_names(section: Section) -> dict[str, str]:
    """What the lines of CMR are called, by their full name: short, as a legend has to fit on a phone."""
    found = [line for of_cell in cmr.lines(section).values() for line in of_cell]
    one = len({line.method for line in found}) == 1
    return {line.name: line.setting if one and line.setting else line.name for line in found}


def _known(curves: pd.DataFrame, column: str) -> bool:
    return column in OPTIONAL_CURVES and bool(curves[column].notna().any())


def _chart(name: str) -> alt.Chart:
    # Numbers by name: left alone, a step would stay text, and be sorted as text.
    numbers = dict.fromkeys(("step", "sparsity", *COURSES), "number")
    kind = alt.CsvDataFormat(type="csv", parse=numbers) if name == "curves" else alt.JsonDataFormat(type="json")
    return alt.Chart(alt.NamedData(name, format=kind))


class _Encodings:
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


def _tooltip(section: Section, prefix: str = "") -> list[alt.Tooltip]:
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


def _finished(layers: list[alt.Chart], section: Section, values: dict[str, str], title: str) -> dict[str, Any]:
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


def seeds(section: Section) -> list[float]:
    """The seeds of the finished trials."""
    return sorted({float(seed) for row in section.rows for seed in row.finished["seed"]})


def _names(of_key: dict[str, str]) -> str:
    """An object of Vega's expression language."""
    return "{" + ", ".join(f"'{key}': '{name}'" for key, name in of_key.items()) + "}"


def _spoken(section: Section) -> str:
    decimals = labels.metric_decimals(section.metric)
    said = [f"{row.label} at {labels.factor(row.factor)} {row.test.mean:.{decimals}f}" for row in section.rows if row.test]
    return "Means: " + ", ".join(said) + "."
