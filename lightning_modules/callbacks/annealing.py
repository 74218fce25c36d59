"""Pruning on schedule: step → prune → re-mask, and the row dropout that goes with it."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from lightning_modules.matrices import Doped, Sparse
from lightning_modules.schedules import annealed_probability, cubic_sparsity
from lightning_modules.settings import Method


class Annealing(pl.Callback):
    """Takes every sparse matrix of a model from dense to its planned sparsity while it trains.

    After each optimizer step the mask is applied again, since momentum moves pruned weights, and then the matrix is pruned
    to what the schedule says. After the end of the schedule the mask stays as it is. All of this follows from the step
    and the masks in the checkpoint, so the callback has no state of its own.
    """

    def __init__(self, method: Method):
        self.method = method
        self.progress = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Be where the schedule is at the first step, or at the step of the checkpoint."""
        self._follow_schedule(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Re-mask, then prune for the next step."""
        for module in pl_module.modules():
            if isinstance(module, Sparse):
                module.apply_mask()
        self._follow_schedule(trainer, pl_module)

    def _follow_schedule(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        annealing, total = self.method.annealing, int(trainer.estimated_stepping_batches)
        progress = cubic_sparsity(
            trainer.global_step,
            final=1.0,
            start=round(annealing.start * total),
            length=round(annealing.length * total),
            exponent=annealing.exponent,
            interval=annealing.interval,
        )
        cmr = self.method.cmr
        for module in pl_module.modules():
            if isinstance(module, Sparse) and progress > self.progress:
                values = module.shape[0] * module.shape[1]
                module.prune(values - round(progress * (values - module.planned_nonzeros)))
            if isinstance(module, Doped):
                module.cmr_probability = annealed_probability(cmr.probability, progress) if cmr.anneal else cmr.probability
        self.progress = progress
