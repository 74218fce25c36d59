"""Watches co-matrix adaptation in a doped model while it trains: what M and S carry, and what each is worth alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch.optim import Optimizer

from doping.layers.lstm import CompressedLSTM
from doping.layers.matrix_inputs import matrix_inputs
from doping.matrices import Doped
from doping.training.co_adaptation import Energy, doped_matrices, energy, gradient_norm, only
from lightning_modules.task import TaskModule


@dataclass(frozen=True)
class Adaptation:
    """What was measured at one validation."""

    energy: Energy
    """Shares of the pre-activation energy, of all doped matrices together."""
    energy_of: dict[str, Energy]
    """The same of each matrix, by its name in the task."""
    validation_slice: float
    """The task's metric on the monitored batch, with both parts: what the next two are to be compared with."""
    validation_without_sparse: float
    """The same with S off."""
    validation_without_structured: float
    """The same with M off."""
    gradient_structured: float
    """Norm of the gradient of the parameters of M in the step before the validation, before it is clipped."""
    gradient_sparse: float
    """Norm of the gradient of S in that step."""


class Monitor(pl.Callback):
    """Measures a doped model at every ``every``-th validation, on one small batch of the validation split.

    It costs four forward passes over the batch a measurement (one with both parts, one without each of them, one for what
    the hidden layers read) and a few products of matrices. It draws no random numbers, writes nothing into the model, and
    keeps no state: when it measures follows from the step. So a training is the same, bit for bit, with and without it.
    """

    def __init__(self, batch: Any, every: int = 1):
        self.batch = batch
        self.every = every
        self._gradients = math.nan, math.nan

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer) -> None:
        """Note the norms of the gradients if this is the last step before a measurement."""
        assert isinstance(pl_module, TaskModule)
        if self._is_due(trainer, trainer.global_step + 1) and doped_matrices(pl_module):
            self._gradients = gradient_norm(pl_module, "structured"), gradient_norm(pl_module, "sparse")

    @torch.no_grad()
    def measure(self, trainer: pl.Trainer, task: TaskModule) -> Adaptation | None:
        """Measure if it is time to; None if it is not, or if the model is not doped."""
        if not self._is_due(trainer, trainer.global_step) or not doped_matrices(task):
            return None
        batch = task.transfer_batch_to_device(self.batch, task.device, 0)
        was_training = task.training
        task.eval()
        try:
            with _inputs(task) as inputs:
                both = task.metric_on(batch)
            energies = _energies(task, inputs)
            with only(task, "structured"):
                without_sparse = task.metric_on(batch)
            with only(task, "sparse"):
                without_structured = task.metric_on(batch)
        finally:
            task.train(was_training)
        return Adaptation(
            sum(energies.values(), Energy(0, 0, 0)).shares(),
            {name: found.shares() for name, found in energies.items()},
            both,
            without_sparse,
            without_structured,
            *self._gradients,
        )

    def _is_due(self, trainer: pl.Trainer, step: int) -> bool:
        interval = trainer.val_check_batch
        return interval is not None and step % (interval * self.every) == 0


@contextmanager
def _inputs(task: TaskModule) -> Iterator[dict[str, tuple[Any, ...]]]:
    """Within the context, what each compressed LSTM of a task is called with, by its name."""
    inputs: dict[str, tuple[Any, ...]] = {}

    def note(name: str) -> Any:
        def hook(lstm: CompressedLSTM, arguments: tuple[Any, ...]) -> None:
            inputs[name] = arguments

        return hook

    handles = [lstm.register_forward_pre_hook(note(name)) for name, lstm in task.lstms()]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


def _energies(task: TaskModule, inputs: dict[str, tuple[Any, ...]]) -> dict[str, Energy]:
    return {
        f"{lstm_name}.{name}": energy(matrix, x)
        for lstm_name, lstm in task.lstms()
        for name, x in matrix_inputs(lstm, *inputs[lstm_name]).items()
        if isinstance(matrix := lstm.matrices[name], Doped)
    }
