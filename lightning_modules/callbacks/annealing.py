"""Pruning on schedule: step → prune → re-mask, and the row dropout that goes with it."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.optim import Optimizer

from doping.matrices import Doped, Sparse
from doping.method import Method
from doping.schedules import annealed_probability, cubic_sparsity

GRADIENT_STEPS = 100
"""Optimizer steps that the running mean of a squared gradient goes back."""


class Annealing(pl.Callback):
    """Takes every sparse matrix of a model from dense to its planned sparsity while it trains.

    After each optimizer step the mask is applied again, since momentum moves pruned weights, and then the matrix is pruned
    to what the schedule says. After the end of the schedule the mask stays as it is. All of this follows from the step
    and the masks in the checkpoint; only where saliency decides what is pruned is there a state, the running mean of the
    squared gradient of each sparse matrix.
    """

    def __init__(self, method: Method):
        self.method = method
        self.progress = 0.0
        self.squared_gradients: dict[str, Tensor] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Be where the schedule is at the first step, or at the step of the checkpoint."""
        self._follow_schedule(trainer, pl_module)

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer) -> None:
        """Go on with the running means."""
        if self.method.annealing.criterion == "magnitude" or self.progress == 1:
            return
        for name, module in pl_module.named_modules():
            if isinstance(module, Sparse):
                assert module.weight.grad is not None
                squared = module.weight.grad.square()
                mean = self.squared_gradients.setdefault(name, squared).to(squared.device)
                self.squared_gradients[name] = mean.lerp(squared, 1 / GRADIENT_STEPS)

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
        for name, module in pl_module.named_modules():
            if isinstance(module, Sparse) and progress > self.progress:
                values = module.shape[0] * module.shape[1]
                squared = self.squared_gradients.get(name)
                scale = None if squared is None else squared.to(module.weight.device).sqrt()
                module.prune(values - round(progress * (values - module.planned_nonzeros)), scale)
            if isinstance(module, Doped):
                module.cmr_probability = annealed_probability(cmr.probability, progress) if cmr.anneal else cmr.probability
        self.progress = progress

    def state_dict(self) -> dict[str, Any]:
        """The running means, for the checkpoint."""
        return {"squared_gradients": self.squared_gradients}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with those of the checkpoint."""
        self.squared_gradients = state_dict["squared_gradients"]
