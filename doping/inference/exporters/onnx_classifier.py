"""A classifier as an ONNX graph of a whole text.

All words of a text are known at once, and the layers may run in both directions. So the layers are ONNX's own ``LSTM``,
which ONNX Runtime runs fast. It takes dense weights only; they are written out of their small parts once, when the session
is made. The file stays small; time and memory are those of a dense model.

Legend of dimensions: T words, I inputs, H hidden units, D directions, C labels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from doping.inference.bundle.description import Classifier
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.weights import Cell, cells, table
from doping.inference.exporters.onnx_graph import Ends, Graph, value, written_out
from doping.inference.kernels import Matrix, widened

ONNX_GATES = (0, 3, 1, 2)
"""PyTorch's input, forget, cell, output in the order of ONNX: input, output, forget, cell."""


def classifier(graph: Graph, bundle: Bundle) -> Ends:
    """Embedding, layers, attention, softmax; returns the graph's inputs and outputs."""
    model = bundle.description.model
    assert isinstance(model, Classifier)
    embedding = graph.constant(table(bundle.tensors, "embedding").dense(), "embedding")
    batch = graph.constant(np.array([1]), "axis")
    y_T1I = graph.add("Unsqueeze", graph.add("Gather", embedding, "words"), batch)
    directions = 2 if model.lstm.bidirectional else 1
    all_cells = cells(bundle)
    for first in range(0, len(all_cells), directions):
        y_T1I = _layer(graph, all_cells[first : first + directions], model.lstm.hidden_size, y_T1I)
    y_TI = graph.add("Squeeze", y_T1I, batch)
    agreement_T = graph.add("MatMul", y_TI, graph.constant(bundle.tensors["attention"], "attention"))
    read_I = graph.add("MatMul", graph.add("Softmax", agreement_T, axis=0), y_TI)
    weight = graph.constant(table(bundle.tensors, "softmax.weight").dense(), "weight")
    bias = graph.constant(bundle.tensors["softmax.bias"], "bias")
    graph.add("Add", graph.add("MatMul", weight, read_I), bias, output="logits")
    return [value("words", TensorProto.INT64, ["words"])], [value("logits", TensorProto.FLOAT, [len(model.labels)])]


def _layer(graph: Graph, both: list[Cell], hidden: int, x_T1I: str) -> str:
    """Outputs of a layer in its directions, (T, 1, D·H)."""
    inputs = [_stacked(graph, [cell.input for cell in both]), _stacked(graph, [cell.recurrent for cell in both])]
    biases = [np.zeros(4 * hidden, np.float32) if cell.bias is None else cell.bias for cell in both]
    # ONNX has two biases, as PyTorch; the second is zero.
    both_DG = np.stack([np.concatenate([bias[_rows(hidden)], np.zeros(4 * hidden, np.float32)]) for bias in biases])
    direction = "bidirectional" if len(both) == 2 else "forward"
    y_TD1H = graph.add("LSTM", x_T1I, *inputs, graph.constant(both_DG, "bias"), direction=direction, hidden_size=hidden)
    y_T1DH = graph.add("Transpose", y_TD1H, perm=[0, 2, 1, 3])
    return str(graph.add("Reshape", y_T1DH, graph.constant(np.array([0, 1, len(both) * hidden]), "shape")))


def _stacked(graph: Graph, matrices: list[Matrix]) -> str:
    """The weights of all directions, (D, 4H, columns), with ONNX's order of the gates."""
    rows = graph.constant(_rows(matrices[0].shape[0] // 4), "rows")
    ordered = [graph.add("Gather", written_out(graph, widened(matrix)), rows, axis=0) for matrix in matrices]
    axis = graph.constant(np.array([0]), "axis")
    return str(graph.add("Concat", *(graph.add("Unsqueeze", weight, axis) for weight in ordered), axis=0))


def _rows(hidden: int) -> npt.NDArray[np.intp]:
    """Where ONNX's rows stand among PyTorch's."""
    return np.arange(4 * hidden).reshape(4, hidden)[list(ONNX_GATES)].ravel()
