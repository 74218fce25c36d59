"""What the tables for readers say, cell by cell in plain text; Markdown and LaTeX only dress it."""

from __future__ import annotations

from dataclasses import dataclass, field

from analysis import labels
from analysis.labels import MISSING
from analysis.paper import PublishedTask, published_for
from analysis.summary import Row, Section, Statistic

MAX_ERROR_LENGTH = 160


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
    unit = units.pop() if len(units) == 1 else ""
    header = [
        f"CF asked, of {unit}" if unit else "CF asked",
        *("Method", "Validation", "Test", "Loss, %", "n"),
        *("CF of values", "CF of bytes", "Values", "Bytes", "Multiply–adds"),
    ]
    lines = []
    previous = None
    for row in section.rows:
        group = (row.method == "dense", row.unit, row.factor)
        asked = labels.factor(row.factor) + ("" if unit or row.method == "dense" else f" of {row.unit}")
        lines.append(Line([asked, *_cells(row, section.metric)], row.best, previous not in (None, group)))
        previous = group
    return Table(header, lines, left=(1,), emphasis=(1, 2, 3, 4))


def _cells(row: Row, metric: str) -> list[str]:
    decimals = labels.metric_decimals(metric)
    quality = [_text(row.validation, decimals), _text(row.test, decimals), _text(row.test_loss, 1)]
    seeds = f"{row.n} of {len(row.trials)}" if row.n < len(row.trials) else str(row.n)
    if not row.n:
        return [row.label, *quality, seeds, *[MISSING] * 5]
    return [
        *(row.label, *quality, seeds),
        *(labels.achieved(row.sizes["cf_values"]), labels.achieved(row.sizes["cf_bytes"])),
        *(f"{row.sizes['values']:,.0f}", labels.scaled(row.sizes["bytes"], "B")),
        labels.scaled(row.sizes["multiply_adds"]),
    ]


def _text(statistic: Statistic | None, decimals: int) -> str:
    if statistic is None:
        return MISSING
    mean = labels.fixed(statistic.mean, decimals)
    return mean if statistic.sd is None else f"{mean} ± {labels.fixed(statistic.sd, decimals)}"


def paper_table(section: Section) -> Table | None:
    """The published numbers beside ours, if there are any for this task."""
    entry = published_for(section)
    if entry is None:
        return None
    header = ["Method", "CF, published", "Loss, %, published", "CF of values, ours", "Loss, %, ours", "n", "Source"]
    lines = [_paper_dense(section, entry)]
    for number in entry.methods:
        start = [number.label, number.at, f"{number.loss:g}"]
        ours = [row for row in section.rows if number.matches(row)]
        if not ours:
            lines.append(Line([*start, MISSING, MISSING, MISSING, number.source]))
        for row in ours:
            # Several settings of a method stand beside the same published number.
            cf = f"{labels.achieved(row.sizes['cf_values'])}" if row.n else MISSING
            loss = _text(row.test_loss, 1)
            lines.append(Line([row.label, *start[1:], cf, loss, str(row.n), number.source]))
    return Table(header, lines, left=(0, 6))


def _paper_dense(section: Section, entry: PublishedTask) -> Line:
    published = " / ".join(f"{entry.dense[split]:g}" for split in ("validation", "test"))
    decimals = labels.metric_decimals(section.metric)
    ours = " / ".join(_text(statistic, decimals) for statistic in (section.dense.validation, section.dense.test))
    metric = labels.metric_name(section.metric).lower()
    name = f"Dense: {metric}, validation / test"
    return Line([name, "1×", published, "1×", ours, str(section.dense.n), entry.dense["source"]])


def notes(section: Section) -> list[str]:
    """How to read the table, and what is not in its means."""
    metric = labels.metric_name(section.metric).lower()
    result = [
        f"Validation and test: {metric} (lower is better), mean ± sample standard deviation over n seeds. Loss: test "
        f"against the mean of {section.dense.label}, in percent. Bold: lowest mean validation of those asked for the "
        "same compression factor (CF), without a diverged seed.",
        "Sizes count the weight matrices of the LSTM at the end of training; bytes include indices, 1 kB = 1000 B; "
        "multiply–adds are for one time step.",
    ]
    if published_for(section) is None:
        result.append("The doping paper (Thakker et al.) has no numbers for this task.")
    left_out = section.trials[section.trials["status"] != "finished"]
    if not left_out.empty:
        counts = ", ".join(f"{count} {status}" for status, count in _status_counts(section) if status != "finished")
        result.append(f"Not in the means ({counts}): " + "; ".join(_left_out(section)) + ".")
    return result


def _left_out(section: Section) -> list[str]:
    result = []
    for row in section.rows:
        for _, trial in row.trials[row.trials["status"] != "finished"].sort_values("seed").iterrows():
            where = f"{row.label} at {labels.factor(row.factor)} of {row.unit}, seed {trial['seed']:.0f}"
            error = " ".join(str(trial["error"]).split())
            if len(error) > MAX_ERROR_LENGTH:
                error = error[: MAX_ERROR_LENGTH - 1] + "…"
            result.append(f"{where}: {trial['status'] or 'no status'}" + (f" ({error})" if error else ""))
    return result


def _status_counts(section: Section) -> list[tuple[str, int]]:
    counts = section.trials["status"].value_counts()
    order = ["finished", "diverged", "failed"]
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
        ("Compute time", f"{labels.duration(trials['seconds'].sum())}, all trials together"),
    ]


def unfinished_note(count: int) -> str:
    """Says that trials are missing because they have not ended; empty for none."""
    if not count:
        return ""
    trials = "1 trial has" if count == 1 else f"{count} trials have"
    return f"{trials} a curve but no result yet (still running, or stopped half-way), and no part in these tables."
