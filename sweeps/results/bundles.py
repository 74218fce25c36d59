"""Trained models of a study, as bundles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from doping.errors import InferenceError, one_line
from doping.inference.bundle.description import Quality
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.narrowing import narrow
from doping.vocabulary import Vocabulary
from lightning_modules.intent import IntentClassifier
from lightning_modules.language_model import RecurrentLanguageModel
from sweeps.results.files import shown
from sweeps.results.trained_models import MODEL, finished_trial
from sweeps.trials.trial import Trial, for_others
from tasks.bundles import to_bundle
from tasks.intent import IntentTask
from tasks.language_model import LanguageModelTask

SAVED_DATA = {"language_model": "TextDataModule", "intent": "IntentData"}
"""The tasks whose models can be exported, and where Lightning puts into a checkpoint what their data save."""


def trial_bundle(folder: Path) -> Bundle:
    """The bundle of a finished trial, from the ``trial.json``, ``row.json`` and ``model.ckpt`` of its folder.

    Raises:
        NoModel: the trial did not finish, or a file is missing.
        InferenceError: a file is damaged, or the model is of a task that has no bundle of its own.

    """
    trial, row = finished_trial(folder)
    checkpoint = folder / MODEL
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
        raise InferenceError(
            f"{shown(checkpoint)} is not the trained model of trial {trial.id} ({one_line(error)}); delete row.json there "
            "and run the study again"
        ) from error
    if not row.metric or row.validation is None or row.test is None:
        raise InferenceError(f"the row of trial {trial.id} lacks its metric, validation or test: it has no finished result")
    origin = {
        "trial": trial.id,
        "task": row.task,
        "settings": for_others(trial.settings),
        "trained_with": row.versions,
        "trained_at_commit": row.commit,
    }
    quality = Quality(metric=row.metric, validation=row.validation, test=row.test)
    bundle = to_bundle(model, vocabulary, quality, origin, labels)
    values, embedding_values = trial.method.values, trial.method.embedding_values or "int8"
    return bundle if values == "float32" else narrow(bundle, values, embedding_values)


def _untrained(trial: Trial, vocabulary: Vocabulary, labels: Sequence[str]) -> RecurrentLanguageModel | IntentClassifier:
    """The model of a trial, its weights still to be loaded."""
    task, method = trial.built
    if isinstance(task, LanguageModelTask):
        return RecurrentLanguageModel(task.model, task.training, method, len(vocabulary), task.data.level)
    assert isinstance(task, IntentTask)
    classes = len(labels)
    return IntentClassifier(
        task.model, task.training, method, len(vocabulary), vocabulary.unknown, classes=classes, labels=classes
    )
