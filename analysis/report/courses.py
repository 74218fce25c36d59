"""The course of the training against sparsity or steps, a line a setting, a mark a measurement."""

from __future__ import annotations

import math

import altair as alt

from analysis import labels
from analysis.report.chart import KEPT, Chart, Choice, Encodings, at, finished, names, tooltip
from analysis.report.degradation import reading
from analysis.results import Results
from analysis.section import Section

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
_OF_TRIAL = {name: name for name in ("line", "seed", "at", "dense", "values", "bytes")}
_OF_TRIAL |= {"validation": "final_validation", "test": "final_test"}
"""What a point of a curve takes from its trial, and what it calls it."""
_SPARSITIES = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)


def courses(section: Section, results: Results) -> Chart | None:
    """The chart of a section; None where nothing is pruned."""
    ids = [trial_id for row in section.rows if row.sparse for trial_id in row.finished["trial_id"]]
    curves = results.curves[results.curves["trial_id"].isin(ids)]
    if curves.empty:
        return None
    encodings = Encodings(section)
    shown = {key: name for key, name in COURSES.items() if key == "validation" or curves[key].notna().any()}
    metric = labels.metric_name(section.metric)
    titles = {key: f"{metric}, {name}" if key.startswith("validation") else name for key, name in shown.items()}
    places = list(dict.fromkeys(at(row) for row in section.rows if row.sparse and row.n))
    # Said of each: left alone, a step would stay text, and be sorted as text.
    numbers = dict.fromkeys(("step", "sparsity", *shown), "number")
    joined = (
        alt.Chart(alt.NamedData("curves", format=alt.CsvDataFormat(type="csv", parse=numbers)))
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
        x, y, encodings.colour, tooltip=[*tooltip(section, "final_"), *here]
    )
    against = "against == 'step' ? 'optimizer step' : 'sparsity (logarithmic in what remains)'"
    spec = finished(
        [bands, lines, points],
        section,
        {"place": places[-1], "against": "sparsity", "shown": "validation"},
        f"[{names(titles)}[shown], 'against ' + ({against})]",
    )
    choices = [
        Choice("place", "Factor", {place: place for place in places}),
        Choice("shown", "Show", shown),
        Choice("against", "Against", {"sparsity": "sparsity", "step": "step"}),
    ]
    return Chart(
        "courses",
        "While training",
        "Lines are means over seeds, bands reach from the lowest to the highest seed, each mark is a measurement of a "
        "trial. Where a line rises while the sparsity does, M and S had adapted to each other.",
        f"Chart: the course of the training, at first {shown['validation']} against sparsity at {places[-1]}. "
        "The same values are in curves.csv.",
        spec,
        choices,
        reading(section, results.curves),
    )
