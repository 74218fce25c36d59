"""A classifier as an ONNX graph of a whole text.

Legend of dimensions: T words, I inputs of a layer, C labels.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from doping.inference.bundle.description import ClassifierDescription
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.weights import cells, table
from doping.inference.exporters.onnx_graph import Ends, Graph, embedded, value
from doping.inference.exporters.onnx_sequence import layer


def classifier(graph: Graph, bundle: Bundle) -> Ends:
    """Embedding, layers, attention, softmax; returns the graph's inputs and outputs."""
    model = bundle.description.model
    assert isinstance(model, ClassifierDescription)
    batch = graph.constant(np.array([1]), "axis")
    y_T1I = graph.add("Unsqueeze", embedded(graph, table(bundle.tensors, "embedding"), "words"), batch)
    directions = 2 if model.lstm.bidirectional else 1
    all_cells = cells(bundle)
    for first in range(0, len(all_cells), directions):
        y_T1I = layer(graph, all_cells[first : first + directions], model.lstm.hidden_size, y_T1I)[0]
    y_TI = graph.add("Squeeze", y_T1I, batch)
    agreement_T = graph.add("MatMul", y_TI, graph.constant(bundle.tensors["attention"], "attention"))
    read_I = graph.add("MatMul", graph.add("Softmax", agreement_T, axis=0), y_TI)
    weight = graph.constant(table(bundle.tensors, "softmax.weight").dense(), "weight")
    bias = graph.constant(bundle.tensors["softmax.bias"], "bias")
    graph.add("Add", graph.add("MatMul", weight, read_I), bias, output="logits")
    return [value("words", TensorProto.INT64, ["words"])], [value("logits", TensorProto.FLOAT, [len(model.labels)])]
