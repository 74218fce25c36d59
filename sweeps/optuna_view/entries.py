"""Optuna's view of a study: every result is an entry, with its curve, for dashboards and the importance of settings.

The rows are the truth and the journal is made to agree with them, so it may be deleted, torn or out of date. Diverged
trials have the value inf, failed ones are FAIL, so that the two stay apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from doping.families import methods
from sweeps.planning.plan import StudyPlan
from sweeps.planning.search import directions, entry, optuna_result
from sweeps.results.folder import ResultsFolder
from sweeps.results.rows import Row
from sweeps.study.study_file import Objective
from sweeps.trials.job import Job

_METHODS = CategoricalDistribution(methods())
# One fixed space for all studies, beside the methods.
_FINAL: dict[str, BaseDistribution] = {
    "factor": FloatDistribution(1, 1e9),
    "cmr": FloatDistribution(0, 1),
    "seed": IntDistribution(0, 2**63 - 1),
}


def _ending(found: FrozenTrial) -> tuple[TrialState, list[float] | None]:
    return found.state, found.values


class OptunaEntries:
    """The results of a plan in Optuna's storage: a study for all final trials, and one for each tuned cell.

    An entry is added, whole, when its row is there: nothing in the storage can be left half-done by a killed process.
    """

    def __init__(self, storage: BaseStorage, study: str, plan: StudyPlan, folder: ResultsFolder) -> None:
        """``study``: name of the study in the storage."""
        self._storage, self._name_of_all, self._folder = storage, study, folder
        self._spaces = {cell.name: cell.space.searched for cell in plan.cells}
        self._tuned_by: Objective = plan.tuning.objective if plan.tuning else "quality"
        self._studies: dict[str, optuna.Study] = {}
        self._methods: dict[str, CategoricalDistribution] = {}
        # Keeps two processes from adding the same entries.
        self._lock = FileLock(folder.path / "plan.lock")

    def agree(self, jobs: Iterable[Job], rows: Mapping[str, Row]) -> None:
        """Add what rows have and the storage lacks: results of processes that were killed, or of another storage."""
        by_study: dict[str, list[Job]] = {self._name_of_all: []}
        for job in jobs:
            by_study.setdefault(self._name(job), []).append(job)
        with self._lock:
            for name, its_jobs in by_study.items():
                objective = self._objective(its_jobs[0]) if its_jobs else "quality"
                entries = self._study(name, objective).get_trials(deepcopy=False)
                known = {e.user_attrs.get("trial_id"): e for e in entries}
                for job in its_jobs:
                    row, found = rows.get(job.trial.id), known.get(job.trial.id)
                    if row and (found is None or _ending(found) != optuna_result(row, self._objective(job))):
                        self._add(job, row)

    def tell(self, job: Job, row: Row) -> None:
        """Add the result of a job, unless another process has added it."""
        with self._lock:
            study = self._study(self._name(job), self._objective(job))
            ending = optuna_result(row, self._objective(job))
            same = (e for e in study.get_trials(deepcopy=False) if e.user_attrs.get("trial_id") == job.trial.id)
            if all(_ending(entry) != ending for entry in same):
                self._add(job, row)

    def _add(self, job: Job, row: Row) -> None:
        trial = job.trial
        attributes: dict[str, Any] = {"trial_id": trial.id, "label": trial.label, "cell": job.cell}
        curve = {int(point["step"]): float(point["validation"]) for point in self._folder.curve(trial.id)}
        if job.stage == "tuning":
            attributes["seed"] = trial.seed
            added = entry(self._spaces[job.cell], job.values, row, curve, attributes, self._objective(job))
        else:
            method = trial.method
            values = {"method": method.name, "factor": method.factor, "cmr": method.cmr.probability, "seed": trial.seed}
            known = self._known_methods(self._name(job))
            space = _FINAL | {"method": known}
            if method.name not in known.choices:
                del values["method"], space["method"]
            state, values_of_row = optuna_result(row)
            added = create_trial(
                state=state,
                values=values_of_row,
                params=values,
                distributions=space,
                intermediate_values=curve,
                user_attrs=attributes,
            )
        end = datetime.now(UTC).replace(tzinfo=None)
        added.datetime_start, added.datetime_complete = end - timedelta(seconds=row.seconds), end
        self._study(self._name(job), self._objective(job)).add_trial(added)

    def _known_methods(self, name: str) -> CategoricalDistribution:
        """Those that the study began with: Optuna refuses a study whose categories change."""
        if name not in self._methods:
            entries = self._study(name, "quality").get_trials(deepcopy=False)
            known = (entry.distributions["method"] for entry in entries if "method" in entry.distributions)
            self._methods[name] = next((k for k in known if isinstance(k, CategoricalDistribution)), _METHODS)
        return self._methods[name]

    def _name(self, job: Job) -> str:
        if job.stage == "final":
            return self._name_of_all
        return f"{self._name_of_all}: {job.cell}" + (", by latency" if self._objective(job) == "latency" else "")

    def _objective(self, job: Job) -> Objective:
        return self._tuned_by if job.stage == "tuning" else "quality"

    def _study(self, name: str, objective: Objective) -> optuna.Study:
        if name not in self._studies:
            self._studies[name] = optuna.create_study(
                storage=self._storage, study_name=name, directions=directions(objective), load_if_exists=True
            )
        return self._studies[name]
