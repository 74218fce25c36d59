"""A task of one's own in one file: the adding problem of Hochreiter & Schmidhuber (1997, section 5.4).

A sequence has two values a step: a random number, and a mark that is 1 at two steps and 0 elsewhere. To be told after the
last step is the sum of the two marked numbers. Guessing their mean has a squared error of 1/6.

Legend: T steps, B batch, H hidden units.
"""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric

from data.example_batches import ExampleBatches
from data.task_data import TaskData
from doping.layers.lstm import CompressedLSTM, weight_shapes
from doping.matrices import Shape
from doping.method import Method
from doping.settings import Settings
from lightning_modules.settings import Training
from lightning_modules.task import TaskModule
from tasks.base import TaskSettings

INPUTS = 2


class Sequences(Settings):
    """The data: drawn at random, always the same for the same settings."""

    length: PositiveInt = 30
    """Steps of a sequence."""
    examples: int = Field(default=2000, ge=4)
    """Sequences to train with; validation and test have a quarter of that each."""


class Width(Settings):
    """The network."""

    hidden: PositiveInt = 32
    """Width of the LSTM."""


class Sum(NamedTuple):
    """One sequence, (T, 2), and the sum to be told, a scalar; or a batch of them, (T, B, 2) and (B,)."""

    sequence: Tensor
    sum: Tensor


class AddingProblem(TaskSettings):
    """All settings, and how data and model are made from them."""

    distills = True

    name: Literal["examples.adding_problem:AddingProblem"] = "examples.adding_problem:AddingProblem"
    data: Sequences = Sequences()
    model: Width = Width()
    training: Training = Training(epochs=20, batch_size=50, learning_rate=0.01, cooldown=0.5)

    @property
    def label(self) -> str:
        """Short name in tables."""
        return "adding"

    def lstm_shapes(self) -> dict[str, Shape]:
        """Shapes of the weight matrices, by the names that they have in the model below."""
        return {f"lstm.{name}": shape for name, shape in weight_shapes(INPUTS, self.model.hidden).items()}

    def compressed(self, matrix: str) -> bool:
        """The input matrix has two columns: there is nothing to compress."""
        return "weight_hh" in matrix

    def data_hash(self) -> str:
        """Hash of what the model will see."""
        return AddingData(self).data_hash

    def build(self, method: Method) -> tuple[AddingModel, AddingData]:
        """The model and its data."""
        return AddingModel(self, method), AddingData(self)


class AddingData(TaskData):
    """The three splits, and their batches."""

    def __init__(self, task: AddingProblem):
        super().__init__()
        self.batch_size = task.training.batch_size
        generator = torch.Generator().manual_seed(0)
        sizes = {"train": task.data.examples, "validation": task.data.examples // 4, "test": task.data.examples // 4}
        self.splits = {name: [_draw(task.data.length, generator) for _ in range(size)] for name, size in sizes.items()}
        self.source = "random numbers"
        content = b"".join(example.sequence.numpy().tobytes() for split in self.splits.values() for example in split)
        self.data_hash = hashlib.sha256(content).hexdigest()

    def train_dataloader(self) -> ExampleBatches[Sum, Sum]:
        """Another order in every epoch, the same ones for the same seed of the trial."""
        return ExampleBatches(self.splits["train"], self.batch_size, _batch, shuffle_seed=torch.initial_seed())

    def val_dataloader(self) -> ExampleBatches[Sum, Sum]:
        """In order."""
        return ExampleBatches(self.splits["validation"], self.batch_size, _batch)

    def test_dataloader(self) -> ExampleBatches[Sum, Sum]:
        """In order."""
        return ExampleBatches(self.splits["test"], self.batch_size, _batch)

    def monitored_batch(self) -> Sum:
        """What co-adaptation is measured on."""
        return _batch(self.splits["validation"][: self.batch_size])


class AddingModel(TaskModule):
    """An LSTM, and one number read from its last output."""

    metric = "squared_error"

    def __init__(self, task: AddingProblem, method: Method):
        super().__init__(task.training)
        self.lstm = CompressedLSTM(INPUTS, task.model.hidden, method=method, keep_dense=["weight_ih_l0"])
        self.sum = nn.Linear(task.model.hidden, 1)
        self._error = MeanMetric()

    def forward(self, sequence_TB2: Tensor) -> Tensor:
        """The sums that are told, (T, B, 2) → (B,)."""
        outputs_TBH, _ = self.lstm(sequence_TB2)
        told_B: Tensor = self.sum(outputs_TBH[-1]).squeeze(-1)
        return told_B

    def training_step(self, batch: Sum, batch_index: int) -> dict[str, Tensor]:
        """What is minimized."""
        told_B = self(batch.sequence)
        error = F.mse_loss(told_B, batch.sum)
        loss = self.distilled(error, told_B, lambda teacher: teacher(batch.sequence), F.mse_loss)
        return {"loss": loss, "nats": error.detach()}

    def validation_step(self, batch: Sum, batch_index: int) -> None:
        """Add a batch to the metric."""
        self._error.update(F.mse_loss(self(batch.sequence), batch.sum), len(batch.sum))

    def test_step(self, batch: Sum, batch_index: int) -> None:
        """Add a batch to the metric."""
        self.validation_step(batch, batch_index)

    def measured(self) -> float:
        """Mean squared error since the last call."""
        error = float(self._error.compute())
        self._error.reset()
        return error

    def metric_on(self, batch: Sum) -> float:
        """Mean squared error of one batch."""
        return float(F.mse_loss(self(batch.sequence), batch.sum))


def _draw(length: int, generator: torch.Generator) -> Sum:
    numbers_T = torch.rand(length, generator=generator)
    marks_T = torch.zeros(length)
    marks_T[torch.randperm(length, generator=generator)[:2]] = 1
    return Sum(torch.stack([numbers_T, marks_T], dim=1), (numbers_T * marks_T).sum())


def _batch(examples: list[Sum]) -> Sum:
    return Sum(torch.stack([one.sequence for one in examples], dim=1), torch.stack([one.sum for one in examples]))
