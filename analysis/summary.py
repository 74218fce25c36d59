"""Groups the rows of results: a section a study and task, in it a row a setting, with statistics over seeds."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from analysis import folders, labels, variants
from analysis.results import DEPLOYED, SIZE_COLUMNS, AnalysisError
from analysis.section import Section, TableRow
from analysis.stats.statistic import Statistic

if TYPE_CHECKING:
    from analysis.results import Results


def summarize(results: Results) -> list[Section]:
    """The sections of ``results``, by study and task in order of appearance; of the final trials alone.

    Tasks with the same label but other data or another model are sections of their own. Raises ``AnalysisError`` where
    a section has several metrics or no finished trial, or where all trials are tuning.
    """
    rows = results.final.copy()
    if rows.empty:
        raise AnalysisError(f"{results.folder} holds {len(results.tuning)} trials, all of them tuning: no final one yet")
    budgets = results.tuning.groupby(["study", "folder", "cell"]).size().to_dict()
    rows["tuning"] = [budgets.get(cell, 0) for cell in zip(rows["study"], rows["folder"], rows["cell"], strict=True)]
    tuned = _tuned(results.tuning)
    flats = [
        {path: value for path, value in _flat(text).items() if path not in tuned.get(study, ())}
        for study, text in zip(rows["study"], rows["settings"], strict=True)
    ]
    rows["flat"] = pd.Series(flats, index=rows.index, dtype=object)
    rows["scope"] = [
        repr((data_hash, sorted(variants.task_settings(flat).items())))
        for data_hash, flat in zip(rows["data_hash"], rows["flat"], strict=True)
    ]
    sections = []
    for _, of_task in rows.groupby(["study", "task"], sort=False):
        scopes = [scope for _, scope in of_task.groupby("scope", sort=False)]
        differing = variants.varying([[variants.task_settings(scope["flat"].iloc[0]) for scope in scopes]])
        for scope in scopes:
            setting = variants.describe(scope["flat"].iloc[0], differing)
            if of_task["data_hash"].nunique() > 1:
                setting = ", ".join(filter(None, (setting, f"data {scope['data_hash'].iloc[0][:8]}")))
            sections.append(_section(scope, setting))
    return sections


def _flat(settings: str) -> variants.Flat:
    return variants.flatten(json.loads(settings))


def _tuned(tuning: pd.DataFrame) -> dict[str, set[str]]:
    """The settings that each study searched: those that vary within its cells. They follow from a cell, and name none."""
    return {
        str(study): set(variants.varying([list(map(_flat, cell["settings"])) for _, cell in of_study.groupby("cell")]))
        for study, of_study in tuning.groupby("study")
    }


def _section(trials: pd.DataFrame, setting: str) -> Section:
    first = trials.iloc[0]
    where = f"task {first['task']} of study {first['study']}"
    # A trial that failed early has no metric.
    metrics = sorted(set(trials["metric"]) - {""})
    if len(metrics) > 1:
        raise AnalysisError(f"{where} has several metrics ({', '.join(metrics)}); expected one: compare them apart")
    rows = _rows(trials)
    dense = [row for row in rows if row.method == "dense" and row.validation]
    dense = [row for row in dense if row.whole] or dense
    if not any(row.n for row in rows):
        raise AnalysisError(f"{where} has no finished trial: {_statuses(trials)}; see log.txt in the folders of its trials")
    reference = min(dense, key=_mean_validation, default=None)
    section = Section(
        first["study"],
        first["task"],
        setting,
        variants.task_settings(first["flat"]),
        metrics[0],
        _with_best(rows),
        reference,
    )
    if reference is None:
        return section
    rows = [_with_losses(row, reference, section.losses_in_percent) for row in section.rows]
    return replace(section, rows=rows, dense=_with_losses(reference, reference, section.losses_in_percent))


def _statuses(trials: pd.DataFrame) -> str:
    return ", ".join(f"{count} {status}" for status, count in trials["status"].value_counts().sort_index().items())


def _rows(trials: pd.DataFrame) -> list[TableRow]:
    trials = trials.assign(cmr_on=trials["cmr"] > 0)
    # In a study of several precisions and widths each row says its own, also where its method has only one.
    always = [path for path in variants.SAID if any(flat.get(path) is not None for flat in trials["flat"])]
    keyed = []
    for _, of_method in trials.groupby(["method", "cmr_on"]):
        cells = [list(cell["flat"]) for _, cell in of_method.groupby(["cf_unit", "cf_requested"])]
        paths = [*(path for path in variants.varying(cells) if path not in always), *always]
        of_method = of_method.assign(variant=[variants.describe(flat, paths) for flat in of_method["flat"]])
        # Cells that differ only in what was searched are told apart by the rest of their name.
        clashes = of_method.groupby(["cf_unit", "cf_requested", "variant"])["cell"].transform("nunique") > 1
        telling = of_method["cell"].str.partition(", ")[2]
        of_method["variant"] = [
            ", ".join(filter(None, (variant, more if clash else "")))
            for variant, more, clash in zip(of_method["variant"], telling, clashes, strict=True)
        ]
        # The same settings in two folders were trained with other code, or elsewhere: not seeds of one setting.
        if (of_method.groupby(["cf_unit", "cf_requested", "variant"])["folder"].nunique() > 1).any():
            of_method["variant"] = [
                ", ".join(filter(None, (variant, f"in {folders.name(folder)}")))
                for variant, folder in zip(of_method["variant"], of_method["folder"], strict=True)
            ]
        for _, group in of_method.groupby(["cf_unit", "cf_requested", "variant"]):
            row = _row(group)
            order = (
                row.method != "dense",
                row.unit != "values",
                row.unit,
                row.factor,
                labels.method_rank(row.method, row.cmr),
            )
            keyed.append(((order, variants.sort_key(group["flat"].iloc[0], paths)), row))
    return [row for _, row in sorted(keyed, key=lambda pair: pair[0])]


def _row(group: pd.DataFrame) -> TableRow:
    first = group.iloc[0]
    finished = group[group["status"] == "finished"]
    return TableRow(
        first["method"],
        bool(first["cmr_on"]),
        float(first["cmr"]),
        first["variant"],
        first["cf_unit"],
        float(first["cf_requested"]),
        {name: float(finished[name].mean()) for name in (*SIZE_COLUMNS, *DEPLOYED)},
        group,
        Statistic.of(finished["validation"]),
        Statistic.of(finished["test"]),
        _measures(finished),
        tuning=int(group["tuning"].max()),
    )


def _measures(finished: pd.DataFrame) -> dict[str, Statistic]:
    """Statistics of the qualities that all finished trials have; texts among them say how one was measured."""
    of_trials = [json.loads(text or "{}") for text in finished["measures"]]
    numbers = [name for name, value in (of_trials[0] if of_trials else {}).items() if not isinstance(value, str)]
    names = [name for name in numbers if all(name in known for known in of_trials)]
    return {name: known for name in names if (known := Statistic.of(of_trial[name] for of_trial in of_trials))}


def _with_losses(row: TableRow, dense: TableRow, in_percent: bool) -> TableRow:
    if not (row.validation and row.test and dense.validation and dense.test):
        return row
    loss = Statistic.relative_to if in_percent else Statistic.above
    validation_loss = loss(row.validation, dense.validation.mean)
    return replace(row, validation_loss=validation_loss, test_loss=loss(row.test, dense.test.mean))


def _with_best(rows: list[TableRow]) -> list[TableRow]:
    """Mark the best row of each factor that several rows share; one with a diverged seed has no finite mean."""
    best = []
    for row in rows:
        rivals = [other for other in rows if (other.unit, other.factor) == (row.unit, row.factor)]
        fair = [other for other in rivals if other.validation and not other.count("diverged")]
        best.append(not row.whole and len(rivals) > 1 and bool(fair) and row is min(fair, key=_mean_validation))
    return [replace(row, best=flag) for row, flag in zip(rows, best, strict=True)]


def _mean_validation(row: TableRow) -> float:
    return row.validation.mean if row.validation else math.inf
