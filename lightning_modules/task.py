"""What all tasks share: the optimizer and its learning rate, resuming exactly, and sizes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from doping.layers.lstm import CompressedLSTM
from doping.layers.token_matrices import TokenMatrix
from doping.matrices import Matrix, Size
from doping.matrices.budget import dense_size
from doping.training.distilling import distillation
from doping.training.schedules import cooled_rate, decayed_rate
from lightning_modules.settings import Training


class TaskModule(pl.LightningModule, ABC):
    """A model with compressed LSTMs in it, its loss and its metric.

    A task implements ``training_step``, ``validation_step`` and ``test_step`` as Lightning has them, ``metric``,
    ``measured`` and ``metric_on``. ``training_step`` returns what is minimized as ``loss``, and as ``nats`` the mean
    negative log-likelihood of what is predicted. Checkpoints hold the random state, so that a resumed training draws the
    same dropout as an undisturbed one would have.
    """

    metric: str
    """Name of the quality that is reported; lower is better."""

    def __init__(self, training: Training):
        super().__init__()
        self.training_settings = training
        self._random_state: dict[str, Any] | None = None
        # In a tuple, because its weights are no part of this model.
        self._teacher: tuple[Self, ...] = ()

    @abstractmethod
    def measured(self) -> float:
        """The metric over the evaluation that was just run."""

    def further_measures(self) -> Mapping[str, float | str]:
        """Other qualities of the evaluation that ``measured`` was asked about last, by their names; none by default.

        A text says how a number was measured: ``bleu_signature`` stands beside ``bleu``.
        """
        return {}

    @abstractmethod
    def metric_on(self, batch: Any) -> float:
        """The metric on one batch by itself, read from a zero state. Leaves no trace in what is being measured."""

    def start_from(self, dense: Self) -> None:
        """Take all weights of a trained dense model of this shape, and learn from its predictions if the settings say so.

        Raises:
            RuntimeError: if it has another shape.

        """
        compressed = dict(self.lstms())
        for name, lstm in compressed.items():
            source = dense.get_submodule(name)
            assert isinstance(source, CompressedLSTM)
            lstm.start_from(source)
        below = tuple(f"{name}." for name in compressed)
        others = {name: tensor for name, tensor in dense.state_dict().items() if not name.startswith(below)}
        self.load_state_dict(others, strict=False)
        for name, matrix in self.named_modules():
            if isinstance(matrix, TokenMatrix):
                matrix.fit(dense.get_parameter(f"{name}.weight"))
        if self._distillation:
            self._teacher = (dense.eval().requires_grad_(False),)

    @property
    def _distillation(self) -> float:
        settings = self.training_settings.start_from
        return settings.distillation if settings else 0.0

    def distilled(
        self,
        loss: Tensor,
        outputs: Tensor,
        of_teacher: Callable[[Self], Tensor],
        distance: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """The loss to minimize: (1 − d)·loss + d·distance(model, teacher), or just the loss where there is no teacher.

        Args:
            loss: that of the data, a scalar.
            outputs: what is predicted; by default logits, (..., classes).
            of_teacher: computes the same with another model.
            distance: a scalar of ``outputs`` and of those of the teacher, such as ``F.mse_loss`` for a regression; by
                default the Kullback–Leibler divergence KL(teacher ‖ model) of what the logits say.

        """
        for teacher in self._teacher:
            with torch.no_grad():
                expected = of_teacher(teacher.to(self.device))
            divergence = (distance or distillation)(outputs, expected)
            loss = (1 - self._distillation) * loss + self._distillation * divergence
        return loss

    def lstms(self) -> Iterator[tuple[str, CompressedLSTM]]:
        """All compressed LSTMs, with their names in the task."""
        return ((name, module) for name, module in self.named_modules() if isinstance(module, CompressedLSTM))

    def named_matrices(self) -> Iterator[tuple[str, Matrix]]:
        """All compressed weight matrices, each with a name such as ``lstm.weight_ih_l0``."""
        for lstm_name, lstm in self.lstms():
            for name, matrix in zip(lstm.matrices, lstm.weight_matrices(), strict=True):
                yield f"{lstm_name}.{name}", matrix

    def matrices(self) -> Iterator[Matrix]:
        """All compressed weight matrices."""
        return (matrix for _, matrix in self.named_matrices())

    def size(self) -> Size:
        """Size of all LSTM weight matrices at this moment."""
        return sum((matrix.size() for matrix in self.matrices()), Size(0, 0, 0))

    def uncompressed_size(self) -> Size:
        """Size of the same matrices if they were dense."""
        return sum((dense_size(matrix.shape) for matrix in self.matrices()), Size(0, 0, 0))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimizer of the settings, its learning rate a pure function of the step."""
        settings = self.training_settings
        optimizer: Optimizer
        if settings.optimizer != "adamw":
            optimizer = SGD(self.parameters(), lr=settings.learning_rate)
        else:
            # A fused one would unscale gradients by itself, which Lightning does not clip then.
            fused = self.trainer.precision == "32-true"
            optimizer = AdamW(self.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=fused)
        # Not `estimated_stepping_batches`: asked for here, it makes Lightning forget where in the epoch a checkpoint was.
        steps_an_epoch = len(self.trainer.datamodule.train_dataloader())  # type: ignore[attr-defined]
        total = settings.epochs * steps_an_epoch

        def rate(step: int) -> float:
            decayed = decayed_rate(step // steps_an_epoch, decay=settings.decay, decay_after=settings.decay_after)
            return decayed * cooled_rate(step, total=total, cooldown=settings.cooldown)

        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, rate), "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Scale the gradients of factors first, if the settings say so: what is clipped is what the step will be."""
        if self.training_settings.optimizer == "scaled_sgd":
            of_tokens = (module for module in self.modules() if isinstance(module, TokenMatrix))
            for matrix in (*self.matrices(), *of_tokens):
                matrix.scale_gradients()
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the random state of the CPU and of the GPU in use."""
        checkpoint["random_state"] = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            checkpoint["random_state"]["cuda"] = torch.cuda.get_rng_state(self.device)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the random state until training goes on: setting up may draw numbers."""
        self._random_state = checkpoint["random_state"]

    def on_train_start(self) -> None:
        """Go on with the random numbers where the checkpoint was."""
        if self._random_state is not None:
            torch.set_rng_state(self._random_state["cpu"].cpu())
            if "cuda" in self._random_state and self.device.type == "cuda":
                torch.cuda.set_rng_state(self._random_state["cuda"].cpu(), self.device)
            self._random_state = None


def initialize_uniformly(module: nn.Module, bound: float) -> None:
    """Draw all parameters of a module uniformly from ± bound; factors so that their product varies as much."""
    if isinstance(module, TokenMatrix):
        module.redraw(bound / 3**0.5)
    factors = {"u", "v"} if isinstance(module, TokenMatrix) else set()
    for name, parameter in module.named_parameters():
        if name not in factors:
            nn.init.uniform_(parameter, -bound, bound)


def detached(state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The same recurrent state, with its history cut."""
    return state[0].detach(), state[1].detach()


Task = TaskModule
"""Its former name, for tasks of your own that were written against it."""
