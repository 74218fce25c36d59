"""Deployed layers as ONNX's exporter sees them: small products, and ONNX's own recurrent layers.

The weights of these are written out of their small parts. ONNX Runtime writes them out once, when the session is made:
the file is small, time and memory of a recurrent layer are those of a dense one. A linear layer stays small products,
but for a sparse part.

Legend: T steps, B batch, I inputs, O outputs, H hidden units, M rows of a weight, N columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from doping.deployment.packing import Unpacked
from doping.errors import InferenceError
from doping.inference.exporters.onnx_graph import Builder, product, written_out
from doping.inference.kernels import Matrix, multiply
from doping.inference.kernels.recurrent import GATES

ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn_tanh": (0,), "rnn_relu": (0,)}
"""PyTorch's gates in the order of ONNX: input, output, forget, cell; or update, reset, new."""
OPERATORS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {"linear_before_reset": 1}),
    "rnn_tanh": ("RNN", {"activations": ["Tanh"]}),
    "rnn_relu": ("RNN", {"activations": ["Relu"]}),
}


def linear(x: Tensor, packed: Tensor, outputs: int) -> Tensor:
    """As the operator ``doping::linear``."""
    layer = Unpacked(packed)
    y: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]), layer.matrices["weight"]).view(*x.shape[:-1], outputs)  # type: ignore[no-untyped-call]
    return y + torch.from_numpy(layer.arrays["bias"]) if "bias" in layer.arrays else y


def recurrent(
    x: Tensor, packed: Tensor, h: Tensor | None, c: Tensor | None, lengths: Tensor | None, outputs: int, cells: int
) -> tuple[Tensor, Tensor, Tensor]:
    """As the operator ``doping::recurrent``."""
    layer = Unpacked(packed)
    if "projection" not in layer.matrices:
        y, last_h, last_c = _Recurrent.apply(x, h, c, None if lengths is None else lengths.to(torch.int32), layer)  # type: ignore[no-untyped-call]
        return y, last_h, last_c
    if lengths is not None:
        raise InferenceError("a packed LSTM with a projection cannot be written to ONNX; export it unpacked")
    weights = [_WrittenOut.apply(layer.matrices[name]) for name in ("input", "recurrent", "projection")]  # type: ignore[no-untyped-call]
    zeros = torch.zeros(weights[0].shape[0])
    biases = [
        torch.from_numpy(layer.arrays[name]) if name in layer.arrays else zeros for name in ("input_bias", "recurrent_bias")
    ]
    h = x.new_zeros(x.shape[1], outputs) if h is None else h
    c = x.new_zeros(x.shape[1], cells) if c is None else c
    made: tuple[Tensor, Tensor, Tensor] = _projected(x, h, c, *weights, biases[0] + biases[1], layer.described["reverse"])
    return made


@torch.jit.script  # ONNX has no LSTM with a projection: a loop over the steps, which tracing would unroll
def _projected(
    x: Tensor, h: Tensor, c: Tensor, input: Tensor, recurrent: Tensor, projection: Tensor, bias: Tensor, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    z = torch.matmul(x, input.t()) + bias
    outputs: list[Tensor] = []
    if reverse:
        z = z.flip(0)
    for t in range(x.size(0)):
        gates = torch.select(z, 0, t) + torch.matmul(h, recurrent.t())
        i, f, g, o = gates.chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.matmul(torch.sigmoid(o) * torch.tanh(c), projection.t())
        outputs.append(h)
    y = torch.stack(outputs)
    if reverse:
        y = y.flip(0)
    return y, h, c


class TorchGraph(Builder):
    """The exporter's graph, as ``onnx_graph`` adds to one."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def add(self, operator: str, *inputs: Any, count: int = 1, **attributes: Any) -> Any:
        """Add a node; returns its output, or with ``count`` its outputs."""
        typed = {}
        for name, value in attributes.items():
            if isinstance(value, onnx.TensorProto):
                typed[f"{name}_t"] = torch.from_numpy(numpy_helper.to_array(value).copy())
            else:
                first = value[0] if isinstance(value, list) else value
                typed[f"{name}_{'s' if isinstance(first, str) else 'i'}"] = value
        return self._graph.op(operator, *inputs, outputs=count, **typed)

    def constant(self, array: npt.ArrayLike, name: str) -> Any:
        """Add a constant."""
        array = np.ascontiguousarray(array)
        if array.dtype == np.uint16:  # which PyTorch hardly knows
            array = array.astype(np.int16 if array.max(initial=0) < 1 << 15 else np.int32)
        return self._graph.op("Constant", value_t=torch.from_numpy(array.copy()))

    def nothing(self) -> Any:
        """An optional input that is not given."""
        value = self._graph.op("prim::Constant")
        value.setType(torch._C.OptionalType.ofTensor())
        return value


class _Product(torch.autograd.Function):
    """(B, N) → (B, M)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Matrix) -> Tensor:
        return torch.from_numpy(multiply(matrix, x.detach().numpy()))

    @staticmethod
    def symbolic(g: Any, x: Any, matrix: Matrix) -> Any:
        made = product(TorchGraph(g), matrix, x)
        made.setType(x.type().with_sizes([None, matrix.shape[0]]))
        return made


class _WrittenOut(torch.autograd.Function):
    """A matrix, (M, N)."""

    @staticmethod
    def forward(ctx: Any, matrix: Matrix) -> Tensor:
        return torch.from_numpy(matrix.dense())

    @staticmethod
    def symbolic(g: Any, matrix: Matrix) -> Any:
        made = written_out(TorchGraph(g), matrix)
        made.setType(torch._C.TensorType.get().with_dtype(torch.float32).with_sizes(list(matrix.shape)))
        return made


class _Recurrent(torch.autograd.Function):
    """x (T, B, I), h (B, O), c (B, H) → outputs (T, B, O), last h and c."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor | None, c: Tensor | None, lengths: Tensor | None, layer: Unpacked
    ) -> tuple[Tensor, Tensor, Tensor]:
        from doping.deployment.operators import run

        y, last_h, last_c = run(layer.ready(), x, h, c, lengths)
        return y, last_h, last_c

    @staticmethod
    def symbolic(g: Any, x: Any, h: Any, c: Any, lengths: Any, layer: Unpacked) -> Any:
        graph, kind = TorchGraph(g), layer.described["kind"]
        hidden = layer.matrices["input"].shape[0] // GATES[kind]
        rows = np.arange(GATES[kind] * hidden).reshape(-1, hidden)[list(ORDER[kind])].ravel()
        first = graph.constant(np.array([0]), "axis")

        def weight(name: str) -> Any:
            ordered = graph.add("Gather", written_out(graph, layer.matrices[name]), graph.constant(rows, "rows"), axis=0)
            return graph.add("Unsqueeze", ordered, first)

        bias = graph.nothing()
        if "input_bias" in layer.arrays:
            both = [layer.arrays[name][rows] for name in ("input_bias", "recurrent_bias")]
            bias = graph.constant(np.concatenate(both)[None], "bias")
        operator, attributes = OPERATORS[kind]
        lstm = kind == "lstm"
        state = [
            graph.nothing() if part is None else graph.add("Unsqueeze", part, first) for part in ((h, c) if lstm else (h,))
        ]
        steps = graph.nothing() if lengths is None else lengths
        direction = "reverse" if layer.described["reverse"] else "forward"
        made = graph.add(
            operator, x, weight("input"), weight("recurrent"), bias, steps, *state,
            count=3 if lstm else 2, hidden_size=hidden, direction=direction, **attributes,
        )  # fmt: skip
        # (T, 1, B, H) and (1, B, H), the 1 being the direction.
        y = graph.add("Squeeze", made[0], graph.constant(np.array([1]), "axis"))
        last = [graph.add("Squeeze", part, first) for part in made[1:]]
        y.setType(x.type().with_sizes([None, None, hidden]))
        for part in last:
            part.setType(x.type().with_sizes([None, hidden]))
        return y, last[0], last[1] if lstm else graph.constant(np.zeros(0, np.float32), "none")
