"""Test quality against size, a mark a trial."""

from __future__ import annotations

import altair as alt

from analysis import labels
from analysis.report.chart import KEPT, Chart, Choice, Encodings, finished, names, quality, tooltip
from analysis.section import Section

SIZES = {"values": "values", "bytes": "bytes", "multiply_adds": "multiply–adds a time step", "latency_us": "latency in µs"}


def pareto(section: Section) -> Chart:
    """The chart of a section."""
    sizes = {size: name for size, name in SIZES.items() if size != "latency_us" or section.measured(size)}
    encodings = Encodings(section)
    shown = (
        alt.Chart(alt.NamedData("trials"))
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
        x, y, tooltip=tooltip(section), **encodings.mark
    )
    dense = (
        shown.transform_filter("datum.dense")
        .transform_aggregate(y="mean(y)", groupby=["line"])
        .mark_rule(strokeDash=[6, 3])
        .encode(y, encodings.colour, tooltip=["line:N", alt.Tooltip("y:Q", title="mean", format=".4~f")])
    )
    metric = labels.metric_name(section.metric)
    spec = finished(
        [dense, lines, points],
        section,
        {"size": "values", "quality": "test"},
        f"[{quality(section.metric)}, 'against ' + {names(sizes)}[size]]",
    )
    choices = [
        Choice("size", "Size", {key: f"by {name}" for key, name in sizes.items()}),
        Choice("quality", "Quality", {"test": "test", "validation": "validation"}),
    ]
    return Chart(
        "pareto",
        "Quality against size",
        "Lower is better. Each mark is a trial; lines join the means over seeds"
        + (", the dashed line is Dense" if section.dense else "")
        + ". Sizes shrink to the right.",
        f"Chart: {metric.lower()} on test against the size. " + _spoken(section),
        spec,
        choices,
    )


def _spoken(section: Section) -> str:
    decimals = labels.metric_decimals(section.metric)
    said = [f"{row.label} at {row.asked} {row.test.mean:.{decimals}f}" for row in section.rows if row.test]
    return "Means: " + ", ".join(said) + "."
