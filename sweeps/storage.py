"""Optuna's view of a study: every planned trial is enqueued once and told its validation.

The rows are the truth and the journal is made to agree with them, so it may be deleted, torn or out of date. Diverged
trials are told inf, failed ones are FAIL, so that the two stay apart.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from lightning_modules.settings import MethodName
from sweeps.rows import Row
from sweeps.trial import Trial

JOURNAL = "optuna.journal"

# One fixed space for all studies: Optuna refuses a study whose categories change.
_SPACE: dict[str, BaseDistribution] = {
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
    """A study in Optuna's storage, kept in agreement with the rows."""

    def __init__(self, storage: BaseStorage, study: str, lock: Path) -> None:
        """``lock``: file that keeps two processes from enqueuing the same trials."""
        self._storage = storage
        self._lock = FileLock(lock)
        with self._lock:
            self._study = optuna.create_study(storage=storage, study_name=study, direction="minimize", load_if_exists=True)
        self._entries: dict[str, FrozenTrial] = {}

    def agree(self, trials: Sequence[Trial], rows: Mapping[str, Row], is_running: Callable[[str], bool]) -> None:
        """Enqueue trials that are new, tell those that have a row, and reap those that a killed process left running."""
        planned = {trial.id: trial for trial in trials}
        with self._lock:
            self._load()
            for trial_id, entry in self._entries.items():
                if entry.state.is_finished() or trial_id in rows:
                    continue
                if trial_id not in planned:
                    self._finish(entry, None)
                elif entry.state == TrialState.RUNNING and not is_running(trial_id):
                    self._storage.set_trial_state_values(entry._trial_id, TrialState.WAITING)
            for trial in trials:
                row, found = rows.get(trial.id), self._entries.get(trial.id)
                over = found is None or found.state.is_finished()
                if row is None and over:
                    self._add(trial, TrialState.WAITING)
                elif row is not None and found is not None and not over:
                    self._finish(found, row)
                elif row is not None and (found is None or not _agrees(found, row)):
                    self._add(trial, _state(row), _value(row))
            self._load()

    def start(self, trial: Trial) -> None:
        """Mark a trial as running. Nothing happens if another process did."""
        entry = self._entries[trial.id]
        try:
            self._storage.set_trial_state_values(entry._trial_id, TrialState.RUNNING)
        except optuna.exceptions.UpdateFinishedTrialError:
            return  # another process has told it; the row says so too

    def tell(self, trial: Trial, row: Row) -> None:
        """Tell the result of a trial. Nothing happens if another process did."""
        self._finish(self._entries[trial.id], row)

    def _finish(self, entry: FrozenTrial, row: Row | None) -> None:
        if self._storage.get_trial(entry._trial_id).state == TrialState.WAITING:
            self._storage.set_trial_state_values(entry._trial_id, TrialState.RUNNING)
        state = _state(row) if row else TrialState.FAIL
        self._study.tell(entry.number, _value(row) if row else None, state, skip_if_finished=True)

    def _add(self, trial: Trial, state: TrialState, value: float | None = None) -> None:
        method = trial.method
        params = {"method": method.name, "factor": method.factor, "cmr": method.cmr.probability, "seed": trial.seed}
        attributes = {"trial_id": trial.id, "label": trial.label}
        self._study.add_trial(
            create_trial(state=state, value=value, params=params, distributions=_SPACE, user_attrs=attributes)
        )

    def _load(self) -> None:
        """The latest entry of each trial by its id; a trial that was run again after it failed has several."""
        entries = self._study.get_trials(deepcopy=False)
        self._entries = {entry.user_attrs["trial_id"]: entry for entry in entries if "trial_id" in entry.user_attrs}


def _state(row: Row) -> TrialState:
    return TrialState.FAIL if row.status == "failed" else TrialState.COMPLETE


def _value(row: Row) -> float | None:
    return None if row.status == "failed" else math.inf if row.status == "diverged" else row.validation


def _agrees(entry: FrozenTrial, row: Row) -> bool:
    return entry.state == _state(row) and (entry.value if entry.state == TrialState.COMPLETE else None) == _value(row)
