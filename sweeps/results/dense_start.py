"""The trained dense model that trials start from: which one a study means, and its weights.

A study names a folder. The plan finds the trial in it, and from then on the trial's id says which model is meant: what
stands in the folder later cannot be taken for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from doping.errors import one_line
from sweeps.results.files import shown
from sweeps.results.trained_models import MODEL, NoModel, best_trial, finished_trial
from sweeps.trials.trial import Trial
from tasks.base import TaskSettings

if TYPE_CHECKING:
    from torch import nn

    from lightning_modules.task import TaskModule

REGIME = {"dropout", "word_dropout", "uniform_init", "search", "compressed"}
"""Settings of a model that its weights do not depend on: they may differ from those of the one to start from."""


def with_start(task: TaskSettings, data_hash: str) -> TaskSettings:
    """The task, with the folder and the id of the trial that it starts from, if it does.

    ``data_hash`` is that of the task's data, or empty if they are not at hand.

    Raises:
        NoModel: there is no trained dense model of the same task and data there, or its file cannot be read; the message
            is one line.

    """
    start = task.training.start_from
    if start is None:
        return task
    if start.distillation and not task.distills:
        raise NoModel(f"the task {task.name} cannot learn from predictions: set task.training.start_from.distillation to 0")
    folder = Path(start.path).expanduser().absolute()
    if (folder / "trials").is_dir():
        folder = best_trial(folder, "dense", None)
    elif not (folder / "trial.json").exists():
        raise NoModel(f"{shown(folder)} holds no trained model; give the folder of a trial, or of a study's results")
    trial, _ = finished_trial(folder)
    _check(trial, task, data_hash, folder)
    _read(folder, trial)
    found = start.model_copy(update={"path": str(folder), "trial": trial.id})
    return task.model_copy(update={"training": task.training.model_copy(update={"start_from": found})})


def _check(trial: Trial, task: TaskSettings, data_hash: str, folder: Path) -> None:
    if trial.method.name != "dense":
        raise NoModel(f"the model in {shown(folder)} is {trial.method.label}; a training starts from a dense one")
    if type(trial.task) is not type(task):
        raise NoModel(f"the model in {shown(folder)} is of the task {trial.task.name}, not {task.name}")
    theirs, ours = trial.task.model.complete(), task.model.complete()
    for key in sorted(theirs.keys() - REGIME):
        if theirs[key] != ours[key]:
            raise NoModel(
                f"the model in {shown(folder)} has {key} {theirs[key]}, this study {ours[key]}; they must be equal"
            )
    if data_hash and trial.data_hash != data_hash:
        raise NoModel(
            f"the model in {shown(folder)} was trained on other data ({trial.task.label}, hash {trial.data_hash[:12]}; "
            f"here {data_hash[:12]})"
        )


def start_from_dense(trial: Trial, model: TaskModule) -> None:
    """Give the model of a trial the weights, and the teacher, that its settings name.

    Raises:
        NoModel: as ``load_dense``.

    """
    if trial.task.training.start_from is None:
        return
    from doping.method import Method

    dense, _ = trial.task.build(Method())
    load_dense(trial, dense)
    model.start_from(dense)


def load_dense(trial: Trial, dense: nn.Module) -> None:
    """Load the weights that the settings of a trial name into a dense model.

    Raises:
        NoModel: the trained model is not there any more, another one is, or its weights are damaged or do not fit.

    """
    import torch

    settings = trial.task.training.start_from
    assert settings
    folder = Path(settings.path)
    found, _ = finished_trial(folder)
    if found.id != settings.trial:
        raise NoModel(f"{shown(folder)} holds trial {found.id}, not {settings.trial}; start the study again to plan it anew")
    weights = _read(folder, found)
    try:
        dense.load_state_dict(weights)
    except Exception as error:  # what was altered can raise anything
        raise _not_its_model(folder, found, one_line(error)) from error
    for name, weight in dense.named_parameters():
        # Of parameters alone: a model of one's own may keep a mask of infinities in a buffer.
        if not torch.isfinite(weight).all():
            raise _not_its_model(folder, found, f"{name} has values that are not finite")


def _read(folder: Path, trial: Trial) -> dict[str, Any]:
    """The weights in the folder of a finished trial. Raises ``NoModel`` if they cannot be read."""
    import torch

    try:
        weights: dict[str, Any] = torch.load(folder / MODEL, map_location="cpu", weights_only=True)["state_dict"]
    except Exception as error:  # a torn file can raise anything
        raise _not_its_model(folder, trial, one_line(error)) from error
    return weights


def _not_its_model(folder: Path, trial: Trial, why: str) -> NoModel:
    return NoModel(
        f"{shown(folder / MODEL)} is not the trained model of trial {trial.id} ({why}); delete row.json there and run its "
        "study again"
    )
