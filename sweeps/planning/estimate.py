"""How long a trial will take and what it writes, measured on a few steps of its dense model."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from doping.method import Method
from lightning_modules.trainer import plain_trainer, quiet_lightning
from tasks.base import TaskSettings

STEPS = 8
"""Training steps that are taken; the first half warms up."""


@dataclass(frozen=True)
class Estimate:
    """Of one trial that is trained to its end."""

    seconds: float
    """Wall time of training and validations."""
    model_bytes: int
    """Size of the trained model."""
    checkpoint_bytes: int
    """Size of a checkpoint while it trains."""


def estimate(task: TaskSettings, threads: int) -> Estimate:
    """Take a few steps of a task, uncompressed, with so many threads. Raises ``DataError`` if its data cannot be had."""
    quiet_lightning()
    torch.set_num_threads(threads)
    model, data = task.build(Method())
    steps_an_epoch, validation_batches = len(data.train_dataloader()), len(data.val_dataloader())
    training, watch = task.training, _Stopwatch()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = plain_trainer(
            max_steps=STEPS,
            accelerator="auto",
            precision=training.precision,
            callbacks=[watch],
            default_root_dir=scratch,
            limit_val_batches=STEPS,
            val_check_interval=STEPS,
            check_val_every_n_epoch=None,
        )
        trainer.fit(model, data)
    a_pass = watch.median(watch.validation) * validation_batches
    weights = _bytes(model.state_dict().values())
    return Estimate(
        seconds=training.epochs * steps_an_epoch * watch.median(watch.training) + (training.validations + 2) * a_pass,
        model_bytes=weights,
        checkpoint_bytes=weights + sum(_bytes(state.values()) for state in trainer.optimizers[0].state.values()),
    )


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class _Stopwatch(pl.Callback):
    """Seconds of every batch."""

    def __init__(self) -> None:
        self.training: list[float] = []
        self.validation: list[float] = []
        self._start = 0.0

    @staticmethod
    def median(seconds: list[float]) -> float:
        """Median of the second half: the first warms up."""
        return sorted(seconds[len(seconds) // 2 :])[len(seconds) // 4]

    def on_train_batch_start(self, *_: Any) -> None:
        """Start."""
        self._start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop."""
        self.training.append(time.perf_counter() - self._start)

    def on_validation_batch_start(self, *_: Any) -> None:
        """Start."""
        self._start = time.perf_counter()

    def on_validation_batch_end(self, *_: Any) -> None:
        """Stop."""
        self.validation.append(time.perf_counter() - self._start)
