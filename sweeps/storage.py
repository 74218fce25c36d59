"""Optuna's view of a study: every result is an entry, with its curve, for dashboards and the importance of settings.

The rows are the truth and the journal is made to agree with them, so it may be deleted, torn or out of date. Diverged
trials have the value inf, failed ones are FAIL, so that the two stay apart.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import create_trial

from lightning_modules.settings import MethodName
from sweeps.folder import ResultsFolder
from sweeps.job import Job
from sweeps.plan import Plan
from sweeps.rows import Row
from sweeps.search import entry, verdict

JOURNAL = "optuna.journal"

# One fixed space for all studies: Optuna refuses a study whose categories change.
_FINAL: dict[str, BaseDistribution] = {
    "method": CategoricalDistribution(get_args(MethodName)),
    "factor": FloatDistribution(1, 1e9),
    "cmr": FloatDistribution(0, 1),
    "seed": IntDistribution(0, 2**63 - 1),
}


class _SystemLock(BaseJournalFileLock):
    """Lock of the operating system, freed when its holder is killed; Optuna's own then stalls everyone for 30 s."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def open_journal(folder: Path, notice: Callable[[str], None]) -> BaseStorage:
    """Open the journal in a folder of results; a torn end is cut off, an unreadable one is put aside.

    Raises ``OSError`` if the folder cannot be written to.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path, lock = folder / JOURNAL, folder / "optuna.lock"
    with FileLock(lock):
        _cut_torn_line(path)
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_SystemLock(lock)))
    except OSError:
        raise
    except Exception as error:  # whatever Optuna makes of garbage
        aside = path.with_name(f"{JOURNAL}.unreadable-{time.time_ns()}")
        path.rename(aside)
        notice(f"{path} is unreadable ({type(error).__name__}): put aside as {aside.name}, made anew from the results")
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_SystemLock(lock)))


def _cut_torn_line(path: Path) -> None:
    """Cut a last line without its end, left by a killed writer: what is appended to it would spoil the journal."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        position = end
        while position > 0:
            start = max(0, position - 4096)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                position = start + newline + 1
                break
            position = start
        if position < end:
            file.truncate(position)


class Ledger:
    """The results of a plan in Optuna's storage: a study for all final trials, and one for each tuned cell.

    An entry is added, whole, when its row is there: nothing in the storage can be left half-done by a killed process.
    """

    def __init__(self, storage: BaseStorage, plan: Plan, folder: ResultsFolder) -> None:
        self._storage, self._plan, self._folder = storage, plan, folder
        self._spaces = {cell.name: cell.space.searched for cell in plan.cells}
        self._studies: dict[str, optuna.Study] = {}
        # Keeps two processes from adding the same entries.
        self._lock = FileLock(folder.path / "plan.lock")

    def agree(self, jobs: Iterable[Job], rows: Mapping[str, Row]) -> None:
        """Add what rows have and the storage lacks: results of processes that were killed, or of another storage."""
        by_study: dict[str, list[Job]] = {self._plan.study: []}
        for job in jobs:
            by_study.setdefault(self._name(job), []).append(job)
        with self._lock:
            for name, its_jobs in by_study.items():
                entries = self._study(name).get_trials(deepcopy=False)
                known = {e.user_attrs.get("trial_id"): e for e in entries}
                for job in its_jobs:
                    row, found = rows.get(job.trial.id), known.get(job.trial.id)
                    if row and (found is None or (found.state, found.value) != verdict(row)):
                        self.tell(job, row)

    def tell(self, job: Job, row: Row) -> None:
        """Add the result of a job."""
        trial, attributes = job.trial, {"trial_id": job.trial.id, "label": job.trial.label, "cell": job.cell}
        curve = {int(point["step"]): float(point["validation"]) for point in self._folder.curve(trial.id)}
        if job.stage == "tuning":
            added = entry(self._spaces[job.cell], job.values, row, curve, attributes | {"seed": trial.seed})
        else:
            method = trial.method
            values = {"method": method.name, "factor": method.factor, "cmr": method.cmr.probability, "seed": trial.seed}
            state, value = verdict(row)
            added = create_trial(
                state=state,
                value=value,
                params=values,
                distributions=_FINAL,
                intermediate_values=curve,
                user_attrs=attributes,
            )
        end = datetime.now(UTC).replace(tzinfo=None)
        added.datetime_start, added.datetime_complete = end - timedelta(seconds=row.seconds), end
        self._study(self._name(job)).add_trial(added)

    def _name(self, job: Job) -> str:
        return self._plan.study if job.stage == "final" else f"{self._plan.study}: {job.cell}"

    def _study(self, name: str) -> optuna.Study:
        if name not in self._studies:
            self._studies[name] = optuna.create_study(
                storage=self._storage, study_name=name, direction="minimize", load_if_exists=True
            )
        return self._studies[name]
