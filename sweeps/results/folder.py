"""A folder of results: where everything lies, and what is finished in it."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from doping.errors import UserError
from doping.files import sync_folder
from sweeps.results.files import FolderError, make_folder, shown, trouble, try_lock, write_whole
from sweeps.results.rows import ROW, Row, TornRow, read_row
from sweeps.trials.job import Job
from sweeps.trials.trial import Trial


class ResultsFolder:
    """Results of one or more studies; several processes may use it at once.

    ``trials/<id>/``   row.json (the result), curve.csv, checkpoint.ckpt, trial.json, clock.json, log.txt, lock
    ``studies/``       the plan of each study and preset
    ``results.csv``, ``curves.csv``, ``optuna.journal``   views of the above, made anew when they are lost
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.notices: list[str] = []
        """What the user should know of the folder's state, a line each."""
        self._rows: dict[str, Row] = {}

    def prepare(self) -> None:
        """Make the folder, and make sure that it can be written to.

        Raises ``FolderError`` if it cannot, ``UserError`` if it is no folder of results.
        """
        if (self.path / "results.csv").exists() and not self.trials.exists():
            raise UserError(
                f"{shown(self.path)} holds a results.csv but no trials, so no sweep made it: give another folder with --out"
            )
        try:
            for folder in (self.trials, self.studies):
                make_folder(folder)
                write_whole(folder / ".writable", "")
                (folder / ".writable").unlink()
            self.keep_release_0_3_out()
        except OSError as error:
            raise trouble(error, self.path) or FolderError(
                f"cannot make the folder {shown(self.path)}: {error.strerror}; give another with --out"
            ) from error

    def keep_release_0_3_out(self) -> None:
        """Release 0.3 takes rows of today for torn ones, and would train their trials again.

        It first writes a file ``studies/.probe``; where a folder of that name is, it says so in one line and ends.
        """
        place = self.studies / ".probe"
        if not (place / "README").exists():
            place.mkdir(parents=True, exist_ok=True)
            write_whole(place / "README", "Keeps release 0.3 out, which would train again what it cannot read.\n")

    @property
    def trials(self) -> Path:
        """Folder of the trials."""
        return self.path / "trials"

    @property
    def studies(self) -> Path:
        """Folder of the plans."""
        return self.path / "studies"

    def of(self, trial_id: str) -> Path:
        """Folder of one trial."""
        return self.trials / trial_id

    def row(self, trial_id: str) -> Row | None:
        """Row of a trial, None if it has none yet. A torn row counts as none, and is noticed."""
        if trial_id not in self._rows:
            try:
                row = read_row(self.of(trial_id))
            except TornRow as torn:
                line = f"{torn}: the trial is run again"
                if line not in self.notices:
                    self.notices.append(line)
                return None
            if row is None:
                return None
            if row.status == "stopped":  # not for good: another study may want it run to its end
                return row
            self._rows[trial_id] = row
        return self._rows[trial_id]

    def rows(self, trial_ids: Iterable[str]) -> dict[str, Row]:
        """Rows of those trials that have one, by id, in the order given."""
        return {trial_id: row for trial_id in trial_ids if (row := self.row(trial_id))}

    def results(self, jobs: Iterable[Job]) -> dict[str, Row]:
        """Rows that satisfy their jobs, by the ids of their trials."""
        found = {}
        for job in jobs:
            row = self.row(job.trial.id)
            if row and job.satisfied_by(row):
                found[job.trial.id] = row
            else:
                self._rows.pop(job.trial.id, None)
        return found

    def curve(self, trial_id: str) -> list[dict[str, str]]:
        """The validations of a trial so far, by column; none if it has not begun, and only those lines that are whole.

        ``step``, ``epoch`` and ``validation`` of each are numbers.
        """
        try:
            text = (self.of(trial_id) / "curve.csv").read_text(encoding="utf-8", errors="replace")
            # What follows the last line break is empty, or being written.
            lines = list(csv.DictReader(text.rpartition("\n")[0].replace("\0", "").splitlines()))
        except (OSError, csv.Error):
            return []
        return [{key: value or "" for key, value in line.items() if key} for line in lines if _is_point(line)]

    def forget(self, trial_id: str) -> None:
        """Delete the row of a trial, so that the trial is run again."""
        self._rows.pop(trial_id, None)
        (self.of(trial_id) / ROW).unlink(missing_ok=True)

    def claim(self, trial: Trial) -> FileLock | None:
        """Lock a trial for this process, or None if another process has it. The lock ends with the process."""
        folder = self.of(trial.id)
        folder.mkdir(exist_ok=True)  # not what is above it: somebody may have deleted the results
        sync_folder(self.trials)
        return try_lock(folder / "lock")

    def is_claimed(self, trial_id: str) -> bool:
        """Whether a process is running the trial."""
        if not (self.of(trial_id) / "lock").exists():
            return False
        lock = try_lock(self.of(trial_id) / "lock")
        if lock is None:
            return True
        lock.release()
        return False


def _is_point(line: dict[str, str]) -> bool:
    try:
        int(line["step"]), float(line["epoch"]), float(line["validation"])
    except (KeyError, TypeError, ValueError):
        return False
    return True
