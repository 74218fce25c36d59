"""Whether what was computed from the tensors of modules is still what they give."""

from __future__ import annotations

from operator import attrgetter, is_
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook


class Origin:
    """All tensors of a module and of those in it, as they are when this is made.

    In-place operations are seen by the versions of the tensors, replaced tensors by their identity, moved ones by their
    place. Fused optimizers change no version, so every step of any optimizer counts as a change. What is written through
    ``tensor.data`` PyTorch does not count, and it is not seen here.
    """

    def __init__(self, module: nn.Module):
        entries: list[tuple[dict[str, Any], str, Any]] = []
        for part in module.modules():
            for held in (part._modules, part._parameters, part._buffers):
                entries += [(held, name, thing) for name, thing in held.items()]
        # Everything is held, so that nothing new gets the identity of something old.
        self._holders = [holder for holder, _, _ in entries]
        self._names = [name for _, name, _ in entries]
        self._things = [thing for _, _, thing in entries]
        self._tensors = [thing for thing in self._things if isinstance(thing, Tensor)]
        self._lasting = True
        try:
            self._versions, self._places = [*map(_version, self._tensors)], [*map(Tensor.data_ptr, self._tensors)]
        except RuntimeError:  # tensors of inference mode have no version, those of function transforms no place
            self._lasting = False
        self._circumstances = _circumstances()

    def holds(self) -> bool:
        """Whether nothing has changed since, and types of numbers are chosen as then."""
        # Asked in every forward pass, where a loop in Python takes longer than a small layer.
        return (
            self._lasting
            and self._circumstances == _circumstances()
            and all(map(is_, map(dict.get, self._holders, self._names), self._things))
            and [*map(_version, self._tensors)] == self._versions
            and [*map(Tensor.data_ptr, self._tensors)] == self._places
        )


_version = attrgetter("_version")
_optimizer_steps = 0


def _count(*_: Any) -> None:
    global _optimizer_steps
    _optimizer_steps += 1


register_optimizer_step_post_hook(_count)


def _circumstances() -> tuple[int, bool, bool]:
    if not torch._C._is_any_autocast_enabled():
        return _optimizer_steps, False, False
    return _optimizer_steps, torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")
