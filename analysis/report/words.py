"""The results of a section in plain sentences and a few numbers, for those who read nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from analysis import folders, labels
from analysis.section import Section, TableRow
from analysis.stats import equal_quality, significance
from analysis.stats.equal_quality import EqualQuality
from analysis.stats.significance import Difference
from analysis.tables import content
from doping.families import is_doped

CLOSE = 10.0
"""Percent: a model within so much of dense counts as close to it."""
FEW = 4
"""So many factors are told of one by one."""


@dataclass(frozen=True)
class Fact:
    """A number large enough to be read from afar."""

    name: str
    value: str
    detail: str


def facts(section: Section) -> list[Fact]:
    """Dense, the best at each factor, and the smallest model that is close to dense."""
    decimals = labels.metric_decimals(section.metric)
    metric = f"{labels.metric_name(section.metric).lower()} on test"
    result = []
    if section.dense and section.dense.test:
        dense = section.dense.test
        spread = f"± {labels.fixed(dense.interval, decimals)} " if dense.interval is not None else ""
        result.append(Fact("Dense", labels.fixed(dense.mean, decimals), f"{spread}{metric}{_seeds(section.dense)}"))
    for row in section.rows:
        if row.best and row.test:
            value = _mean_loss(section, row) if row.test_loss else labels.fixed(row.test.mean, decimals)
            of = "" if row.test_loss else f"{metric}, "
            result.append(Fact(f"Best at {_factor(row)}", value, f"{of}{row.label}{_seeds(row)}"))
    compressed = [row for row in section.rows if row.method != "dense"]
    close = [row for row in compressed if row.test_loss and row.test_loss.mean <= CLOSE]
    if close and section.losses_in_percent:
        smallest = min(close, key=lambda row: row.sizes["bytes"])
        assert smallest.test_loss
        detail = f"{smallest.label}, {labels.achieved(smallest.sizes['cf_bytes'])} fewer bytes than Dense"
        result.append(Fact(f"Smallest within {CLOSE:g} % of Dense", labels.scaled(smallest.sizes["bytes"], "B"), detail))
    return result


def _mean_loss(section: Section, row: TableRow) -> str:
    assert row.test_loss
    if section.losses_in_percent:
        return f"{labels.signed(row.test_loss.mean, 1)} %"
    return labels.signed(row.test_loss.mean, labels.metric_decimals(section.metric))


def sentences(section: Section) -> list[str]:
    """What was found, a sentence or two each: dense, the order at each factor, row dropout, size at equal quality."""
    decimals = labels.metric_decimals(section.metric)
    metric = labels.metric_name(section.metric).lower()
    if section.dense:
        result = [f"Dense reaches {content.text(section.dense.test, decimals)} {metric} on test{_seeds(section.dense)}."]
    else:
        result = ["No dense trial of this task has finished, so nothing is said of the loss against it."]
    differences = dict(zip((id(row) for row in section.rows), significance.compare(section), strict=True))
    for best in _some([row for row in section.rows if row.best]):
        result.append(_order(section, best, decimals, differences))
    result += filter(None, [folders.differences(section.trials)])
    result += _dropout(section, decimals, differences)
    result += _at_equal_quality(section)
    return result


def _some(best: list[TableRow]) -> list[TableRow]:
    """Those that sentences are about: of many factors, the first, the middle and the last. The tiles have all."""
    return best if len(best) <= FEW else [best[0], best[len(best) // 2], best[-1]]


def _order(section: Section, best: TableRow, decimals: int, differences: dict[int, significance.Differences]) -> str:
    assert best.test
    rivals = [row for row in section.rows if (row.unit, row.factor) == (best.unit, best.factor) and row is not best]
    finished = [row for row in rivals if row.validation and row.test]
    percent = " %" if section.losses_in_percent else ""
    loss = f", {content.loss_text(best, section, sign=True)}{percent} against Dense" if best.test_loss else ""
    start = f"At {_factor(best)} {best.label} is ahead: {content.text(best.test, decimals)} on test{loss}{_seeds(best)}."
    if not finished:
        return start
    second = min(finished, key=lambda row: row.validation.mean if row.validation else 0.0)
    verdict = _verdict(differences[id(second)].get("best"))
    return f"{start} Next is {second.label} ({content.text(second.test, decimals)}); {verdict}."


def _verdict(known: Difference | None) -> str:
    if known is None or known.p is None:
        return "without two seeds in common, that may be luck"
    if known.significant:
        return f"the difference is significant ({_p(known)})"
    return f"the difference is not significant ({_p(known)}, {known.statistic.n} seeds in common)"


def _p(known: Difference) -> str:
    assert known.p_corrected is not None
    return f"p = {known.p_corrected:.2g}" if known.p_corrected >= 0.001 else "p < 0.001"


def _dropout(section: Section, decimals: int, differences: dict[int, significance.Differences]) -> list[str]:
    """A sentence for each doped method: what its best row dropout (by validation) changes, at each factor."""
    best: dict[str, dict[tuple[str, float], TableRow]] = {}
    for row in section.rows:
        if row.cmr and row.validation and "without_cmr" in differences[id(row)]:
            known = best.setdefault(row.method, {}).get((row.unit, row.factor))
            if known is None or (known.validation and row.validation.mean < known.validation.mean):
                best[row.method][row.unit, row.factor] = row
    result = []
    for method, rows in best.items():
        changes = []
        for row in rows.values():
            difference = differences[id(row)]["without_cmr"]
            proof = "one seed" if difference.p is None else "significant" if difference.significant else "not significant"
            setting = f" with {row.variant}" if row.variant else ""
            change = labels.signed(difference.statistic.mean, decimals)
            changes.append(f"{change} at {row.asked}{setting} ({proof})")
        said = (
            ", ".join(changes) if len(changes) <= FEW else _range([differences[id(row)] for row in rows.values()], decimals)
        )
        result.append(f"Row dropout changes the test of {labels.method_name(method, False)} by {said}.")
    return result


def _range(of_rows: list[significance.Differences], decimals: int) -> str:
    """What row dropout changes at many factors, in one."""
    found = [of_row["without_cmr"] for of_row in of_rows]
    lowest, highest = (labels.signed(end(known.statistic.mean for known in found), decimals) for end in (min, max))
    significant = sum(known.significant for known in found)
    return f"{lowest} to {highest} at {len(found)} factors (significant at {significant or 'none'} of them)"


def _at_equal_quality(section: Section) -> list[str]:
    """How the best doped method compares with pruning in values and in bytes."""
    found = {
        size: {known.row.key: known for known in equal_quality.compare(section, size) if known.baseline == "pruned"}
        for size in ("values", "bytes")
    }
    doped = [known for key, known in found["values"].items() if is_doped(key.method)]
    if not doped:
        return []
    best = max(doped, key=lambda known: known.mean)
    said = [f"{_times(found[size][best.row.key])} in {size}" for size in found if best.row.key in found[size]]
    return [
        f"At the same test quality {best.row.label}, the best of the doped methods, is {' and '.join(said)} than Pruned."
    ]


def _times(known: EqualQuality) -> str:
    if known.mean >= 1:
        return f"{known.mean:.2f} times smaller ({known.lowest:.2f}–{known.highest:.2f})"
    return f"{1 / known.mean:.2f} times larger ({1 / known.highest:.2f}–{1 / known.lowest:.2f})"


def _factor(row: TableRow) -> str:
    return labels.asked_of(row.factor, row.unit, " fewer ")


def _seeds(row: TableRow) -> str:
    return f" ({row.n} seed{'s' if row.n > 1 else ''})"
