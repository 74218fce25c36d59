"""What an application consists of, for whoever runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from doping.method import Method
from doping.settings import Settings
from lightning_modules.settings import Training

if TYPE_CHECKING:
    from data.task_data import TaskData
    from doping.matrices import Shape
    from lightning_modules.task import TaskModule


class TaskSettings(Settings, ABC):
    """All settings of a task, and how its data and its model are made from them.

    It is imported, and its data hashed, before anything heavy is needed: import PyTorch, Lightning and the model inside of
    the methods. If ``data`` has a field ``path``, a path that a user gives there is made absolute, and is not part of what
    identifies a trial: the hash says what was in it.
    """

    distills: ClassVar[bool] = False
    """Whether the model learns from the predictions of a dense one where ``training.start_from`` asks for it: whether its
    ``training_step`` calls ``distilled``."""

    name: str
    """Name of the task in ``tasks.registry``; a ``Literal`` with a default."""
    data: Settings
    """What is learned from."""
    model: Settings
    """The network."""
    training: Training
    """The regime."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Short name in tables, e.g. ``embedded-character``."""

    @abstractmethod
    def lstm_shapes(self) -> dict[str, Shape]:
        """Shapes of the weight matrices of every ``CompressedLSTM``, by their names in ``TaskModule.named_matrices``."""

    def with_units(self, units: int) -> Self:
        """The same task with LSTMs of another width: ``model.hidden``, unless a task says otherwise.

        Raises:
            ValueError: the model has no such setting, or cannot have that width.

        """
        content = self.model.model_dump()
        if "hidden" not in content:
            raise ValueError(f"the model of task {self.name} has no setting hidden: units cannot be given for it")
        model = type(self.model).model_validate({**content, "hidden": units})
        return self.model_copy(update={"model": model})

    def token_shapes(self) -> dict[str, Shape]:
        """Shapes of the matrices with a row for each token to which the model gives the rank ``method.embedding_rank``, by
        their names; none by default, and then that setting is refused. Raises ``DataError`` if the data cannot be had.
        """
        return {}

    def compressed(self, matrix: str) -> bool:
        """Whether a matrix of that name is compressed by the method, or stays dense."""
        return True

    @abstractmethod
    def data_hash(self) -> str:
        """SHA-256 in hex of the data as the model sees them.

        It is asked for before anything starts. So it also looks whether the data do for the settings of the training.
        Raises ``DataError`` if they do not, or cannot be had.
        """

    @abstractmethod
    def build(self, method: Method) -> tuple[TaskModule, TaskData]:
        """The model, its weights drawn at random, and its data. Raises ``DataError`` if they cannot be had."""
