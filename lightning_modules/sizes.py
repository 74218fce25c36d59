"""The sizes that a method will have on a task, known before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_modules.lstm import weight_shapes
from lightning_modules.matrices import Shape, Size, plan_matrix
from lightning_modules.matrices.budget import dense_size
from lightning_modules.settings import Method, TaskSettings


@dataclass(frozen=True)
class PlannedSizes:
    """Size of all LSTM weight matrices together, once annealing is over and if they were dense."""

    compressed: Size
    dense: Size
    matrices: dict[str, str]
    """What is planned for each matrix, by its name in ``nn.LSTM``."""


def lstm_shapes(task: TaskSettings) -> dict[str, Shape]:
    """Shapes of the LSTM weight matrices of a task's model."""
    model = task.model
    return weight_shapes(model.hidden, model.hidden, model.layers)


def plan_sizes(task: TaskSettings, method: Method) -> PlannedSizes:
    """Plan all matrices of a task.

    Raises:
        BudgetError: if the method cannot come within 1 % of the factor; the message names the nearest ones.
        ValueError: if given Kronecker factors do not divide a matrix.

    """
    shapes = lstm_shapes(task)
    plans = {name: plan_matrix(method, shape) for name, shape in shapes.items()}
    return PlannedSizes(
        compressed=sum((plan.size() for plan in plans.values()), Size(0, 0, 0)),
        dense=sum((dense_size(shape) for shape in shapes.values()), Size(0, 0, 0)),
        matrices={name: str(plan) for name, plan in plans.items()},
    )
