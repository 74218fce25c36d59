"""results.csv and curves.csv: all results of a folder in two tables, made from the files of the trials.

Only trials that a saved plan asks for are in them. Both are replaced as a whole, so a reader never sees half of one.
"""

from __future__ import annotations

import csv
import io
import time

from filelock import FileLock

from sweeps.files import write_whole
from sweeps.folder import ResultsFolder
from sweeps.plan import saved_plans
from sweeps.rows import Row
from sweeps.thinning import thin

RESULT_COLUMNS = ("study", "cell", "stage", *Row.model_fields)
"""Columns of results.csv; a row a study and trial. ``stage`` is ``tuning`` for a setting that was only tried."""

CURVE_COLUMNS = ("trial_id", "step", "epoch", "sparsity", "cmr_probability", "training_loss", "validation")
"""Columns of curves.csv; a row a validation, also of trials that are not finished."""


class Views:
    """Keeps the tables of a folder up to date and superfluous models out of it, in a small share of the time."""

    def __init__(self, folder: ResultsFolder, share: float = 0.02) -> None:
        self._folder = folder
        self._share = share
        self._due = 0.0

    def refresh(self, now: bool = False) -> None:
        """Make the tables anew if it is time to, or ``now``. Raises ``OSError``."""
        start = time.monotonic()
        if now or start >= self._due:
            write_views(self._folder)
            thin(self._folder)
            self._due = time.monotonic() + max(2.0, (time.monotonic() - start) / self._share)


def write_views(folder: ResultsFolder) -> None:
    """Make results.csv and curves.csv anew. Raises ``OSError``."""
    # Under a lock, or a slower process could replace a newer table by an older one.
    with FileLock(folder.path / "views.lock"):
        plans = saved_plans(folder.studies)
        results = [
            {"study": study, "cell": trial.cell, "stage": trial.stage, **row.model_dump()}
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
