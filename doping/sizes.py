"""The sizes that a method will have on a task, known before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from doping.matrices import Shape, Size, plan_matrix
from doping.matrices.budget import dense_size
from doping.method import Method


@dataclass(frozen=True)
class PlannedSizes:
    """Size of all LSTM weight matrices together, once annealing is over and if they were dense."""

    compressed: Size
    dense: Size
    matrices: dict[str, str]
    """What is planned for each matrix, by its name in the task."""


class HasMatrices(Protocol):
    """A task, as far as its sizes go."""

    def lstm_shapes(self) -> dict[str, Shape]:
        """Shapes of all LSTM weight matrices, by their names in the task."""
        ...

    def compressed(self, matrix: str) -> bool:
        """Whether the matrix of this name is compressed."""
        ...


def plan_sizes(task: HasMatrices, method: Method) -> PlannedSizes:
    """Plan all matrices of a task.

    Raises:
        BudgetError: if the method cannot come within 1 % of the factor; the message names the nearest ones.
        ValueError: if given Kronecker factors do not divide a matrix.

    """
    shapes, dense = task.lstm_shapes(), Method()
    plans = {name: plan_matrix(method if task.compressed(name) else dense, shape) for name, shape in shapes.items()}
    return PlannedSizes(
        compressed=sum((plan.size() for plan in plans.values()), Size(0, 0, 0)),
        dense=sum((dense_size(shape) for shape in shapes.values()), Size(0, 0, 0)),
        matrices={name: str(plan) for name, plan in plans.items()},
    )
