"""Runs a training of one's own as a trial, and is what it reports to."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from doping.layers.compressed import CompressedLayer, compressed_layers
from doping.layers.merge import merge_
from doping.matrices import Doped, Size
from doping.matrices.budget import dense_size
from lightning_modules.callbacks.curve import CurvePoint, sparsity
from sweeps.results.curve_files import write_curve
from sweeps.results.dense_start import load_dense
from sweeps.results.trained_models import MODEL
from sweeps.trials.outcome import Hopeless, Outcome, Progress, Report, Status
from sweeps.trials.trial import Trial
from sweeps.worker.wandb_run import optional_run
from tasks.script import Script

REPORT_SECONDS = 0.5


class ScriptReport:
    """What ``train(method, settings, report)`` reports to.

    Attributes:
        model: the compressed model, to be set before the end: sizes and the curve against sparsity are taken from it.
        folder: that of the trial, for files of one's own; a trial that was interrupted begins anew.
        seed: of the trial; PyTorch, NumPy and ``random`` are seeded with it.

    """

    def __init__(self, trial: Trial, folder: Path, report: Report) -> None:
        self.model: nn.Module | None = None
        self.folder, self.seed = folder, trial.seed
        self.points: list[CurvePoint] = []
        self.steps = 0
        self._trial, self._report, self._reported = trial, report, 0.0

    def __call__(self, share: float, validation: float | None = None, training_loss: float = math.nan) -> None:
        """Say where the training is; call it after each optimizer step, and with each validation.

        Args:
            share: of the training that is done, 0 to 1.
            validation: the metric on the validation split, if it was just measured; a point of the curve.
            training_loss: mean loss since the last validation.

        What it raises ends the training: let it through.

        """
        self.steps += validation is None
        if validation is None:
            if time.monotonic() - self._reported > REPORT_SECONDS:
                self._reported = time.monotonic()
                latest = self.points[-1].validation if self.points else None
                self._report(Progress(share, self.steps, latest, "training"))
            return
        self.points.append(self._point(share, float(validation), training_loss))
        write_curve(self.folder, self.points)
        number = len(self.points)
        self._report(Progress(share, self.steps, float(validation), "validation", validation=number))

    def start(self, model: nn.Module) -> nn.Module:
        """Load the weights of the dense model that ``training.start_from`` names, if it does; call it before
        ``compress_``. Raises ``NoModel`` if they cannot be read, or are not those of such a model.
        """
        if self._trial.task.training.start_from:
            load_dense(self._trial, model)
        return model

    def _point(self, share: float, validation: float, training_loss: float) -> CurvePoint:
        size = sizes(self.model)[0] if self.model else Size(0, 0, 0)
        doped = [m for m in self.model.modules() if isinstance(m, Doped)] if self.model else []
        return CurvePoint(
            step=self.steps,
            epoch=share * getattr(self._trial.task.training, "epochs", 1),
            sparsity=sparsity(self.model) if self.model else 0.0,
            cmr_probability=max((matrix.cmr_probability for matrix in doped), default=0.0),
            training_loss=training_loss,
            validation=validation,
            values=size.values,
            bytes=size.bytes,
        )


def sizes(model: nn.Module) -> tuple[Size, Size]:
    """Sizes of the weights of all compressed layers at this moment, and if they were dense."""
    layers = [layer for _, layer in compressed_layers(model)]
    nothing = Size(0, 0, 0)
    return sum((layer.size() for layer in layers), nothing), sum((_dense(layer) for layer in layers), nothing)


def _dense(layer: CompressedLayer) -> Size:
    kept = (layer.get_parameter(name).shape for name in layer.kept_dense)
    shapes = [*(matrix.shape for _, matrix in layer.named_matrices()), *((shape[0], shape[1]) for shape in kept)]
    return sum((dense_size(shape) for shape in shapes), Size(0, 0, 0))


def train_script(trial: Trial, folder: Path, report: Report) -> Outcome:
    """Train a trial of a ``Script`` in its folder, and measure it.

    Raises:
        ValueError: the function gives no number, or no compressed model.

    """
    task = trial.task
    assert isinstance(task, Script)
    reporter = ScriptReport(trial, folder, report)
    status: Status = "finished"
    try:
        given = type(task).train(trial.method, task.settings, reporter)
        validation, test, measures = _qualities(task.name, given)
    except Hopeless:
        status, validation, test, measures = "stopped", reporter.points[-1].validation, None, {}
    if not math.isfinite(validation):
        status, validation, test, measures = "diverged", math.inf, math.inf, {}
    outcome = _outcome(task, reporter, status, validation, test, measures)
    with optional_run(trial, folder, task.metric, sizes(reporter.model)[1], report) as run:  # type: ignore[arg-type]
        if run:
            run.log(reporter.points)
            run.end(outcome)
    model: Any = reporter.model
    dense = merge_(copy.deepcopy(model)) if trial.method.name == "dense" else model
    torch.save({"state_dict": dense.state_dict()}, folder / MODEL)
    return outcome


def _outcome(
    task: Script,
    reporter: ScriptReport,
    status: Status,
    validation: float,
    test: float | None,
    measures: Mapping[str, float],
) -> Outcome:
    if reporter.model is None or not any(compressed_layers(reporter.model)):
        raise ValueError(
            f"{task.name} gave no compressed model: set report.model to the model that doping.compress_ made with the "
            "method it was given, also where that is dense"
        )
    size, dense = sizes(reporter.model)
    return Outcome(
        status=status,
        metric=task.metric,
        validation=validation,
        test=test,
        best_validation=min((point.validation for point in reporter.points), default=None),
        steps=reporter.steps,
        values=size.values,
        bytes=size.bytes,
        multiply_adds=size.multiply_adds,
        dense_values=dense.values,
        dense_bytes=dense.bytes,
        dense_multiply_adds=dense.multiply_adds,
        measures=dict(measures),
    )


def _qualities(name: str, given: Any) -> tuple[float, float, dict[str, float]]:
    """Validation, test (the same if there is one number only), and other qualities."""
    if isinstance(given, Mapping):
        rest = {key: float(value) for key, value in given.items() if key not in ("validation", "test")}
        if "validation" in given:
            return float(given["validation"]), float(given.get("test", given["validation"])), rest
    elif isinstance(given, int | float | torch.Tensor):
        return float(given), float(given), {}
    raise ValueError(
        f"{name} returned {type(given).__name__}; expected the metric, or a dict of 'validation', 'test', and others"
    )
