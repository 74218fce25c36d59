"""The degradation curve of a training: validation loss against sparsity, a line a validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from doping.matrices import Doped, Matrix, Sparse
from doping.training.co_adaptation import Energy
from lightning_modules.callbacks.monitor import Adaptation, Monitor
from lightning_modules.task import TaskModule


@dataclass(frozen=True)
class MatrixPoint:
    """What was measured of one weight matrix with a sparse part."""

    matrix: str
    """Its name, e.g. ``lstm.weight_hh_l0``."""
    sparsity: float
    """Share of zeros in its sparse part."""
    energy_structured: float | None = None
    """As in ``CurvePoint``, of this matrix alone."""
    energy_sparse: float | None = None
    """As in ``CurvePoint``, of this matrix alone."""
    energy_cross: float | None = None
    """As in ``CurvePoint``, of this matrix alone."""


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
    values: int
    """Values that the LSTM's weight matrices have now."""
    bytes: int
    """Their bytes in the deployed format."""
    energy_structured: float | None = None
    """E‖M x‖² / (E‖M x‖² + E‖S x‖²): share of M in the energy of the pre-activations, all doped matrices together, over
    the inputs x of a small batch of the validation split. This and what follows is there for doped methods, where a
    ``Monitor`` measures it."""
    energy_sparse: float | None = None
    """E‖S x‖² / (E‖M x‖² + E‖S x‖²): the share of S."""
    energy_cross: float | None = None
    """2 E⟨M x, S x⟩ / (E‖M x‖² + E‖S x‖²), from -1, where the parts cancel, to 1."""
    validation_slice: float | None = None
    """The task's metric on that small batch, to compare the next two with."""
    validation_without_sparse: float | None = None
    """The same with S off."""
    validation_without_structured: float | None = None
    """The same with M off."""
    gradient_structured: float | None = None
    """Norm of the gradient of the parameters of M in the last step, before clipping."""
    gradient_sparse: float | None = None
    """Norm of the gradient of S in the last step, before clipping."""
    matrices: tuple[MatrixPoint, ...] = ()
    """What was measured of each matrix."""


class Curve(pl.Callback):
    """Measures the points of the curve and hands all of them to ``write`` after each validation."""

    def __init__(self, write: Callable[[list[CurvePoint]], None], monitor: Monitor | None = None):
        self.write = write
        self.monitor = monitor
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
        assert isinstance(pl_module, TaskModule)
        if trainer.state.fn != "fit":
            return
        size = pl_module.size()
        adaptation = self.monitor.measure(trainer, pl_module) if self.monitor else None
        point = CurvePoint(
            step=trainer.global_step,
            epoch=trainer.global_step / trainer.estimated_stepping_batches * pl_module.training_settings.epochs,
            sparsity=sparsity(pl_module),
            cmr_probability=max((m.cmr_probability for m in pl_module.modules() if isinstance(m, Doped)), default=0.0),
            training_loss=float(self._loss_sum) / max(self._steps, 1),
            validation=pl_module.measured(),
            values=size.values,
            bytes=size.bytes,
            matrices=tuple(matrix_points(pl_module.named_matrices(), adaptation)),
            **measured_fields(adaptation),
        )
        self._loss_sum, self._steps = torch.zeros(()), 0
        self.points.append(point)
        self.write(self.points)

    def state_dict(self) -> dict[str, Any]:
        """The points and the running sum, for the checkpoint."""
        points = [asdict(point) for point in self.points]
        return {"points": points, "loss_sum": self._loss_sum, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the curve of the checkpoint."""
        self.points = [
            CurvePoint(**point | {"matrices": tuple(MatrixPoint(**matrix) for matrix in point["matrices"])})
            for point in state_dict["points"]
        ]
        self._loss_sum, self._steps = state_dict["loss_sum"], state_dict["steps"]


def measured_fields(adaptation: Adaptation | None) -> dict[str, float]:
    """What a point says of co-adaptation, by the names of its fields."""
    if adaptation is None:
        return {}
    fields = {name: value for name, value in vars(adaptation).items() if isinstance(value, float)}
    return fields | _shares(adaptation.energy)


def matrix_points(matrices: Iterable[tuple[str, Matrix]], adaptation: Adaptation | None) -> Iterator[MatrixPoint]:
    """A point of each matrix that has a sparse part, of matrices with their names."""
    for name, matrix in matrices:
        if isinstance(matrix, Sparse | Doped):
            shares = _shares(adaptation.energy_of[name]) if adaptation and name in adaptation.energy_of else {}
            yield MatrixPoint(name, sparsity(matrix), **shares)


def _shares(energy: Energy) -> dict[str, float]:
    return {f"energy_{name}": share for name, share in vars(energy).items()}


def sparsity(module: torch.nn.Module) -> float:
    """Share of zeros in all sparse matrices of a module together; 0 where there are none."""
    matrices = [m for m in module.modules() if isinstance(m, Sparse)]
    values = sum(m.shape[0] * m.shape[1] for m in matrices)
    return 1 - sum(m.nonzeros() for m in matrices) / values if values else 0.0
