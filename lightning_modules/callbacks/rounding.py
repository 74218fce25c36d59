"""Training with rounded weights for the last stretch.

After Courbariaux et al. 2015 (arXiv 1511.00363); the gradient is the straight-through one of Bengio et al. 2013 (arXiv
1308.3432).
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from doping.matrices.budget import VALUE_BITS
from doping.method import Method
from doping.training.rounding import lstm_weights, other_weights, rounded, row_scales

REFIT_STEPS = 10
"""Optimizer steps between two fits of the scales."""


class Rounding(pl.Callback):
    """Computes each step with rounded weights, and steps with the gradient that they have (straight-through).

    From a share of the training on, a step computes with w + a·(round(w) − w), where a grows from 0 to 1, and the weights
    that are not rounded take the step. Validations meanwhile are those of the weights that a step would compute with. What
    is saved are the weights that are not rounded, and the scales. Give it after the callbacks that measure at a validation,
    and before the one that saves.
    """

    def __init__(self, method: Method):
        self.method = method
        self.scales: dict[str, Tensor] = {}
        self._kept: list[tuple[nn.Parameter, Tensor]] = []

    def progress(self, share: float) -> float:
        """How far the weights are rounded at a share of the training, from 0 to 1."""
        settings = self.method.rounding
        if self.method.values == "float32" or not settings.share:
            return 0.0
        since = share - (1 - settings.share)
        return min(max(since / max(settings.share * settings.annealed, 1e-9), 0.0), 1.0)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Round for the pass that follows."""
        self._round(trainer, pl_module)

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer) -> None:
        """Take back the weights that are stepped."""
        self._restore()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Round, within a training; at its end others decide."""
        if trainer.state.fn == "fit":
            self._round(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take back the weights."""
        self._restore()

    @torch.no_grad()
    def _round(self, trainer: pl.Trainer, model: nn.Module) -> None:
        step = trainer.global_step
        amount = self.progress(step / trainer.estimated_stepping_batches)
        if amount == 0:
            return
        others = other_weights(model) if self.method.embedding_values == "int4" else ()
        for name, parameter, bits in [
            *lstm_weights(model, self.method.values),
            *((name, parameter, VALUE_BITS["int4"]) for name, parameter in others),
        ]:
            if step % REFIT_STEPS == 0 or name not in self.scales:
                self.scales[name] = row_scales(parameter, bits)
            scale = self.scales[name].to(parameter.device)
            self._kept.append((parameter, parameter.data))
            parameter.data = parameter.data.lerp(rounded(parameter.data, scale, bits), amount)

    def _restore(self) -> None:
        for parameter, data in self._kept:
            parameter.data = data
        self._kept = []

    def state_dict(self) -> dict[str, Any]:
        """The scales, for the checkpoint."""
        return {"scales": self.scales}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with those of the checkpoint."""
        self.scales = state_dict["scales"]
