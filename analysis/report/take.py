"""What to take of a study: the best model that fits into so many kilobytes, the smallest and the fastest that are nearly as
good as dense, each with the command that exports it.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis import checkpoint, labels
from analysis.results import LAYERS, MARK, MODEL, WEIGHTS
from analysis.section import Section, TableRow
from doping.families import methods

NARROW = ("int8", "int4")
"""Precisions that an export can round to."""
NEAR = 1.0
"""Percent above the validation of dense that count as nearly as good."""
BUDGETS = 6
"""At most so many sizes are answered, the largest of them."""
EXPORTED_TASKS = ("language_model", "intent")
"""Tasks whose models ``python -m sweeps.export`` can write, see ``sweeps.results.bundles``."""
OF = {
    MODEL: "all weights as deployed",
    LAYERS: "the LSTM's layers as deployed",
    WEIGHTS: "the LSTM's weight matrices and indices alone",
}
"""What the bytes of a section count: the first of these that all its rows have."""


@dataclass(frozen=True)
class Candidate:
    """A setting in one precision, with means over its finished seeds."""

    row: TableRow
    precision: str
    """``int8`` or ``int4`` where an export rounds to that; empty for the precision that it was trained in."""
    bytes: float
    validation: float
    test: float

    @property
    def name(self) -> str:
        """For readers, e.g. ``Doped KP at 20×, rounded to int8``."""
        at = "" if self.row.method == "dense" and self.row.unit != "size" else f" at {self.row.asked}"
        return f"{self.row.label}{at}{f', rounded to {self.precision}' if self.precision else ''}"


@dataclass(frozen=True)
class Take:
    """An answer to what to take."""

    question: str
    answer: str
    command: str
    """Exports it; empty where it cannot be exported, or there is nothing to export."""
    note: str
    """What the command needs, or why there is none; mostly empty."""


def takes(section: Section) -> list[Take]:
    """The answers that the section has the numbers for; everything is chosen by validation, test is what is said."""
    counted = next((name for name in OF if all(math.isfinite(row.sizes[name]) for row in section.rows if row.n)), None)
    found = _candidates(section, counted) if counted else []
    result = [_answer(section, f"Best in {budget / 1000:g} kB", best, counted) for budget, best in best_in(found)]
    dense = section.dense_mean("validation")
    if dense is None or not section.losses_in_percent:
        return result
    near = [known for known in found if known.validation <= dense * (1 + NEAR / 100)]
    if near:
        smallest = min(near, key=lambda known: (known.bytes, known.validation))
        result.append(_answer(section, f"Smallest within {NEAR:g} % of Dense", smallest, counted))
    fast = [known for known in near if not known.precision and math.isfinite(known.row.sizes["latency_us"])]
    if fast:
        fastest = min(fast, key=lambda known: (known.row.sizes["latency_us"], known.validation))
        result.append(_answer(section, f"Fastest within {NEAR:g} % of Dense", fastest, counted))
    elif near:
        folder = _folder(section.rows[0].trials.iloc[0].to_dict())
        measure = f"python -m sweeps.measure --results {folder}"
        said = "No latency was measured; this command adds it, then make the report again."
        result.append(Take(f"Fastest within {NEAR:g} % of Dense", said, measure, _missing_models(section)))
    return result


def best_in(candidates: Sequence[Candidate]) -> list[tuple[float, Candidate]]:
    """The sizes, in bytes, at which the best model changes: powers of two kB, as memories are, ascending."""
    if not candidates:
        return []
    budget = 1000.0
    found: list[tuple[float, Candidate]] = []
    while not found or budget < 2 * max(known.bytes for known in candidates):
        fitting = [known for known in candidates if known.bytes <= budget]
        if fitting:
            best = min(fitting, key=lambda known: (known.validation, known.bytes))
            if not found or found[-1][1] is not best:
                found.append((budget, best))
        budget *= 2
    return found[-BUDGETS:]


def _candidates(section: Section, counted: str) -> list[Candidate]:
    result = []
    for row in section.rows:
        # The mean over the seeds that came to their end says nothing of a setting that diverges.
        if row.count("diverged") or not (row.validation and row.test):
            continue
        result.append(Candidate(row, "", row.sizes[counted], row.validation.mean, row.test.mean))
        if counted == WEIGHTS or row.flat.get("method.values") is not None:
            continue
        for kind in NARROW:
            size = f"{'bytes' if counted == LAYERS else counted}_{kind}"
            narrow = [float(row.finished[name].mean(skipna=False)) for name in (size, f"validation_{kind}", f"test_{kind}")]
            if all(map(math.isfinite, narrow)):
                result.append(Candidate(row, kind, *narrow))
    return result


def _answer(section: Section, question: str, known: Candidate, counted: str | None) -> Take:
    decimals = labels.metric_decimals(section.metric)
    said = f"{labels.fixed(known.test, decimals)} {labels.metric_name(section.metric).lower()} on test"
    dense = section.dense_mean("test")
    reference = section.dense is not None and known.row.trials is section.dense.trials
    if dense is not None and (known.precision or not reference):
        if section.losses_in_percent:
            said += f" ({labels.signed(100 * (known.test / dense - 1), 1)} % against Dense)"
        else:
            said += f" ({labels.signed(known.test - dense, decimals)} against Dense)"
    size = f"{labels.scaled(known.bytes, 'B')}, {OF[counted]}" if counted else ""
    latency = known.row.sizes["latency_us"]
    if math.isfinite(latency) and not known.precision:
        size += f"; {labels.microseconds(latency)} a time step"
    seeds = f"{known.row.n} seed{'s' if known.row.n > 1 else ''}"
    command, note = _export(known)
    return Take(question, f"{known.name}: {said}; {size} ({seeds}).", command, note)


def _export(known: Candidate) -> tuple[str, str]:
    """The command that exports the best seed of a candidate, and what is to be said of it."""
    of_row = known.row.finished.sort_values("validation").to_dict("records")
    task = str(known.row.flat.get("task.name"))
    if task not in EXPORTED_TASKS:
        return "", f"Models of the task {task} cannot be exported whole."
    method = {path.removeprefix("method."): value for path, value in known.row.flat.items() if path.startswith("method.")}
    if method["name"] not in methods():
        return "", f"It cannot be exported: the method {method['name']} is not known here."
    here = [trial for trial in of_row if _has_model(trial)]
    trial = (here or of_row)[0]
    values = f" --values {known.precision}" if known.precision else ""
    source = f"{_folder(trial)}/trials/{trial['trial_id'].partition(MARK)[0]}"
    command = f"python -m sweeps.export --from {source} --out model.lstm{values}"
    if here:
        return command, ""
    return (
        command,
        "Trained models are not in this folder of results: run a trial first, see its settings in the table of all trials.",
    )


def _missing_models(section: Section) -> str:
    trials = [trial for row in section.rows for trial in row.finished.to_dict("records")]
    return "" if any(map(_has_model, trials)) else "It needs the trained models, which are not in this folder of results."


def _has_model(trial: dict[Any, Any]) -> bool:
    return checkpoint.path_of(Path(trial["folder"]), trial["trial_id"]).is_file()


def _folder(trial: dict[Any, Any]) -> str:
    return shlex.quote(Path(trial["folder"]).as_posix())
