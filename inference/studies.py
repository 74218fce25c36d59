"""Trained models of a study: which one is meant, and its bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import ValidationError

from data.vocabulary import Vocabulary
from inference.bundle import Bundle
from inference.description import Quality
from inference.errors import InferenceError
from inference.from_training import to_bundle
from lightning_modules.intent import IntentClassifier
from lightning_modules.language_model import LanguageModel
from sweeps.files import shown
from sweeps.rows import Row, TornRow, read_row
from sweeps.trial import Trial
from tasks.intent import IntentTask
from tasks.language_model import LanguageModelTask

CHECKPOINT = "model.ckpt"
SAVED_DATA = {"language_model": "TextDataModule", "intent": "IntentData"}
"""The tasks whose models can be exported, and where Lightning puts into a checkpoint what their data save."""


def trial_bundle(folder: Path) -> Bundle:
    """The bundle of a finished trial, from the ``trial.json``, ``row.json`` and ``model.ckpt`` of its folder.

    Raises:
        InferenceError: a file is missing or damaged, or the model is of a task that has no bundle of its own.

    """
    trial, row = _trial(folder), _finished(folder)
    checkpoint = folder / CHECKPOINT
    if not checkpoint.exists():
        raise InferenceError(
            f"{shown(folder)} has no {CHECKPOINT}: the trained model was deleted; take another trial, or delete row.json "
            "there and run the study again"
        )
    if trial.task.name not in SAVED_DATA:
        raise InferenceError(f"trial {trial.id} is of the task {trial.task.name}, whose models cannot be exported whole")
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        data = saved.get(SAVED_DATA[trial.task.name])
        if data is None:
            raise InferenceError(
                f"{shown(checkpoint)} was saved by a version that did not keep the vocabulary; delete row.json there and "
                "run the study again"
            )
        vocabulary, labels = Vocabulary.from_json(data["vocabulary"]), data.get("labels", ())
        model = _untrained(trial, vocabulary, labels)
        model.load_state_dict(saved["state_dict"])
    except InferenceError:
        raise
    except Exception as error:  # a torn file can raise anything
        first_line = str(error).partition("\n")[0]
        raise InferenceError(f"{shown(checkpoint)} is not the trained model of trial {trial.id}: {first_line}") from error
    assert row.metric
    assert row.validation is not None
    assert row.test is not None
    origin = {
        "trial": trial.id,
        "task": row.task,
        "settings": trial.settings,
        "trained_with": row.versions,
        "trained_at_commit": row.commit,
    }
    quality = Quality(metric=row.metric, validation=row.validation, test=row.test)
    return to_bundle(model, vocabulary, quality, origin, labels)


def _untrained(trial: Trial, vocabulary: Vocabulary, labels: Sequence[str]) -> LanguageModel | IntentClassifier:
    """The model of a trial, its weights still to be loaded."""
    task = trial.task
    if isinstance(task, LanguageModelTask):
        return LanguageModel(task.model, task.training, trial.method, len(vocabulary), task.data.level)
    assert isinstance(task, IntentTask)
    classes = len(labels)
    return IntentClassifier(
        task.model, task.training, trial.method, len(vocabulary), vocabulary.unknown, classes=classes, labels=classes
    )


def best_trial(folder: Path, method: str | None, factor: float | None) -> Path:
    """Folder of the trial with the best validation in a folder of results, among those of a method and factor.

    A study keeps the models of its best final trials only, so trials that still have theirs come first.

    Raises:
        InferenceError: if there is none, or if it is not said which of several methods and factors is meant.

    """
    rows = [row for path in sorted((folder / "trials").iterdir()) if path.is_dir() and (row := _row(path))]
    finished = [row for row in rows if row.status == "finished"]
    chosen = [row for row in finished if method in (None, row.method) and factor in (None, row.cf_requested)]
    kinds = sorted({(row.method, row.cf_requested) for row in chosen or finished})
    listed = ", ".join(f"{name} {cf:g}x" for name, cf in kinds)
    if not chosen:
        asked = " ".join([method or "any method", f"{factor:g}x" if factor else ""]).strip()
        raise InferenceError(f"{shown(folder)} has no finished trial of {asked}; it has {listed or 'none at all'}")
    if len(kinds) > 1:
        raise InferenceError(f"{shown(folder)} has several kinds of models ({listed}); say which with --method and --factor")
    kept = [row for row in chosen if (folder / "trials" / row.trial_id / CHECKPOINT).exists()]
    best = min(kept or chosen, key=lambda row: float("inf") if row.validation is None else row.validation)
    return folder / "trials" / best.trial_id


def _trial(folder: Path) -> Trial:
    path = folder / "trial.json"
    try:
        return Trial.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InferenceError(f"cannot read {shown(path)}: {error.strerror}; expected the folder of a trial") from error
    except ValidationError as error:
        raise InferenceError(f"{shown(path)} is no trial of this version: {error.errors()[0]['msg']}") from error


def _row(folder: Path) -> Row | None:
    try:
        return read_row(folder)
    except TornRow as error:
        raise InferenceError(f"{error}; run the study again, which makes it anew") from error


def _finished(folder: Path) -> Row:
    row = _row(folder)
    if row is None:
        raise InferenceError(f"the trial in {shown(folder)} is not finished; run its study to the end")
    if row.status != "finished":
        raise InferenceError(f"the trial in {shown(folder)} has {row.status}; take another one")
    return row
