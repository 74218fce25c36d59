"""Train one trial: data + task + method → outcome. Everything heavy is imported here, in a worker.

A trial stopped at any moment goes on from ``checkpoint.ckpt`` in its folder, at most ``CHECKPOINT_SECONDS`` of work lost;
when it is done that file makes way for ``model.ckpt``, the trained model alone.
"""

from __future__ import annotations

import csv
import logging
import math
import os
import time
import warnings
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger, WandbLogger

from data import DataError, build
from data.datamodule import TextDataModule
from lightning_modules.callbacks.annealing import Annealing
from lightning_modules.callbacks.checkpoint import TimedCheckpoint
from lightning_modules.callbacks.curve import Curve, CurvePoint
from lightning_modules.language_model import LanguageModel
from lightning_modules.settings import Method, TaskSettings
from sweeps.outcome import Hopeless, Outcome, Progress, Report, Status
from sweeps.trial import Trial

CHECKPOINT_SECONDS = 30
REPORT_SECONDS = 0.5


def train(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    """Train a trial in its folder, or go on with it, and measure it.

    Args:
        trial: what to train.
        directory: folder of the trial; gets ``curve.csv``, checkpoints and W&B's files.
        report: told the progress about twice a second; what it raises ends the training.
        threads: CPU threads to use.

    Raises:
        DataError: the corpus is missing, or is not the one that the trial was planned with.

    """
    quiet_lightning()
    torch.set_num_threads(threads)
    report(Progress(0.0, 0, message="loading"))
    pl.seed_everything(trial.seed, verbose=False)
    model, data = build_parts(trial.task, trial.method)
    if data.data_hash != trial.data_hash:
        raise DataError(
            f"{data.source} has changed since the study was planned (hash {data.data_hash[:12]}, planned "
            f"{trial.data_hash[:12]}); start the study again to plan it with the new text"
        )
    curve = Curve(lambda points: _write_curve(directory / "curve.csv", points))
    watch = _Watch(report, curve)
    logger = _wandb_logger(trial, directory)
    try:
        checkpoint = directory / "checkpoint.ckpt"
        callbacks = [Annealing(trial.method), curve, watch, TimedCheckpoint(checkpoint, CHECKPOINT_SECONDS)]
        trainer = _trainer(trial, directory, data, callbacks, logger)
        trainer.fit(model, data, ckpt_path=str(checkpoint) if checkpoint.exists() else None)
        steps = trainer.global_step
        outcome = _outcome(model, curve, steps, *_qualities(trainer, model, data, watch))
        if logger:
            final = {"final_validation": outcome.validation, **asdict(model.size())}
            logger.log_metrics(final | ({} if outcome.test is None else {"test": outcome.test}), step=steps)
        trainer.save_checkpoint(directory / "model.ckpt", weights_only=True)
        checkpoint.unlink(missing_ok=True)
        return outcome
    finally:
        if logger:
            logger.experiment.finish()


def build_parts(task: TaskSettings, method: Method) -> tuple[LanguageModel, TextDataModule]:
    """Model and data of a task. Raises ``DataError`` if the data cannot be had."""
    data = build(task.data, task.training)
    return LanguageModel(task, method, len(data.vocabulary)), data


def quiet_lightning() -> None:
    """Keep Lightning from announcing devices and tips."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")


def _trainer(
    trial: Trial, directory: Path, data: TextDataModule, callbacks: list[pl.Callback], logger: Logger | None
) -> pl.Trainer:
    training = trial.task.training
    steps = training.epochs * len(data.train_dataloader())
    return pl.Trainer(
        max_epochs=training.epochs,
        accelerator="auto",
        devices=1,
        gradient_clip_val=training.clip,
        # Counted in steps over all epochs, so that the curve is sampled evenly whatever the length of an epoch.
        val_check_interval=max(1, steps // training.validations),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=logger or False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        default_root_dir=directory,
    )


def _qualities(
    trainer: pl.Trainer, model: LanguageModel, data: TextDataModule, watch: _Watch
) -> tuple[Status, float, float | None]:
    """How the training ended, and the metric on validation and test."""
    if watch.diverged:
        return "diverged", math.inf, math.inf
    if watch.hopeless:
        return "stopped", watch.curve.points[-1].validation, None
    trainer.validate(model, data.val_dataloader(), verbose=False)
    validation = model.measured()
    trainer.test(model, data.test_dataloader(), verbose=False)
    return "finished" if math.isfinite(validation) else "diverged", validation, model.measured()


def _outcome(
    model: LanguageModel, curve: Curve, steps: int, status: Status, validation: float, test: float | None
) -> Outcome:
    size, dense = model.size(), model.uncompressed_size()
    return Outcome(
        status=status,
        metric=model.metric,
        validation=validation,
        test=test,
        best_validation=min((point.validation for point in curve.points), default=None),
        steps=steps,
        values=size.values,
        bytes=size.bytes,
        multiply_adds=size.multiply_adds,
        dense_values=dense.values,
        dense_bytes=dense.bytes,
        dense_multiply_adds=dense.multiply_adds,
        device=torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else "cpu",
    )


def _write_curve(path: Path, points: list[CurvePoint]) -> None:
    """Write all points anew, so that a resumed training leaves no line twice."""
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(CurvePoint)])
        writer.writeheader()
        writer.writerows(asdict(point) for point in points)
    unfinished.replace(path)


def _wandb_logger(trial: Trial, directory: Path) -> WandbLogger | None:
    """The trial as a run of W&B, whose own environment variables say whether and where (``WANDB_MODE``, ...)."""
    mode = os.environ.get("WANDB_MODE", "disabled")
    if mode == "disabled":
        return None
    return WandbLogger(
        name=f"{trial.method.label} {trial.method.factor:g}x seed {trial.seed}",
        id=trial.id,
        save_dir=directory,
        offline=mode == "offline",
        log_model=False,
        job_type=trial.method.name,
        config=trial.model_dump(mode="json"),
    )


class _Watch(pl.Callback):
    """Reports progress, and ends a training that has diverged or is hopeless."""

    def __init__(self, report: Report, curve: Curve):
        self.report = report
        self.curve = curve
        self.diverged = self.hopeless = False
        self._reported = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A training that goes on from a checkpoint may have been judged hopeless there."""
        if self.curve.points:
            self._report_validation(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss and report, at most twice a second: reading the loss waits for the GPU."""
        if time.monotonic() - self._reported < REPORT_SECONDS:
            return
        self._reported = time.monotonic()
        if not torch.isfinite(outputs["nats"]):
            self.diverged = trainer.should_stop = True
        latest = self.curve.points[-1].validation if self.curve.points else None
        share = trainer.global_step / trainer.estimated_stepping_batches
        self.report(Progress(share, trainer.global_step, latest, "training"))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A validation loss that is not finite ends the training too, and so does one that is judged hopeless."""
        if trainer.state.fn != "fit":
            return
        if not math.isfinite(self.curve.points[-1].validation):
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
