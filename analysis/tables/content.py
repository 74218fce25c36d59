"""What the tables for readers say, cell by cell in plain text; Markdown and LaTeX only dress it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from analysis import folders, labels
from analysis.labels import MISSING
from analysis.paper import published_for
from analysis.section import Section, TableRow
from analysis.stats.statistic import Statistic
from doping.command_line import duration

MAX_ERROR_LENGTH = 160
_AS_DEPLOYED = (
    " LSTM deployed: its layers in the precision of the method, with indices, scales and biases; Model deployed: embedding "
    "and softmax, too. Quality is that of the rounded model; the factors refer to the dense model of the task's own width."
)
DEPLOYED = {
    "latency_us": ("Latency", labels.microseconds),
    "bundle_bytes": ("File", lambda value: labels.scaled(value, "B")),
    "deployed_bytes": ("LSTM deployed", lambda value: labels.scaled(value, "B")),
    "model_bytes": ("Model deployed", lambda value: labels.scaled(value, "B")),
}
"""Columns that stand in the table where something was measured: header, and how a number is written."""


@dataclass(frozen=True)
class Line:
    """A line of a table."""

    cells: list[str]
    best: bool = False
    """Whether the cells in the table's ``emphasis`` columns are set in bold."""
    opens_group: bool = False
    """Whether a rule is drawn above it."""


@dataclass(frozen=True)
class Table:
    """A table of texts; the columns of ``left`` are aligned left, all others right."""

    header: list[str]
    lines: list[Line]
    left: tuple[int, ...]
    emphasis: tuple[int, ...] = field(default=())


def main_table(section: Section) -> Table:
    """The table of a section: dense, then factor by factor every method."""
    units = {row.unit for row in section.rows if row.method != "dense"}
    # The unit of the factors goes to the header, or into each cell where a study has both.
    unit = units.pop() if len(units) == 1 and units != {"size"} else ""
    deployed = [name for name in DEPLOYED if section.measured(name)]
    header = [
        f"CF asked, of {unit}" if unit else "CF asked",
        *("Method", "Validation", "Test"),
        *(["Loss, %" if section.losses_in_percent else "Loss"] if section.dense else []),
        *(labels.metric_name(name) for name in section.measures),
        *("n", "Tuning trials"),
        *("CF of values", "CF of bytes", "Values", "Bytes", "Multiply–adds"),
        *(DEPLOYED[name][0] for name in deployed),
    ]
    lines = []
    previous = None
    for row in section.rows:
        group = (row.method == "dense", row.unit, row.factor)
        asked = labels.factor(row.factor) if unit or row.whole else labels.asked_of(row.factor, row.unit)
        cells = [asked, *_cells(row, section), *(_deployed(row, name) for name in deployed)]
        lines.append(Line(cells, row.best, previous not in (None, group)))
        previous = group
    return Table(header, lines, left=(1,), emphasis=(1, 2, 3, *([4] if section.dense else [])))


def _cells(row: TableRow, section: Section) -> list[str]:
    decimals = labels.metric_decimals(section.metric)
    quality = [
        text(row.validation, decimals),
        text(row.test, decimals),
        *([loss_text(row, section)] if section.dense else []),
    ]
    quality += [text(row.measures.get(name), labels.metric_decimals(name)) for name in section.measures]
    seeds = f"{row.n} of {len(row.trials)}" if row.n < len(row.trials) else str(row.n)
    start = [row.label, *quality, seeds, str(row.tuning)]
    if not row.n:
        return [*start, *[MISSING] * 5]
    return [
        *start,
        *(labels.achieved(row.sizes["cf_values"]), labels.achieved(row.sizes["cf_bytes"])),
        *(f"{row.sizes['values']:,.0f}", labels.scaled(row.sizes["bytes"], "B")),
        labels.scaled(row.sizes["multiply_adds"]),
    ]


def _deployed(row: TableRow, name: str) -> str:
    value = row.sizes[name]
    return DEPLOYED[name][1](value) if math.isfinite(value) else MISSING


def text(statistic: Statistic | None, decimals: int, sign: bool = False) -> str:
    """Mean and half the width of its confidence interval, e.g. ``2.151 ± 0.018``; with ``sign`` also the sign of a plus."""
    if statistic is None:
        return MISSING
    mean = labels.signed(statistic.mean, decimals) if sign else labels.fixed(statistic.mean, decimals)
    return mean if statistic.interval is None else f"{mean} ± {labels.fixed(statistic.interval, decimals)}"


def loss_text(row: TableRow, section: Section, sign: bool = False) -> str:
    """The loss on test as the tables have it: a number of percent, or a difference in the metric."""
    decimals = 1 if section.losses_in_percent else labels.metric_decimals(section.metric)
    return text(row.test_loss, decimals, sign)


def notes(section: Section) -> list[str]:
    """How to read the table, and what is not in its means."""
    metric = labels.metric_name(section.metric).lower()
    result = [
        f"Validation and test: {metric} (lower is better), mean ± half of the 95 % confidence interval (Student's t) over n "
        f"seeds; a single seed has no interval. {_loss_note(section)}. Bold: "
        "lowest mean validation of those asked for the same compression factor (CF), without a diverged seed.",
        *filter(None, [folders.differences(section.trials)]),
        tuning_note(section),
        "Sizes count the weight matrices of the LSTM at the end of training; bytes include indices, 1 kB = 1000 B; "
        "multiply–adds are for one time step."
        + (" Latency: microseconds for one time step of the exported model." if section.measured("latency_us") else "")
        + (_AS_DEPLOYED if section.measured("deployed_bytes") else ""),
    ]
    if section.measures:
        names = ", ".join(labels.metric_name(name).removesuffix(", %") for name in section.measures)
        result.append(f"{names}: on the test split, higher is better.")
    result += [f"{labels.metric_name(name.removesuffix('_signature'))}: {text}." for name, text in section.signatures]
    if published_for(section) is None:
        result.append("The doping paper (Thakker et al.) has no numbers for this task.")
    left_out = section.trials[section.trials["status"] != "finished"]
    if not left_out.empty:
        counts = ", ".join(f"{count} {status}" for status, count in _status_counts(section) if status != "finished")
        result.append(f"Not in the means ({counts}): " + "; ".join(_left_out(section)) + ".")
    return result


def _loss_note(section: Section) -> str:
    if section.dense is None:
        return "Loss: none, as no dense trial of this task has finished; run dense in the same study"
    percent = ", in percent" if section.losses_in_percent else ", the difference: the metric can be zero or negative"
    return f"Loss: test against the mean of {section.dense.label}{percent}"


def tuning_note(section: Section) -> str:
    """How many settings were tried for each row, and whether that was fair."""
    budgets = sorted({row.tuning for row in section.rows})
    if budgets == [0]:
        return "Tuning: none; every method has the settings that the study gives it."
    if len(budgets) == 1:
        return f"Tuning: {budgets[0]} trials for every method at every factor, Dense included."
    return f"Tuning: the budgets differ, from {budgets[0]} to {budgets[-1]} trials for a method at a factor; see the column."


def _left_out(section: Section) -> list[str]:
    result = []
    for row in section.rows:
        for _, trial in row.trials[row.trials["status"] != "finished"].sort_values("seed").iterrows():
            where = f"{row.label} at {labels.asked_of(row.factor, row.unit)}, seed {trial['seed']:.0f}"
            error = " ".join(str(trial["error"]).split())
            if len(error) > MAX_ERROR_LENGTH:
                error = error[: MAX_ERROR_LENGTH - 1] + "…"
            result.append(f"{where}: {trial['status'] or 'no status'}" + (f" ({error})" if error else ""))
    return result


def _status_counts(section: Section) -> list[tuple[str, int]]:
    counts = section.trials["status"].value_counts()
    order = ["finished", "diverged", "failed", "stopped"]
    others = sorted(set(counts.index) - set(order))
    return [(status or "without status", int(counts[status])) for status in [*order, *others] if status in counts.index]


def heading(section: Section) -> str:
    """The task and its metric, e.g. ``embedded-character: bits per character``."""
    return f"{section.title}: {labels.metric_name(section.metric).lower()}"


def provenance(section: Section) -> list[tuple[str, str]]:
    """Where the numbers come from, as (name, value)."""
    trials = section.trials
    counts = ", ".join(f"{count} {status}" for status, count in _status_counts(section))
    pairs = [
        ("Data", "data_hash"),
        ("Commit", "commit"),
        ("Hardware", "hardware"),
        ("Versions", "versions"),
    ]
    return [
        *((name, "; ".join(sorted(set(trials[column]) - {""})) or "not recorded") for name, column in pairs),
        ("Trials", f"{len(trials)} ({counts})"),
        ("Compute time", f"{duration(trials['seconds'].sum())}, all these trials together"),
    ]


def unfinished_note(count: int) -> str:
    """Says that trials are missing because they have not ended; empty for none."""
    if not count:
        return ""
    trials = "1 trial has" if count == 1 else f"{count} trials have"
    return f"{trials} a curve but no result yet (still running, or interrupted), and no part in these tables."
