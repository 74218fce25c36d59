"""A language model so small that a training takes a second, on text made of a few patterns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from data.text.batches import StreamBatches
from doping.method import Method
from lightning_modules.callbacks.annealing import Annealing
from lightning_modules.language_model import RecurrentLanguageModel
from lightning_modules.trainer import plain_trainer
from tasks.language_model import LanguageModelTask

VOCABULARY = 12


def stream(length: int, seed: int = 0) -> Tensor:
    """Tokens with a structure that can be learned: each follows from the last two, with some noise; (length,)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(0, 2, (length,), generator=generator)
    tokens = [1, 2]
    for i in range(length - 2):
        tokens.append((tokens[-1] + 2 * tokens[-2] + int(noise[i])) % VOCABULARY)
    return torch.tensor(tokens)


class TinyText(pl.LightningDataModule):
    """Train on one stream, validate on another."""

    def __init__(self, batch_size: int = 4, length: int = 8, evaluation_length: int = 50):
        super().__init__()
        self.batch_size, self.length, self.evaluation_length = batch_size, length, evaluation_length

    def train_dataloader(self) -> StreamBatches:
        return StreamBatches(stream(700), self.batch_size, self.length, shared=True)

    def val_dataloader(self) -> StreamBatches:
        return StreamBatches(stream(211, seed=1), 1, self.evaluation_length)


def settings(epochs: int = 2, hidden: int = 20, **training: Any) -> LanguageModelTask:
    return LanguageModelTask(
        model={"hidden": hidden, "dropout": 0.1},
        training={"epochs": epochs, "batch_size": 4, "sequence_length": 8, "learning_rate": 0.01, **training},
    )


def model(method: Method, task: LanguageModelTask | None = None, seed: int = 0) -> RecurrentLanguageModel:
    torch.manual_seed(seed)
    task = task or settings()
    return RecurrentLanguageModel(task.model, task.training, method, VOCABULARY, task.data.level)


def trainer(method: Method, folder: Path, epochs: int = 2, callbacks: tuple[pl.Callback, ...] = (), **options: Any):
    return plain_trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[Annealing(method), *callbacks],
        default_root_dir=folder,
        **({"gradient_clip_val": 5.0} | options),
    )
