"""What is trained: the LightningModule of every task, and the callbacks around it; :func:`build` gives any of them.

The weights themselves, and all that is known about them, are those of the library ``doping``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from doping.families import methods
from doping.method import Method

if TYPE_CHECKING:
    from lightning_modules.task import TaskModule

__all__ = ["build"]


class Buildable(Protocol):
    """Settings of a task: any of ``tasks/``, or one of your own."""

    def build(self, method: Method) -> tuple[TaskModule, Any]:
        """The model, its weights drawn at random, and its data."""


def build(task: Buildable, method: Method) -> TaskModule:
    """The LightningModule of any method on any task: what ``pytorch_lightning.Trainer.fit`` takes.

        model = build(LanguageModelTask(), Method(name="doped_kp", factor=20))

    All of them have one interface, that of :class:`lightning_modules.task.TaskModule`: ``training_step`` and its like as
    Lightning has them, ``metric`` and ``measured()`` for the quality, ``named_matrices()`` and ``size()`` for the weights.
    The callback ``lightning_modules.callbacks.annealing.Annealing`` prunes sparse parts in the course of the training.

    Args:
        task: settings of a task, e.g. of ``tasks.language_model``. It reads its data, for the vocabulary decides the size of
            the model; ``task.build(method)`` gives both, for whoever wants the data as well.
        method: how the weights are compressed. Its name is one of {methods}. It may have a size and a width of its own.

    Raises:
        BudgetError: the method cannot reach its factor with the weights of this task; the nearest factors are named.
        DataError: the data cannot be had.

    """
    if method.size or method.units or method.embedding_rank:
        from doping.sizes import resolved

        whole: Any = task
        task, method = resolved(whole, method)
    model, _ = task.build(method)
    return model


if build.__doc__:  # Without documentation strings, as under ``python -OO``, there is none.
    build.__doc__ = build.__doc__.format(methods=", ".join(f"``{name}``" for name in methods()))
