"""Tables as CSV: a line a setting, raw numbers."""

from __future__ import annotations

import csv
import io
import math

from analysis.paper import published_loss
from analysis.results import SIZE_COLUMNS
from analysis.summary import Row, Section, Statistic

COLUMNS = (
    *("study", "task", "task_setting", "method", "cmr", "variant", "cf_unit", "cf_requested", *SIZE_COLUMNS),
    *("metric", "trials", "n", "diverged", "failed", "validation_mean", "validation_sd", "test_mean", "test_sd"),
    *("validation_loss_percent", "validation_loss_percent_sd", "test_loss_percent", "test_loss_percent_sd"),
    *("best", "published_loss_percent", "seconds", "data_hash", "commit"),
)
"""``cmr``: the probability; ``n``: finished trials, those of the means; ``best``: 1 for the lowest mean validation at its
factor, else 0; ``seconds``: all trials together; empty where there is no number."""


def render(sections: list[Section]) -> str:
    """The whole of ``tables.csv``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for section in sections:
        writer.writerows(_line(section, row) for row in section.rows)
    return text.getvalue()


def _line(section: Section, row: Row) -> dict[str, str]:
    statistics = {
        "validation": row.validation,
        "test": row.test,
        "validation_loss_percent": row.validation_loss,
        "test_loss_percent": row.test_loss,
    }
    line = {
        "study": section.study,
        "task": section.task,
        "task_setting": section.setting,
        "method": row.method,
        "cmr": _number(row.probability),
        "variant": row.variant,
        "cf_unit": row.unit,
        "cf_requested": _number(row.factor),
        **{name: _number(row.sizes[name]) for name in SIZE_COLUMNS},
        "metric": section.metric,
        "trials": str(len(row.trials)),
        "n": str(row.n),
        "diverged": str(row.count("diverged")),
        "failed": str(row.count("failed")),
        "best": str(int(row.best)),
        "published_loss_percent": _number(published_loss(section, row)),
        "seconds": _number(float(row.trials["seconds"].sum())),
        "data_hash": _joined(row, "data_hash"),
        "commit": _joined(row, "commit"),
    }
    for name, statistic in statistics.items():
        line |= _statistic(name, statistic)
    return line


def _statistic(name: str, statistic: Statistic | None) -> dict[str, str]:
    mean = name if name.endswith("percent") else f"{name}_mean"
    values = (statistic.mean, statistic.sd) if statistic else (None, None)
    return {mean: _number(values[0]), f"{name}_sd": _number(values[1])}


def _joined(row: Row, column: str) -> str:
    return " ".join(sorted(set(row.trials[column])))


def _number(value: float | None) -> str:
    # Ten digits: more would be noise of the summation, and would differ between machines.
    return "" if value is None or math.isnan(value) else f"{value:.10g}"
