"""Layers over a whole sequence, in one direction or both, as ONNX's own ``LSTM``, which ONNX Runtime runs fast.

It takes dense weights only; they are written out of their small parts once, when the session is made. The file stays
small; time and memory are those of a dense model.

Legend of dimensions: T steps, B batch, I inputs, H hidden units, D directions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from doping.inference.bundle.file import Bundle
from doping.inference.bundle.weights import LayerWeights, cells
from doping.inference.exporters.onnx_graph import Ends, Graph, value, written_out
from doping.inference.kernels import Matrix, widened

ONNX_GATES = (0, 3, 1, 2)
"""PyTorch's input, forget, cell, output in the order of ONNX: input, output, forget, cell."""


def sequence(graph: Graph, bundle: Bundle) -> Ends:
    """The layers of an LSTM in both directions; returns the graph's inputs and outputs."""
    lstm = bundle.description.model.lstm
    y, lengths, all_cells = "x", "lengths", cells(bundle)
    last: tuple[list[str], list[str]] = ([], [])
    for first in range(0, len(all_cells), 2):
        y, *state = layer(graph, all_cells[first : first + 2], lstm.hidden_size, y, lengths)
        for parts, part in zip(last, state, strict=True):
            parts.append(part)
    graph.add("Identity", y, output="y")
    for name, parts in zip(("last_h", "last_c"), last, strict=True):
        graph.add("Concat", *parts, output=name, axis=0)
    inputs = [
        value("x", TensorProto.FLOAT, ["time", "batch", lstm.input_size]),
        value(lengths, TensorProto.INT32, ["batch"]),
    ]
    shape: list[int | str] = [2 * lstm.layers, "batch", lstm.hidden_size]
    outputs = [value("y", TensorProto.FLOAT, ["time", "batch", 2 * lstm.hidden_size])]
    return inputs, outputs + [value(name, TensorProto.FLOAT, shape) for name in ("last_h", "last_c")]


def layer(graph: Graph, both: list[LayerWeights], hidden: int, x_TBI: str, lengths_B: str = "") -> tuple[str, str, str]:
    """Outputs of a layer in its directions, (T, B, D·H), and its last state, twice (D, B, H); lengths as int32, or none."""
    inputs = [_stacked(graph, [cell.input for cell in both]), _stacked(graph, [cell.recurrent for cell in both])]
    biases = [np.zeros(4 * hidden, np.float32) if cell.bias is None else cell.bias for cell in both]
    # ONNX has two biases, as PyTorch; the second is zero.
    both_DG = np.stack([np.concatenate([bias[_rows(hidden)], np.zeros(4 * hidden, np.float32)]) for bias in biases])
    direction = "bidirectional" if len(both) == 2 else "forward"
    bias = graph.constant(both_DG, "bias")
    attributes: dict[str, Any] = {"direction": direction, "hidden_size": hidden}
    y_TDBH, last_h, last_c = graph.add("LSTM", x_TBI, *inputs, bias, lengths_B, count=3, **attributes)
    y_TBDH = graph.add("Transpose", y_TDBH, perm=[0, 2, 1, 3])
    y_TBO = graph.add("Reshape", y_TBDH, graph.constant(np.array([0, 0, len(both) * hidden]), "shape"))
    return y_TBO, last_h, last_c


def _stacked(graph: Graph, matrices: list[Matrix]) -> str:
    """The weights of all directions, (D, 4H, columns), with ONNX's order of the gates."""
    rows = graph.constant(_rows(matrices[0].shape[0] // 4), "rows")
    ordered = [graph.add("Gather", written_out(graph, widened(matrix)), rows, axis=0) for matrix in matrices]
    axis = graph.constant(np.array([0]), "axis")
    return str(graph.add("Concat", *(graph.add("Unsqueeze", weight, axis) for weight in ordered), axis=0))


def _rows(hidden: int) -> npt.NDArray[np.intp]:
    """Where ONNX's rows stand among PyTorch's."""
    return np.arange(4 * hidden).reshape(4, hidden)[list(ONNX_GATES)].ravel()
