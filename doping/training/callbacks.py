"""The annealer as a callback of trainers that own the loop: Lightning's, and that of Hugging Face Transformers.

This module imports neither of them: whoever has such a trainer has imported its package.
"""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

from doping.errors import CompressionError
from doping.training.annealing import Annealer


class LightningHooks:
    """What a callback of Lightning does to anneal; to be mixed into its ``Callback``, as :func:`lightning` does.

    All follows from the step and the masks in the checkpoint; where saliency decides what is pruned, there is a state: the
    running mean of the squared gradient of each sparse matrix.
    """

    def __init__(self, total_steps: int | None = None):
        self.total_steps = total_steps
        self.annealer: Annealer | None = None
        self._loaded: dict[str, Any] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Be where the schedule is at the first step, or at the step of the checkpoint."""
        self.annealer = Annealer(pl_module, self.total_steps or _estimated(trainer))
        self.annealer.squared_gradients = self._loaded
        self.annealer.start_at(trainer.global_step)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Go on with the running means: the gradients are clipped after this."""
        if self.annealer:
            self.annealer.note_gradients()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Re-mask, then prune for the next step."""
        if self.annealer:
            self.annealer.advance_to(trainer.global_step)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Say so if the model is not as small as was asked, because the training ended early."""
        if self.annealer and (unfinished := self.annealer.unfinished()):
            warnings.warn(unfinished, stacklevel=2)

    def state_dict(self) -> dict[str, Any]:
        """The running means, for the checkpoint."""
        return {"squared_gradients": self.annealer.squared_gradients if self.annealer else self._loaded}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with those of the checkpoint."""
        self._loaded = state_dict["squared_gradients"]


class HuggingFaceHooks:
    """What a callback of Transformers does to anneal; mixed into its ``TrainerCallback`` by :func:`hugging_face`."""

    def __init__(self, total_steps: int | None = None):
        self.total_steps = total_steps
        self.annealer: Annealer | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Be where the schedule is at the first step, or at the step of the checkpoint."""
        self.annealer = Annealer(more["model"], self.total_steps or state.max_steps)
        self.annealer.start_at(state.global_step)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Go on with the running means."""
        if self.annealer:
            self.annealer.note_gradients()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Re-mask, then prune for the next step; the trainer counts the step after this."""
        if self.annealer:
            self.annealer.advance_to(state.global_step + 1)

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Say so if the model is not as small as was asked."""
        if self.annealer and (unfinished := self.annealer.unfinished()):
            warnings.warn(unfinished, stacklevel=2)


def lightning(total_steps: int | None = None) -> Any:
    """A callback for ``Trainer(callbacks=[...])`` of ``pytorch_lightning`` or ``lightning.pytorch``, whichever is imported.

    Args:
        total_steps: optimizer steps of the whole training; by default what the trainer estimates. It cannot for a stream
            without a length, or where only the time is limited.

    Raises:
        CompressionError: none of them is imported; or, when the training starts, the trainer does not know the steps.

    """
    return _made(LightningHooks, ("pytorch_lightning", "lightning.pytorch"), "Callback", total_steps)


def hugging_face(total_steps: int | None = None) -> Any:
    """A callback for ``Trainer(callbacks=[...])`` of ``transformers``; as :func:`lightning`."""
    return _made(HuggingFaceHooks, ("transformers",), "TrainerCallback", total_steps)


def _made(hooks: type, packages: tuple[str, ...], base: str, total_steps: int | None) -> Any:
    found = [sys.modules[package] for package in packages if package in sys.modules]
    if not found:
        raise CompressionError(
            f"{' or '.join(packages)} is not imported; import it before making the callback for its trainer"
        )
    return type("Annealing", (hooks, getattr(found[0], base)), {"__module__": __name__})(total_steps)


def _estimated(trainer: Any) -> int:
    estimated = trainer.estimated_stepping_batches
    if not 0 < estimated < math.inf:
        raise CompressionError(
            f"the number of steps of this training is unknown (the trainer estimates {estimated}: its data have no length, "
            "or only the time is limited); give it as total_steps of the annealing callback, or as max_steps of the trainer"
        )
    return int(estimated)
