"""How to read this study's own degradation curves: what the chart of the course shows, in its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import labels
from analysis.figures.annealing import course
from analysis.section import Section, TableRow
from doping.families import is_doped


def reading(section: Section, curves: pd.DataFrame) -> list[str]:
    """Three sentences on a method with row dropout off, and if there is one, on the same with it on.

    They are of the highest factor, which the chart shows first: where the curve turns, what the end has lost, and which
    part carries the model. The doped method with the best validation, or without one pruning.
    """
    sparse = [row for row in section.rows if row.sparse and row.validation]
    if not sparse:
        return []
    at_last = [row for row in sparse if (row.unit, row.factor) == (sparse[-1].unit, sparse[-1].factor)]
    doped = [row for row in at_last if is_doped(row.method)]
    off = _best([row for row in doped or at_last if not row.cmr])
    on = _best([row for row in doped if row.cmr and (off is None or row.method == off.method)])
    return [" ".join(said) for row in (off, on) if row and (said := _sentences(section, row, curves))]


def _best(rows: Sequence[TableRow]) -> TableRow | None:
    return min(rows, key=lambda row: row.validation.mean if row.validation else 0.0, default=None)


def _sentences(section: Section, row: TableRow, curves: pd.DataFrame) -> list[str]:
    points = course(row, curves, "validation")
    if points is None or row.validation is None:
        return []
    decimals = labels.metric_decimals(section.metric)
    lowest = points.iloc[int(points["mean"].argmin())]
    after = points[points["sparsity"] > lowest["sparsity"]]
    start = f"{row.label} at {row.asked}: its validation falls to {labels.fixed(lowest['mean'], decimals)}"
    at = f"at a sparsity of {_percent(lowest['sparsity'])}"
    if after.empty:
        turn = f"{start} {at}, the last of the annealing, and never rises: no co-matrix adaptation is to be seen."
    else:
        top = after.iloc[int(after["mean"].argmax())]
        rise = labels.fixed(top["mean"] - lowest["mean"], decimals)
        within = row.n > 1 and top["mean"] - lowest["mean"] <= max(top["high"] - top["low"], lowest["high"] - lowest["low"])
        cause = "values of S go on which M has leaned" if is_doped(row.method) else "values go that the others lean on"
        turn = f"{start} {at} and then rises by {rise} until {_percent(top['sparsity'])}: {cause}."
        if within:
            verdict = "no more than its seeds differ: no co-matrix adaptation is to be seen"
            turn = f"{start} {at} and then rises by {rise}, {verdict}."
    lost = row.validation.mean - float(lowest["mean"])
    end = f"It ends with {labels.fixed(row.validation.mean, decimals)}, {labels.fixed(abs(lost), decimals)}"
    end += (
        " above that lowest point: that is what pruning cost." if lost > 0 else " below it: what came after made up for it."
    )
    return [turn, end, *_carried(row, curves, decimals)]


def _carried(row: TableRow, curves: pd.DataFrame, decimals: int) -> list[str]:
    if not is_doped(row.method):
        return []
    names = ("energy_sparse", "validation_without_sparse", "validation_without_structured")
    last = {name: float(points["mean"].iloc[-1]) for name in names if (points := course(row, curves, name)) is not None}
    said = []
    if "energy_sparse" in last:
        said.append(f"S x carries {_percent(last['energy_sparse'])} of the energy at the end of the annealing")
    if {*names[1:]} <= last.keys():
        without_s, without_m = (labels.fixed(last[name], decimals) for name in names[1:])
        part = "S" if last[names[1]] > last[names[2]] else "M"
        off = f"validation is {without_s} with S switched off and {without_m} with M off"
        said.append(f"on the monitored batch {off}, so {part} does more of the work")
    if not said:
        return ["Which part carries the model is not in the curves: energies and parts switched off were not measured."]
    text = "; ".join(said)
    return [f"{text[0].upper()}{text[1:]}."]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
