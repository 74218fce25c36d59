"""A checkpoint every so many seconds, from which a training goes on bit for bit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from doping.files import replacing


def save_whole(trainer: pl.Trainer, path: Path, weights_only: bool = False) -> None:
    """Save a checkpoint so that the old or the new one is whole, even after a power cut. Raises ``OSError``."""
    with replacing(path, durable=True, alone=True) as draft:
        trainer.save_checkpoint(draft, weights_only=weights_only)


class TimedCheckpoint(pl.Callback):
    """Keeps one checkpoint, replaced atomically when it is older than ``seconds``.

    Lightning's own ``ModelCheckpoint`` saves at the end of a batch also where a validation is due after it, and a training
    resumed from there skips that validation. This one waits until the validation is over. Give it as the last callback,
    so that the state of the others is saved as it is after the step.
    """

    def __init__(self, path: Path, seconds: float):
        self.path = path
        self.seconds = seconds
        self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if due, unless a validation follows."""
        interval = trainer.val_check_batch
        if not interval or trainer.global_step % interval:
            self._save_if_due(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if due."""
        if trainer.state.fn == "fit":
            self._save_if_due(trainer)

    def _save_if_due(self, trainer: pl.Trainer) -> None:
        if time.monotonic() - self._saved < self.seconds:
            return
        save_whole(trainer, self.path)
        self._saved = time.monotonic()
