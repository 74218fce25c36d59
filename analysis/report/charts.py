"""All figures to explore of a section, and their data."""

from __future__ import annotations

import math
from typing import Any

from analysis.figures.cmr import lines
from analysis.report.chart import Chart, at
from analysis.report.cmr import cmr, setting_names
from analysis.report.courses import COURSES, courses
from analysis.report.pareto import SIZES, pareto
from analysis.results import Results
from analysis.section import Section, TableRow


def charts(section: Section, results: Results) -> list[Chart]:
    """Those that the section has data for."""
    found = [pareto(section), courses(section, results), cmr(section)]
    return [chart for chart in found if chart]


def data(section: Section, results: Results) -> dict[str, Any]:
    """The data of the charts by name: finished trials, their curves (CSV: half the size of JSON), the lines of CMR."""
    trials = [_trial(row, trial) for row in section.rows for trial in row.finished.to_dict("records")]
    ids = [trial["trial"] for trial in trials]
    curves = results.curves[results.curves["trial_id"].isin(ids)].rename(columns={"trial_id": "trial"})
    columns = ["trial", "step", "sparsity", *(name for name in COURSES if curves[name].notna().any())]
    by_id = {trial["trial"]: trial for trial in trials}
    names = setting_names(section)
    of_cmr = [
        by_id[trial_id] | {"setting": names[line.name], "probability": row.probability, "at": at(row)}
        for found in lines(section).values()
        for line in found
        for row in line.rows
        for trial_id in row.finished["trial_id"]
    ]
    return {"trials": trials, "curves": curves[columns].to_csv(index=False, float_format="%.5g"), "cmr": of_cmr}


def _trial(row: TableRow, trial: dict[Any, Any]) -> dict[str, Any]:
    numbers = ("seed", "validation", "test", *SIZES)
    result = {name: float(f"{trial[name]:.6g}") if math.isfinite(trial[name]) else None for name in numbers}
    return {
        "trial": trial["trial_id"],
        "line": row.label,
        "dense": row.method == "dense",
        "at": at(row),
        **result,
    }
