"""The folder ``wandb/`` of a study: links to the W&B runs of all its trials, for ``wandb leet`` and ``wandb sync``.

W&B's terminal dashboard shows the runs of one folder, under the names of their folders, which must begin with ``run-``.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from doping.method import Method
from sweeps.trials.trial import Trial


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


class StudyLink:
    """The entry of one run in the study's folder: a link, or a copy where the file system has none."""

    def __init__(self, folder: Path, trial: Trial, run: Path) -> None:
        """Enter the folder ``run`` of a trial's run; it takes the place of an older one. Raises ``OSError``."""
        self._run, self._log = run, f"run-{trial.id}.wandb"
        # Characters that not all file systems take in a name are left out.
        name = re.sub(r"[^\w.+ -]+", "", f"run-{run_name(trial)}")[:120]
        folder.mkdir(parents=True, exist_ok=True)
        # Trials of one name, such as settings that tuning tries, are told apart by their ids.
        self._entry = next(entry for entry in (folder / name, folder / f"{name} {trial.id}") if self._take(entry))

    def _take(self, entry: Path) -> bool:
        """Make an entry; False where it is another trial's."""
        if entry.is_symlink() and self._is_free(entry):
            entry.unlink(missing_ok=True)
        try:
            _link(entry, os.path.relpath(self._run, entry.parent))
        except FileExistsError:
            return self._is_free(entry)
        except (OSError, NotImplementedError):
            entry.mkdir(exist_ok=True)
        return True

    def _is_free(self, entry: Path) -> bool:
        """Whether an entry is this trial's, or leads nowhere any more."""
        return not entry.exists() or (entry / self._log).exists()

    def refresh(self) -> None:
        """Bring a copy up to date; a link is so by itself. Raises ``OSError``."""
        log = self._run / self._log
        if not self._entry.is_symlink() and log.exists():
            draft = self._entry / f".{self._log}"
            shutil.copyfile(log, draft)
            draft.replace(self._entry / self._log)


def _link(entry: Path, target: str) -> None:
    entry.symlink_to(target, target_is_directory=True)
