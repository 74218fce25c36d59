"""The folder ``wandb/`` of a study: links to the W&B runs of all its trials, for ``wandb leet`` and ``wandb sync``.

W&B's terminal dashboard shows the runs of one folder, under the names of their folders.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

from doping.files import replacing
from doping.method import Method
from sweeps.trials.trial import Trial

_SETTLE_SECONDS = 0.5


def run_name(trial: Trial) -> str:
    """Short name of a run, which tells it from others in a list: ``doped_kp 20x cmr 0.3 s1``.

    Method, factor, row dropout and seed come first, then all that is not as usual, such as ``length 0.3``.
    """
    method = trial.method
    name = [method.name]
    if method.name != "dense":
        name.append(f"{method.factor:g}x")
    if method.cmr.probability > 0:
        name.append(f"cmr {method.cmr.probability:g}")
    return " ".join([*name, f"s{trial.seed}", *_unusual(method)])


def _unusual(method: Method) -> list[str]:
    fields = method.model_dump(
        mode="json", exclude={"name": True, "factor": True, "cmr": {"probability"}}, exclude_defaults=True
    )
    words = []
    for name, value in fields.items():
        parts = value.items() if isinstance(value, dict) else [(name, value)]
        words += [f"{key} {part:g}" if isinstance(part, float) else f"{key} {part}" for key, part in parts]
    return words


class StudyEntry:
    """The entry of one run in the study's folder: a link, or a copy where the file system has none.

    The dashboard wants ``run-DATE_TIME-NAME/run-NAME.wandb``, which W&B itself calls after the run's id. So a trial has a
    folder with a link of the wanted name to its run's file, and the study's folder a link to that. ``wandb sync`` looks at
    the name that a link leads to, whether a run is offline.
    """

    def __init__(self, folder: Path, trial: Trial, run: Path) -> None:
        """Enter the run in ``run``, a folder ``[offline-]run-DATE_TIME-ID``; it takes the place of older ones of its trial.

        Raises ``OSError``.
        """
        self._file, self._mark = run / f"run-{trial.id}.wandb", trial.id
        self._copy: Path | None = None
        folder.mkdir(parents=True, exist_ok=True)
        # Characters that not all file systems take in a name are left out.
        name = re.sub(r"[^\w.+ -]+", "", run_name(trial))[:100]
        same = list(folder.glob(f"run-*-{name}")) + list(folder.glob(f"run-*-{name} {trial.id}"))
        for entry in [entry for entry in same if self._is_own(entry)]:
            same.remove(entry)
            _remove(entry)
        # Trials of one name, such as settings that tuning tries, are told apart by their ids.
        names = [f"{name} {trial.id}"] if same else [name, f"{name} {trial.id}"]
        prefix = run.name.removesuffix(trial.id)
        shelves = run.parents[1] / "wandb_names"
        shutil.rmtree(shelves, ignore_errors=True)
        for name in names:
            entry = folder / f"{prefix.removeprefix('offline-')}{name}"
            try:
                shelf = self._shelve(shelves / f"{prefix}{name}", name)
                entry.symlink_to(os.path.relpath(shelf, folder), target_is_directory=True)
            except FileExistsError:
                continue
            except (OSError, NotImplementedError):
                entry.mkdir(exist_ok=True)
                (entry / self._mark).touch()
                self._copy = entry / f"run-{name}.wandb"
            return

    def _shelve(self, shelf: Path, name: str) -> Path:
        """A folder with a link of the wanted name to the run's file."""
        shelf.mkdir(parents=True)
        (shelf / self._mark).touch()
        (shelf / f"run-{name}.wandb").symlink_to(os.path.relpath(self._file, shelf))
        return shelf

    def _is_own(self, entry: Path) -> bool:
        """Whether an entry is this trial's, or leads nowhere any more."""
        return not entry.exists() or (entry / self._mark).exists()

    def refresh(self) -> None:
        """Bring a copy up to date; a link is so by itself. Raises ``OSError``."""
        if self._copy and self._file.exists():
            with replacing(self._copy) as draft:
                shutil.copyfile(self._file, draft)

    def close(self) -> None:
        """Bring a copy up to date for good. Raises ``OSError``."""
        if self._copy:
            # W&B's own process writes the last records a moment after the run has ended.
            size = -1
            while size < self._file.stat().st_size:
                size = self._file.stat().st_size
                time.sleep(_SETTLE_SECONDS)
        self.refresh()


def _remove(entry: Path) -> None:
    if entry.is_symlink():
        entry.unlink(missing_ok=True)
    else:
        shutil.rmtree(entry, ignore_errors=True)
