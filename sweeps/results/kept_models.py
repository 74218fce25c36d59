"""Which trained models a folder of results keeps: of each cell the one with the best validation among its final trials.

A model is much larger than all else that a trial leaves, so a study of thousands of trials would fill a disk. What stays
is one ``model.ckpt`` for each cell of each plan in the folder; rows, curves and logs of all trials stay.
"""

from __future__ import annotations

from sweeps.planning.plan import saved_plans
from sweeps.results.folder import ResultsFolder
from sweeps.results.trained_models import MODEL


def thin(folder: ResultsFolder) -> None:
    """Delete the models of finished trials that no plan's cell has as its best. Raises ``OSError``."""
    best: dict[tuple[str, str], tuple[float, str]] = {}
    seen = []
    for study, trials in saved_plans(folder.studies).items():
        for trial in trials:
            row = folder.row(trial.id)
            if row is None:
                continue
            seen.append(trial.id)
            if trial.stage == "final" and row.status == "finished" and row.validation is not None:
                candidate = (row.validation, trial.id)
                best[study, trial.cell] = min(best.get((study, trial.cell), candidate), candidate)
    kept = {trial_id for _, trial_id in best.values()}
    for trial_id in seen:
        if trial_id not in kept:
            (folder.of(trial_id) / MODEL).unlink(missing_ok=True)
