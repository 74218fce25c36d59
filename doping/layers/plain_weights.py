"""Reading the weight of a layer, however it is made, and taking it away.

What PyTorch's own tools put in place of a weight (``torch.nn.utils.prune``, ``weight_norm``, ``spectral_norm`` and all other
parametrizations) is read as the tensor that it gives, and removed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize, prune

from doping.errors import CompressionError


def read(layer: nn.Module, name: str, shown: str) -> Tensor:
    """The weight of a layer as a tensor, (m, n).

    Args:
        layer: a layer.
        name: of the weight in the layer.
        shown: its name in messages.

    Raises:
        CompressionError: it has no values yet, is no matrix of floating-point numbers, or has values that are not finite.

    """
    weight = getattr(layer, name)
    if is_lazy(weight):
        raise CompressionError(f"{shown} has no shape yet; run a batch through the model first")
    if not isinstance(weight, Tensor) or weight.dim() != 2:
        raise CompressionError(f"{shown} is a {type(weight).__name__}; expected a tensor of two dimensions")
    if weight.is_meta:
        raise CompressionError(f"{shown} is on the device meta, without values; load the weights before compressing")
    if weight.dtype not in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        raise CompressionError(f"{shown} has numbers of type {weight.dtype}; expected float32, float64, bfloat16 or float16")
    if not weight.isfinite().all():
        raise CompressionError(
            f"{shown} has values that are not finite; train the dense model anew, or load another checkpoint"
        )
    return weight


def widened(weight_MN: Tensor) -> Tensor:
    """A weight in float32 at least: decompositions do not exist for numbers of 16 bits, and would be inexact."""
    return weight_MN.detach().to(torch.promote_types(weight_MN.dtype, torch.float32))


def free_(layer: nn.Module, name: str) -> None:
    """Take a weight out of a layer, with all that makes it."""
    if parametrize.is_parametrized(layer, name):
        parametrize.remove_parametrizations(layer, name, leave_parametrized=True)
    hooks: dict[int, Any] = layer._forward_pre_hooks
    for key, hook in list(hooks.items()):
        if isinstance(hook, prune.BasePruningMethod) and hook._tensor_name == name:
            prune.remove(layer, name)  # type: ignore[no-untyped-call]
        elif getattr(hook, "name", None) == name and hasattr(
            hook, "compute_weight"
        ):  # weight_norm and spectral_norm as hooks
            del hooks[key]
            for part in ("_g", "_v", "_orig", "_u"):
                layer._parameters.pop(name + part, None)
                layer._buffers.pop(name + part, None)
    for parts in (layer._parameters, layer._buffers, layer.__dict__):
        parts.pop(name, None)
    layer._parameters.pop(f"{name}_raw", None)  # what weight drop makes it from
