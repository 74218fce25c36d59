"""Final quality against the probability of row dropout, a mark a trial."""

from __future__ import annotations

import altair as alt

from analysis import labels
from analysis.figures import drawing
from analysis.figures.cmr import lines as lines_of
from analysis.report.chart import KEPT, Chart, Choice, at, finished, quality, tooltip
from analysis.section import Section


def cmr(section: Section) -> Chart | None:
    """The chart of a section; None where no probability was varied."""
    found = lines_of(section)
    if not found:
        return None
    places = list(dict.fromkeys(at(line.rows[0]) for of_cell in found.values() for line in of_cell))
    names = setting_names(section)
    settings = list(dict.fromkeys(names.values()))
    shown = (
        alt.Chart(alt.NamedData("cmr"))
        .transform_filter(KEPT)
        .transform_filter("datum.at == place")
        .transform_calculate(y="datum[quality]")
    )
    probabilities = sorted({row.probability for of_cell in found.values() for line in of_cell for row in line.rows})
    x = alt.X("probability:Q", title=None, axis=alt.Axis(values=probabilities, format="~g"))
    y = alt.Y("y:Q", title=None, scale=alt.Scale(zero=False, padding=10))
    # The lines are settings here, not methods: a legend of their own, in an order of colours that is not the methods'.
    scale = alt.Scale(domain=settings, range=list(drawing.COLOURS[::-1]))
    legend = alt.Legend(orient="bottom", columns=1, title=None, labelLimit=340, symbolType="stroke")
    colours = alt.Color("setting:N", scale=scale, legend=legend)
    lines = shown.transform_aggregate(y="mean(y)", groupby=["setting", "probability"]).mark_line(opacity=1)
    points = shown.mark_point(size=60, filled=True, opacity=1)
    layers = [
        lines.encode(x, y, colours, alt.StrokeDash("setting:N", legend=None)),
        points.encode(
            x, y, colours, alt.Shape("setting:N", legend=None), tooltip=[alt.Tooltip("setting:N"), *tooltip(section)]
        ),
    ]
    metric = labels.metric_name(section.metric)
    spec = finished(
        layers,
        section,
        {"place": places[0], "quality": "validation"},
        f"[{quality(section.metric)}, 'against the probability p of row dropout']",
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


def setting_names(section: Section) -> dict[str, str]:
    """What the lines of CMR are called, by their full name: short, as a legend has to fit on a phone."""
    found = [line for of_cell in lines_of(section).values() for line in of_cell]
    one = len({line.method for line in found}) == 1
    return {line.name: line.setting if one and line.setting else line.name for line in found}
