"""Train one trial: data + task + method → outcome. Everything heavy is imported here, in a worker.

A trial interrupted at any moment goes on from ``checkpoint.ckpt`` in its folder, at most ``CHECKPOINT_SECONDS`` of work
lost; when it is done that file makes way for ``model.ckpt``, the trained model alone.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from data import DataError
from data.task_data import TaskData
from doping.errors import one_line
from doping.matrices import Size
from doping.matrices.budget import dense_size
from doping.method import Method, Values
from doping.sizes import lstm_bytes
from doping.training.rounding import deployed, other_bytes
from lightning_modules.callbacks.annealing import Annealing
from lightning_modules.callbacks.checkpoint import TimedCheckpoint, save_whole
from lightning_modules.callbacks.curve import Curve, CurvePoint
from lightning_modules.callbacks.monitor import Monitor
from lightning_modules.callbacks.rounding import Rounding
from lightning_modules.task import TaskModule
from lightning_modules.trainer import plain_trainer, quiet_lightning
from sweeps.results.curve_files import write_curve
from sweeps.results.dense_start import start_from_dense
from sweeps.results.files import set_aside, trouble
from sweeps.trials.outcome import Hopeless, Interrupted, Outcome, Progress, Report, Status, TimeIsUp
from sweeps.trials.trial import Trial
from sweeps.worker.environment import MONITOR_EVERY
from sweeps.worker.wandb_run import optional_run
from tasks.script import Script

LARGEST_LOSS = 1000.0
"""Nats of an answer. A model that guesses has the logarithm of its answers, some ten; beyond a thousand it has diverged,
also where every number is still finite."""
CHECKPOINT_SECONDS = 30
REPORT_SECONDS = 0.5
NARROW: tuple[Values, ...] = ("int8", "int4")
"""Precisions that every finished model is also measured in."""


def train(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    """Train a trial in its folder, or go on with it, and measure it.

    Args:
        trial: what to train.
        directory: folder of the trial; gets ``curve.csv``, checkpoints and W&B's files.
        report: told the progress about twice a second; what it raises ends the training.
        threads: CPU threads to use.

    Raises:
        DataError: the corpus is missing, or is not the one that the trial was planned with.
        NoModel: the model to start from is missing, or is not the one that the trial was planned with.

    """
    quiet_lightning()
    torch.set_num_threads(threads)
    checkpoint = directory / "checkpoint.ckpt"
    if checkpoint.exists():
        try:
            return _train(trial, directory, report, checkpoint)
        except UnreadableCheckpointError as error:
            aside = set_aside(checkpoint)
            print(
                f"{checkpoint.name} cannot be read ({error}): put aside as {aside.name}, trained from the start", flush=True
            )
    return _train(trial, directory, report, None)


class UnreadableCheckpointError(ValueError):
    """A checkpoint that is damaged, or of another model."""


def _train(trial: Trial, directory: Path, report: Report, resume_from: Path | None) -> Outcome:
    """Train from the start, or from a checkpoint. Raises ``UnreadableCheckpointError`` before a step is made from it."""
    report(Progress(0.0, 0, message="loading"))
    pl.seed_everything(trial.seed, verbose=False)
    if isinstance(trial.task, Script):
        from sweeps.worker.script import train_script

        return train_script(trial, directory, report)
    task, method = trial.built
    model, data = task.build(method)
    if data.data_hash != trial.data_hash:
        raise DataError(
            f"{data.source} has changed since the study was planned (hash {data.data_hash[:12]}, planned "
            f"{trial.data_hash[:12]}); start the study again to plan it with the new text"
        )
    start_from_dense(trial, model)
    every = int(os.environ.get(MONITOR_EVERY, "1"))
    monitor = Monitor(data.monitored_batch(), every) if every else None
    with optional_run(trial, directory, model.metric, _dense(trial), report) as run:

        def write(points: list[CurvePoint]) -> None:
            write_curve(directory, points)
            if run:
                run.log(points)

        curve = Curve(write, monitor)
        watch = _Watch(report, curve, model.metric)
        checkpoint = directory / "checkpoint.ckpt"
        callbacks = [Annealing(method), *([monitor] if monitor else []), curve, watch, Rounding(method)]
        callbacks.append(TimedCheckpoint(checkpoint, CHECKPOINT_SECONDS))
        trainer = _trainer(trial, directory, data, callbacks)
        try:
            trainer.fit(model, data, ckpt_path=None if resume_from is None else str(resume_from))
        except (Interrupted, TimeIsUp, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # what is damaged can raise anything
            if resume_from is None or watch.begun or trouble(error, directory):
                raise
            raise UnreadableCheckpointError(one_line(error)) from error
        steps = trainer.global_step
        outcome = _outcome(trial, model, curve, steps, _qualities(trainer, model, data, watch, method))
        if run:
            run.log(curve.points)
            run.end(outcome)
        save_whole(trainer, directory / "model.ckpt", weights_only=True)
        checkpoint.unlink(missing_ok=True)
        return outcome


def _trainer(trial: Trial, directory: Path, data: TaskData, callbacks: list[pl.Callback]) -> pl.Trainer:
    training = trial.task.training
    steps = training.epochs * len(data.train_dataloader())
    return plain_trainer(
        max_epochs=training.epochs,
        accelerator="auto",
        precision=training.precision,
        gradient_clip_val=training.clip,
        # Counted in steps over all epochs, so that the curve is sampled evenly whatever the length of an epoch.
        val_check_interval=max(1, steps // training.validations),
        check_val_every_n_epoch=None,
        callbacks=callbacks,
        default_root_dir=directory,
    )


@dataclass(frozen=True)
class _Qualities:
    """How a training ended, and how good the model is."""

    status: Status
    validation: float
    test: float | None = None
    measures: Mapping[str, float | str] = field(default_factory=dict)
    narrow: Mapping[str, float] = field(default_factory=dict)
    """Validation and test after rounding, by the names of the fields of ``Outcome``."""


def _qualities(trainer: pl.Trainer, model: TaskModule, data: TaskData, watch: _Watch, method: Method) -> _Qualities:
    """The metric on validation and test, of the model as it is deployed by its method, and in int8 and int4."""
    if watch.diverged:
        return _Qualities("diverged", math.inf, math.inf)
    if watch.hopeless:
        return _Qualities("stopped", watch.curve.points[-1].validation)

    def measured(loader: Any) -> float:
        trainer.validate(model, loader, verbose=False)
        return model.measured()

    values = method.values
    with deployed(model, values, method.embedding_values):
        validation = measured(data.val_dataloader())
        trainer.test(model, data.test_dataloader(), verbose=False)
        test, measures = model.measured(), dict(model.further_measures())
    if _is_lost(replace(watch.curve.points[-1], validation=validation), model.metric):
        return _Qualities("diverged", validation, test)
    narrow = {f"validation_{values}": validation, f"test_{values}": test} if values != "float32" else {}
    for kind in NARROW:
        if kind != values:
            with deployed(model, kind):
                narrow[f"validation_{kind}"] = measured(data.val_dataloader())
                narrow[f"test_{kind}"] = measured(data.test_dataloader())
    return _Qualities("finished", validation, test, measures, narrow)


def _is_lost(point: CurvePoint, metric: str) -> bool:
    """Whether a training has diverged, by its losses at a validation."""
    nats = point.validation * math.log(2) if metric == "bits_per_character" else 0.0
    return not (math.isfinite(point.validation) and nats < LARGEST_LOSS and point.training_loss < LARGEST_LOSS)


def _outcome(trial: Trial, model: TaskModule, curve: Curve, steps: int, quality: _Qualities) -> Outcome:
    size, values = model.size(), trial.method.values
    dense = _dense(trial)
    of_lstms = {kind: lstm_bytes([lstm for _, lstm in model.lstms()], kind) for kind in dict.fromkeys((*NARROW, values))}
    of_embedding = {values: trial.method.embedding_values}
    of_model = {kind: of_lstms[kind] + other_bytes(model, kind, of_embedding.get(kind)) for kind in of_lstms}
    return Outcome(
        status=quality.status,
        metric=model.metric,
        validation=quality.validation,
        test=quality.test,
        best_validation=min((point.validation for point in curve.points), default=None),
        steps=steps,
        values=size.values,
        bytes=size.bytes,
        multiply_adds=size.multiply_adds,
        dense_values=dense.values,
        dense_bytes=dense.bytes,
        dense_multiply_adds=dense.multiply_adds,
        measures=dict(quality.measures),
        device=torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else "cpu",
        deployed_bytes=of_lstms[values],
        model_bytes=of_model[values],
        bytes_int8=of_lstms["int8"],
        model_bytes_int8=of_model["int8"],
        bytes_int4=of_lstms["int4"],
        model_bytes_int4=of_model["int4"],
        validation_int8=quality.narrow.get("validation_int8"),
        test_int8=quality.narrow.get("test_int8"),
        validation_int4=quality.narrow.get("validation_int4"),
        test_int4=quality.narrow.get("test_int4"),
    )


def _dense(trial: Trial) -> Size:
    """Size of the dense model of the task's own width."""
    return sum((dense_size(shape) for shape in trial.task.lstm_shapes().values()), Size(0, 0, 0))


class _Watch(pl.Callback):
    """Reports progress, and ends a training that has diverged or is hopeless."""

    def __init__(self, report: Report, curve: Curve, metric: str):
        self.report = report
        self.metric = metric
        self.curve = curve
        self.diverged = self.hopeless = self.begun = False
        self._reported = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A training that goes on from a checkpoint may have been judged hopeless there."""
        if self.curve.points:
            self._report_validation(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """What a checkpoint holds has been restored."""
        self.begun = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss and report, at most twice a second: reading the loss waits for the GPU."""
        if time.monotonic() - self._reported < REPORT_SECONDS:
            return
        self._reported = time.monotonic()
        if not outputs["nats"] < LARGEST_LOSS:  # nor is a NaN
            self.diverged = trainer.should_stop = True
        latest = self.curve.points[-1].validation if self.curve.points else None
        share = trainer.global_step / trainer.estimated_stepping_batches
        self.report(Progress(share, trainer.global_step, latest, "training"))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A validation loss that is not finite ends the training too, and so does one that is judged hopeless."""
        if trainer.state.fn != "fit":
            return
        if _is_lost(self.curve.points[-1], self.metric):
            self.diverged = trainer.should_stop = True
        else:
            self._report_validation(trainer)

    def _report_validation(self, trainer: pl.Trainer) -> None:
        share = trainer.global_step / trainer.estimated_stepping_batches
        number, latest = len(self.curve.points), self.curve.points[-1].validation
        try:
            self.report(Progress(share, trainer.global_step, latest, "validation", validation=number))
        except Hopeless:
            # Not raised through Lightning, so that what was measured is kept.
            self.hopeless = trainer.should_stop = True
