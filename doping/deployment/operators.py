"""The operators ``doping::linear`` and ``doping::recurrent``: a deployed layer as PyTorch, its exporter and its compiler
see it.

Both run on the CPU in float32, whatever floating type comes in, and give that type back. They have no gradient.

Legend: B batch, T steps, I inputs, O outputs, H hidden units.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from doping.deployment.packing import ready
from doping.inference.kernels.lengths import forward_to_lengths
from doping.inference.kernels.recurrent import Recurrent

_LIBRARY: Any = torch.library.Library("doping", "DEF")  # type: ignore[no-untyped-call]
_LIBRARY.define("linear(Tensor x, Tensor packed, int outputs) -> Tensor")
_LIBRARY.define(
    "recurrent(Tensor x, Tensor packed, Tensor? h, Tensor? c, Tensor? lengths, int outputs, int cells)"
    " -> (Tensor, Tensor, Tensor)"
)


def _linear(x: Tensor, packed: Tensor, outputs: int) -> Tensor:
    product, bias = ready(packed)
    y = torch.from_numpy(product(_numpy(x).reshape(-1, x.shape[-1])))
    if bias is not None:
        y += torch.from_numpy(bias)
    return y.view(*x.shape[:-1], outputs).to(x.dtype)


def _recurrent(
    x: Tensor, packed: Tensor, h: Tensor | None, c: Tensor | None, lengths: Tensor | None, outputs: int, cells: int
) -> tuple[Tensor, Tensor, Tensor]:
    return run(ready(packed)[0], x, h, c, lengths)


def run(
    layer: Recurrent, x: Tensor, h: Tensor | None, c: Tensor | None, lengths: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """A layer in one direction: x (T, B, I), h (B, O), c (B, H) → outputs (T, B, O), last h and c (empty where there is
    none).
    """
    x_TBI = _numpy(x)
    sizes = (layer.output_size, layer.hidden_size) if layer.has_cell_state else (layer.output_size,)
    zeros = (np.zeros((x_TBI.shape[1], size), np.float32) for size in sizes)
    state = [zero if part is None else _numpy(part) for part, zero in zip((h, c), zeros, strict=False)]
    if not x_TBI.shape[1]:  # as PyTorch's, which takes no sequence too
        y, last = np.zeros((len(x_TBI), 0, layer.output_size), np.float32), state
    elif lengths is None:
        y, *last = layer.forward(x_TBI, *state)
    else:
        y, *last = forward_to_lengths(layer, x_TBI, lengths.cpu().numpy(), *state)
    made = [torch.from_numpy(np.ascontiguousarray(part)).to(x.dtype) for part in (y, *last)]
    return made[0], made[1], made[2] if layer.has_cell_state else x.new_empty(0)


def _numpy(x: Tensor) -> Any:
    return x.detach().to(torch.float32).contiguous().numpy()


def _fake_linear(x: Tensor, packed: Tensor, outputs: int) -> Tensor:
    return x.new_empty(*x.shape[:-1], outputs)


def _fake_recurrent(
    x: Tensor, packed: Tensor, h: Tensor | None, c: Tensor | None, lengths: Tensor | None, outputs: int, cells: int
) -> tuple[Tensor, Tensor, Tensor]:
    steps, batch, _ = x.shape
    last_c = x.new_empty(batch, cells) if cells else x.new_empty(0)
    return x.new_empty(steps, batch, outputs), x.new_empty(batch, outputs), last_c


def _no_gradient(*_: Any) -> NoReturn:
    raise RuntimeError("a deployed layer has no gradient: train the compressed model, and deploy a copy of it")


for _name, _kernel, _fake in (("linear", _linear, _fake_linear), ("recurrent", _recurrent, _fake_recurrent)):
    _LIBRARY.impl(_name, _kernel, "CPU")
    torch.library.register_fake(f"doping::{_name}", _fake, lib=_LIBRARY)
    torch.library.register_autograd(f"doping::{_name}", _no_gradient, lib=_LIBRARY)


def _directly(x: Tensor) -> bool:
    """Whether nobody looks on: then the kernel is called without the dispatcher, which takes as long as a small layer."""
    watched = torch.is_grad_enabled() or torch._C._get_tracing_state() is not None or torch.compiler.is_compiling()
    return not watched and type(x) is Tensor and x.device.type == "cpu"


def linear(x: Tensor, packed: Tensor, outputs: int) -> Tensor:
    """X (..., I) → (..., O), with the weight and bias of these bytes."""
    if _directly(x):
        return _linear(x, packed, outputs)
    if torch.onnx.is_in_onnx_export():
        from doping.deployment import onnx_nodes

        return onnx_nodes.linear(x, packed, outputs)
    y: Tensor = torch.ops.doping.linear.default(x, packed, outputs)
    return y


def recurrent(
    x: Tensor, packed: Tensor, h: Tensor | None, c: Tensor | None, lengths: Tensor | None, outputs: int, cells: int
) -> tuple[Tensor, Tensor, Tensor]:
    """X (T, B, I) and a state h (B, O), c (B, H) → outputs (T, B, O) and the last state; ``cells`` is H, or 0 without c."""
    if _directly(x):
        return _recurrent(x, packed, h, c, lengths, outputs, cells)
    if torch.onnx.is_in_onnx_export():
        from doping.deployment import onnx_nodes

        return onnx_nodes.recurrent(x, packed, h, c, lengths, outputs, cells)
    y, last_h, last_c = torch.ops.doping.recurrent.default(x, packed, h, c, lengths, outputs, cells)
    return y, last_h, last_c
