"""Tables as CSV: a line a setting, raw numbers."""

from __future__ import annotations

import csv
import io
import json
import math

from analysis.paper import published_loss
from analysis.results import DEPLOYED, SIZE_COLUMNS
from analysis.section import Section, TableRow
from analysis.stats import equal_quality, significance
from analysis.stats.significance import REFERENCES, Differences
from analysis.tables import comparisons

_QUALITIES = ("validation", "test", "validation_loss_percent", "test_loss_percent")
_SETTING = ("study", "task", "task_setting", "method", "cmr", "variant")
COLUMNS = (
    *(*_SETTING, "cf_unit", "cf_requested", *SIZE_COLUMNS, *DEPLOYED),
    *("metric", "trials", "n", "diverged", "failed", "tuning_trials"),
    *(f"{name}_{part}" for name in _QUALITIES for part in ("mean", "sd", "ci95")),
    *(f"{part}_{kind}" for kind in REFERENCES for part in ("difference", "difference_ci95", "pairs", "p", "p_holm")),
    *("best", "published_loss_percent", "seconds", "data_hash", "commit", "measures"),
)
"""``cmr``: the probability; ``n``: finished trials, those of the means; ``ci95``: half the width of the 95 % confidence
interval; ``difference_best``: test less that of the best at the same factor, ``p_best`` of a t-test on it, ``p_holm_best``
corrected for all of the section; ``best``: 1 for the lowest mean validation at its factor, else 0; ``seconds``: all trials
together; ``measures``: means of other qualities on the test split, as JSON; empty where there is no number."""
EQUAL_QUALITY_COLUMNS = (*_SETTING, "baseline", "size", "test", "loss_percent", "times_smaller")
"""``times_smaller``: ``size`` of the baseline over that of the method, where both have this test metric."""


def render(sections: list[Section]) -> str:
    """The whole of ``tables.csv``."""
    lines = []
    for section in sections:
        compared = significance.compare(section)
        lines += [_line(section, row, of_row) for row, of_row in zip(section.rows, compared, strict=True)]
    return _written(COLUMNS, lines)


def render_equal_quality(sections: list[Section]) -> str:
    """The whole of ``equal_quality.csv``: the points of the figure, a line for each."""
    lines = []
    for section in sections:
        dense = section.dense_mean("test")
        for size in comparisons.compared_sizes(section):
            for known in equal_quality.compare(section, size):
                for quality, ratio in zip(known.qualities, known.ratios, strict=True):
                    loss = 100 * (quality / dense - 1) if dense and section.losses_in_percent else None
                    numbers = {"test": quality, "loss_percent": loss, "times_smaller": ratio}
                    of_point = {name: _number(value) for name, value in numbers.items()}
                    lines.append(_setting(section, known.row) | {"baseline": known.baseline, "size": size} | of_point)
    return _written(EQUAL_QUALITY_COLUMNS, lines)


def _written(columns: tuple[str, ...], lines: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _neutral(cell) for name, cell in line.items()} for line in lines)
    return text.getvalue()


def _neutral(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: names come from studies, which others may have written."""
    if cell[:1] not in "=+-@\t\r" or not cell:
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _setting(section: Section, row: TableRow) -> dict[str, str]:
    return {
        "study": section.study,
        "task": section.task,
        "task_setting": section.setting,
        "method": row.method,
        "cmr": _number(row.probability),
        "variant": row.variant,
    }


def _line(section: Section, row: TableRow, compared: Differences) -> dict[str, str]:
    statistics = {
        "validation": row.validation,
        "test": row.test,
        "validation_loss_percent": row.validation_loss if section.losses_in_percent else None,
        "test_loss_percent": row.test_loss if section.losses_in_percent else None,
    }
    line = {
        **_setting(section, row),
        "cf_unit": row.unit,
        "cf_requested": _number(row.factor),
        **{name: _number(row.sizes[name]) for name in (*SIZE_COLUMNS, *DEPLOYED)},
        "metric": section.metric,
        "trials": str(len(row.trials)),
        "n": str(row.n),
        "diverged": str(row.count("diverged")),
        "failed": str(row.count("failed")),
        "tuning_trials": str(row.tuning),
        "best": str(int(row.best)),
        "published_loss_percent": _number(published_loss(section, row)),
        "seconds": _number(float(row.trials["seconds"].sum())),
        "data_hash": _joined(row, "data_hash"),
        "commit": _joined(row, "commit"),
        "measures": json.dumps({name: round(known.mean, 6) for name, known in row.measures.items()}) if row.measures else "",
    }
    for name, statistic in statistics.items():
        values = (statistic.mean, statistic.sd, statistic.interval) if statistic else (None, None, None)
        for part, value in zip(("mean", "sd", "ci95"), values, strict=True):
            line[f"{name}_{part}"] = _number(value)
    for kind, known in compared.items():
        line |= {
            f"difference_{kind}": _number(known.statistic.mean),
            f"difference_ci95_{kind}": _number(known.statistic.interval),
            f"pairs_{kind}": str(known.statistic.n),
            f"p_{kind}": _number(known.p),
            f"p_holm_{kind}": _number(known.p_corrected),
        }
    return line


def _joined(row: TableRow, column: str) -> str:
    return " ".join(sorted(set(row.trials[column])))


def _number(value: float | None) -> str:
    # Ten digits: more would be noise of the summation, and would differ between machines.
    return "" if value is None or math.isnan(value) else f"{value:.10g}"
