"""Trained models in folders of results: which one is meant, and whether it is whole."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from doping.errors import UserError
from sweeps.results.files import shown
from sweeps.results.rows import Row, TornRow, read_row
from sweeps.trials.trial import Trial

MODEL = "model.ckpt"
"""The trained model, in the folder of its trial."""


class NoModel(UserError):  # noqa: N818 - there is none
    """There is no trained model of the kind asked for; the message is one line."""


def best_trial(folder: Path, method: str | None, factor: float | None) -> Path:
    """Folder of the trial with the best validation in a folder of results, among those of a method and factor.

    A study keeps the models of its best final trials only, so trials that still have theirs come first.

    Raises:
        NoModel: if there is none, or if it is not said which of several methods and factors is meant.

    """
    rows = [row for path in sorted((folder / "trials").iterdir()) if path.is_dir() and (row := _row(path))]
    finished = [row for row in rows if row.status == "finished"]
    chosen = [row for row in finished if method in (None, row.method) and factor in (None, row.cf_requested)]
    kinds = sorted({(row.method, row.cf_requested) for row in chosen or finished})
    listed = ", ".join(f"{name} {cf:g}x" for name, cf in kinds)
    if not chosen:
        asked = " ".join([method or "any method", f"{factor:g}x" if factor else ""]).strip()
        raise NoModel(f"{shown(folder)} has no finished trial of {asked}; it has {listed or 'none at all'}")
    if len(kinds) > 1:
        raise NoModel(f"{shown(folder)} has several kinds of models ({listed}); say which with --method and --factor")
    kept = [row for row in chosen if (folder / "trials" / row.trial_id / MODEL).exists()]
    best = min(kept or chosen, key=lambda row: float("inf") if row.validation is None else row.validation)
    return folder / "trials" / best.trial_id


def finished_trial(folder: Path) -> tuple[Trial, Row]:
    """The trial of a folder, and its row. Raises ``NoModel`` if it did not finish or its model is gone."""
    trial, row = _trial(folder), _row(folder)
    if row is None:
        raise NoModel(f"the trial in {shown(folder)} is not finished; run its study to the end")
    if row.status != "finished":
        raise NoModel(f"the trial in {shown(folder)} has {row.status}; take another one")
    if not (folder / MODEL).exists():
        raise NoModel(
            f"{shown(folder)} has no {MODEL}: the trained model was deleted; take another trial, or delete row.json "
            "there and run the study again"
        )
    return trial, row


def _trial(folder: Path) -> Trial:
    path = folder / "trial.json"
    try:
        return Trial.model_validate_json(path.read_bytes())
    except OSError as error:
        raise NoModel(f"cannot read {shown(path)}: {error.strerror}; expected the folder of a trial") from error
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise NoModel(f"{shown(path)} is no trial that can be read: {message}") from error


def _row(folder: Path) -> Row | None:
    try:
        return read_row(folder)
    except TornRow as error:
        raise NoModel(f"{error}; run the study again, which makes it anew") from error
