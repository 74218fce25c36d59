"""Whether what was computed from the tensors of modules is still what they give."""

from __future__ import annotations

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
        # Everything is held, so that nothing new gets the identity of something old.
        self._entries: list[tuple[dict[str, Any], str, Any]] = []
        self._states: list[tuple[Tensor, int, int]] = []
        self._lasting = True
        for part in module.modules():
            self._entries += [(part._modules, name, inner) for name, inner in part._modules.items()]
            for tensors in (part._parameters, part._buffers):
                for name, tensor in tensors.items():
                    self._entries.append((tensors, name, tensor))
                    if tensor is not None:
                        self._note(tensor)
        self._circumstances = _circumstances()

    def _note(self, tensor: Tensor) -> None:
        try:
            self._states.append((tensor, tensor._version, tensor.data_ptr()))
        except RuntimeError:  # tensors of inference mode have no version, those of function transforms no place
            self._lasting = False

    def holds(self) -> bool:
        """Whether nothing has changed since, and types of numbers are chosen as then."""
        if not self._lasting or self._circumstances != _circumstances():
            return False
        for holder, name, thing in self._entries:
            if holder.get(name) is not thing:
                return False
        for tensor, version, place in self._states:  # noqa: SIM110 - loops are fast, and this is asked in every forward pass
            if tensor._version != version or tensor.data_ptr() != place:
                return False
        return True


_optimizer_steps = 0


def _count(*_: Any) -> None:
    global _optimizer_steps
    _optimizer_steps += 1


register_optimizer_step_post_hook(_count)


def _circumstances() -> tuple[int, bool, bool]:
    return _optimizer_steps, torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")
