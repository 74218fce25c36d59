"""results.csv and curves.csv: all results of a folder in two tables, made from the files of the trials.

Only trials that a saved plan asks for are in them. Both are replaced as a whole, so a reader never sees half of one.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from typing import Any

from filelock import FileLock

from sweeps.planning.plan import saved_plans
from sweeps.results.files import write_whole
from sweeps.results.folder import ResultsFolder
from sweeps.results.kept_models import thin
from sweeps.results.rows import COLUMNS, Row

RESULT_COLUMNS = ("study", "cell", "stage", *COLUMNS)
"""Columns of results.csv; one row per study and trial. ``stage`` is ``tuning`` for a setting that was only tried."""

CURVE_COLUMNS = (
    *("trial_id", "step", "epoch", "sparsity", "cmr_probability", "training_loss", "validation", "values", "bytes"),
    *("energy_structured", "energy_sparse", "energy_cross"),
    *("validation_slice", "validation_without_sparse", "validation_without_structured"),
    *("gradient_structured", "gradient_sparse"),
)
"""Columns of curves.csv; a row a validation, also of trials that are not finished. What they mean is said in
``lightning_modules.callbacks.curve``; those that a method does not have are empty."""


class Views:
    """Keeps the tables of a folder up to date and superfluous models out of it, in a small share of the time."""

    def __init__(self, folder: ResultsFolder, save: Callable[[], None], share: float = 0.02) -> None:
        """``save`` writes the plan, which says what is in the tables."""
        self._folder = folder
        self._save = save
        self._share = share
        self._due = 0.0

    def refresh(self) -> None:
        """Make the tables anew if it is time to. Raises ``OSError``."""
        start = time.monotonic()
        if start >= self._due:
            self._save()
            write_views(self._folder)
            thin(self._folder)
            self._due = time.monotonic() + max(2.0, (time.monotonic() - start) / self._share)


def _columns(row: Row) -> dict[str, Any]:
    """Fields of a row as the table has them."""
    columns = row.model_dump(include=set(COLUMNS))
    if row.measures:
        columns["measures"] = json.dumps(row.measures)
    return columns


def write_views(folder: ResultsFolder) -> None:
    """Make results.csv and curves.csv anew. Raises ``OSError``."""
    # Under a lock, or a slower process could replace a newer table by an older one.
    with FileLock(folder.path / "views.lock"):
        plans = saved_plans(folder.studies)
        results = [
            {"study": study, "cell": trial.cell, "stage": trial.stage, **_columns(row)}
            for study, trials in plans.items()
            for trial in trials
            if (row := folder.row(trial.id))
        ]
        text = io.StringIO()
        table = csv.DictWriter(text, RESULT_COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(results)
        write_whole(folder.path / "results.csv", text.getvalue())
        ids = dict.fromkeys(trial.id for trials in plans.values() for trial in trials)
        lines = [
            ",".join([trial_id, *(line.get(column) or "" for column in CURVE_COLUMNS[1:])])
            for trial_id in ids
            for line in folder.curve(trial_id)
        ]
        write_whole(folder.path / "curves.csv", "\n".join([",".join(CURVE_COLUMNS), *lines, ""]))
