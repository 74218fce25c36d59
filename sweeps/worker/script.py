"""Runs a training of one's own as a trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from doping.layers.compressed import compressed_layers
from sweeps.results.script_models import save_model
from sweeps.trials.outcome import Hopeless, Outcome, Report, Status
from sweeps.trials.trial import Trial
from sweeps.worker.script_report import CHECKPOINT, ScriptReport, sizes
from tasks.script import Script


def train_script(trial: Trial, folder: Path, report: Report) -> Outcome:
    """Train a trial of a ``Script`` in its folder, and measure it.

    Raises:
        ValueError: the function gives no number, or no compressed model.

    """
    task = trial.task
    assert isinstance(task, Script)
    status: Status = "finished"
    with ScriptReport(trial, folder, report) as reporter:
        try:
            given = type(task).train(trial.method, task.settings, reporter)
            validation, test, measures = _qualities(task.name, given)
        except Hopeless:
            status, validation, test, measures = "stopped", reporter.points[-1].validation, None, {}
        if not math.isfinite(validation):
            status, validation, test, measures = "diverged", math.inf, math.inf, {}
        outcome = _outcome(task, reporter, status, validation, test, measures)
        if reporter.run:
            reporter.run.log(reporter.points)
            reporter.run.end(outcome)
    model: Any = reporter.model
    save_model(model, reporter.example, folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
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
