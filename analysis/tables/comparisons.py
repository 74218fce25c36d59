"""What the tables say that compare: significance, size at equal quality, and the published numbers."""

from __future__ import annotations

from analysis import labels
from analysis.labels import MISSING
from analysis.paper import PublishedTask, published_for
from analysis.results import DEPLOYED
from analysis.section import Key, Section, TableRow
from analysis.stats import equal_quality, significance
from analysis.stats.equal_quality import EqualQuality
from analysis.stats.significance import Differences
from analysis.tables.content import Line, Table, text

AGAINST = {
    "best": "Against the best, at this CF",
    "pruned": "Against Pruned, at this CF",
    "without_cmr": "Against the same, without CMR",
    "dense": "Against Dense",
}
"""Headers of the kinds of ``significance.REFERENCES``."""
EQUAL_QUALITY = {"values": "values", "bytes": "bytes", "latency_us": "latency"}
"""Sizes that are compared at equal quality."""
FEW_PAIRS = 5
EQUAL_QUALITY_NOTE = (
    "How many times smaller (or faster) a method is than one without doping at the same test quality: geometric mean over "
    "the range of quality that both reach (lowest–highest); above 1 it is smaller. Interpolated along the Pareto front of "
    "each in the logarithm of the size, nothing extrapolated; from means over seeds. The doping paper claims "
    f"{equal_quality.PAPER[0]}–{equal_quality.PAPER[1]} against the best known before (abstract)."
)


def tables(section: Section) -> list[tuple[str, Table | None, str]]:
    """Those after the main one, each with its heading and how to read it; no table where only the note has to be said."""
    tables: list[tuple[str, Table | None, str]] = [
        ("Which differences are significant", significance_table(section), significance_note(section))
    ]
    if equal := equal_quality_table(section):
        tables.append(("How much smaller at equal quality", equal, EQUAL_QUALITY_NOTE))
    if paper := paper_table(section):
        tables.append(("Beside the published numbers", paper, ""))
    return tables


def significance_table(section: Section) -> Table | None:
    """Differences to what a reader compares with; None where no two settings share two seeds."""
    found = significance.compare(section)
    tested = [any(known.p is not None for known in of_row.values()) for of_row in found]
    if not any(tested):
        return None
    kinds = [kind for kind in AGAINST if any(kind in of_row for of_row in found)]
    decimals = labels.metric_decimals(section.metric)
    lines = []
    previous = None
    for row, of_row in ((row, of) for row, of, shown in zip(section.rows, found, tested, strict=True) if shown):
        group = (row.unit, row.factor)
        cells = [_difference(of_row, kind, decimals) for kind in kinds]
        lines.append(Line([_asked(row), row.label, *cells], opens_group=previous not in (None, group)))
        previous = group
    return Table(["CF asked", "Method", *(AGAINST[kind] for kind in kinds)], lines, left=(1,))


def _difference(of_row: Differences, kind: str, decimals: int) -> str:
    if kind not in of_row:
        return MISSING
    known = of_row[kind]
    said = text(known.statistic, decimals, sign=True)
    return f"{said} (1 pair)" if known.p is None else said + ("*" if known.significant else "")


def _asked(row: TableRow) -> str:
    return row.asked


def compared_sizes(section: Section) -> dict[str, str]:
    """Those of EQUAL_QUALITY that the section has numbers for."""
    return {size: name for size, name in EQUAL_QUALITY.items() if size not in DEPLOYED or section.measured(size)}


def equal_quality_table(section: Section) -> Table | None:
    """How many times smaller each method is than each without doping; None where no two share a range of quality."""
    compared = {name: equal_quality.compare(section, size) for size, name in compared_sizes(section).items()}
    met = {known.baseline for of_size in compared.values() for known in of_size}
    baselines = [baseline for baseline in equal_quality.baselines(section) if baseline in met]
    lines: list[Line] = []
    for name, of_size in compared.items():
        found: dict[Key, dict[str, EqualQuality]] = {}
        for known in of_size:
            found.setdefault(known.row.key, {})[known.baseline] = known
        for index, of_row in enumerate(found.values()):
            label = next(iter(of_row.values())).row.label
            cells = [_ratio(of_row.get(baseline)) for baseline in baselines]
            lines.append(Line([name, label, *cells], opens_group=bool(lines) and index == 0))
    header = ["Compared in", "Method", *(f"Than {labels.method_name(baseline, False)}, times" for baseline in baselines)]
    return Table(header, lines, left=(0, 1)) if lines else None


def _ratio(known: EqualQuality | None) -> str:
    return f"{known.mean:.2f} ({known.lowest:.2f}–{known.highest:.2f})" if known else MISSING


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
            loss = text(row.test_loss, 1) if section.losses_in_percent else MISSING
            lines.append(Line([row.label, *start[1:], cf, loss, str(row.n), number.source]))
    return Table(header, lines, left=(0, 6))


def _paper_dense(section: Section, entry: PublishedTask) -> Line:
    published = " / ".join(f"{entry.dense[split]:g}" for split in ("validation", "test"))
    decimals = labels.metric_decimals(section.metric)
    dense = section.dense
    ours = " / ".join(text(statistic, decimals) for statistic in (dense.validation, dense.test)) if dense else MISSING
    metric = labels.metric_name(section.metric).lower()
    name = f"Dense: {metric}, validation / test"
    return Line([name, "1×", published, "1×", ours, str(dense.n if dense else 0), entry.dense["source"]])


def significance_note(section: Section) -> str:
    """How to read the table of differences, or why there is none."""
    if significance_table(section) is None:
        return (
            "Whether differences are significant cannot be said: no two settings were run with two seeds in common. "
            "Run more seeds."
        )
    pairs = {known.statistic.n for of_row in significance.compare(section) for known in of_row.values()}
    few = (
        f" With {max(pairs)} pairs only a difference that hardly varies from seed to seed can be significant: where a star "
        "is missing, nothing is proved either way."
        if max(pairs) < FEW_PAIRS
        else ""
    )
    return (
        "Difference of the test metric (negative: better) over the seeds in common, mean ± half of its 95 % confidence "
        "interval. Star: significant at 5 % by a t-test paired by seed, corrected after Holm for all comparisons of its "
        "column."
        f"{few} Settings without two seeds in common with what they are compared with are left out."
    )
