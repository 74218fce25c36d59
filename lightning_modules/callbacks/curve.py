"""The degradation curve of a training: validation loss against sparsity, a line a validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from lightning_modules.matrices import Doped, Sparse
from lightning_modules.task import Task


@dataclass(frozen=True)
class CurvePoint:
    """What was measured at one validation."""

    step: int
    """Optimizer steps done."""
    epoch: float
    """Passes over the training split done."""
    sparsity: float
    """Share of zeros in all sparse matrices together; 0 where there are none."""
    cmr_probability: float
    """Row dropout in force."""
    training_loss: float
    """Mean loss of a token in nats, with dropout, over the steps since the last validation."""
    validation: float
    """The task's metric."""


class Curve(pl.Callback):
    """Measures the points of the curve and hands all of them to ``write`` after each validation."""

    def __init__(self, write: Callable[[list[CurvePoint]], None]):
        self.write = write
        self.points: list[CurvePoint] = []
        self._loss_sum = torch.zeros(())
        self._steps = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the loss of the step."""
        self._loss_sum = self._loss_sum.to(outputs["nats"].device) + outputs["nats"]
        self._steps += 1

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add a point."""
        assert isinstance(pl_module, Task)
        if trainer.state.fn != "fit":
            return
        point = CurvePoint(
            step=trainer.global_step,
            epoch=trainer.global_step / trainer.estimated_stepping_batches * pl_module.training_settings.epochs,
            sparsity=sparsity(pl_module),
            cmr_probability=max((m.cmr_probability for m in pl_module.modules() if isinstance(m, Doped)), default=0.0),
            training_loss=float(self._loss_sum) / max(self._steps, 1),
            validation=pl_module.measured(),
        )
        self._loss_sum, self._steps = torch.zeros(()), 0
        self.points.append(point)
        self.write(self.points)
        if trainer.logger:
            trainer.logger.log_metrics(asdict(point), step=point.step)

    def state_dict(self) -> dict[str, Any]:
        """The points and the running sum, for the checkpoint."""
        points = [asdict(point) for point in self.points]
        return {"points": points, "loss_sum": self._loss_sum, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the curve of the checkpoint."""
        self.points = [CurvePoint(**point) for point in state_dict["points"]]
        self._loss_sum, self._steps = state_dict["loss_sum"], state_dict["steps"]


def sparsity(module: torch.nn.Module) -> float:
    """Share of zeros in all sparse matrices of a module together; 0 where there are none."""
    matrices = [m for m in module.modules() if isinstance(m, Sparse)]
    values = sum(m.shape[0] * m.shape[1] for m in matrices)
    return 1 - sum(m.nonzeros() for m in matrices) / values if values else 0.0
