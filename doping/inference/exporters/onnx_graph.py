"""Parts of an ONNX graph: constants, nodes, and the weights of a compressed LSTM as operators.

Legend of dimensions: B batch, M rows, N columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from doping.inference.kernels import Matrix, Sparse, Sum, Tiles

Ends = tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]
"""Inputs and outputs of a graph."""


class Graph:
    """Nodes and constants as they are added; names are numbered."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, output: str | None = None, count: int = 1, **attributes: Any) -> Any:
        """Add a node; returns the name of its output, or their names."""
        first = output or f"{operator}_{len(self.nodes)}"
        names = [first] if count == 1 else [f"{first}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return first if count == 1 else names

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output; returns its name."""
        return str(self.add(operator, *inputs, **attributes))

    def multiply(self, weight_MN: npt.NDArray[np.float32], x: str) -> str:
        """Add the product of a weight with a batch, (B, N) → (B, M); returns its name."""
        return self.node("Gemm", x, self.constant(weight_MN, "weight"), transB=1)

    def constant(self, array: npt.ArrayLike, name: str) -> str:
        """Add a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(array), f"{name}_{len(self.constants)}"))
        return self.constants[-1].name


def product(graph: Graph, matrix: Matrix, x: str) -> str:
    """W x of a batch, (B, N) → (B, M), without W itself, S apart."""
    if isinstance(matrix, Sum):
        return graph.node("Add", matrix.structured.onnx_product(graph, x), _sparse(graph, matrix.sparse, x))
    return _sparse(graph, matrix, x) if isinstance(matrix, Sparse | Tiles) else matrix.onnx_product(graph, x)


def _sparse(graph: Graph, matrix: Sparse | Tiles, x: str) -> str:
    return graph.node("Gemm", x, _scattered(graph, matrix), transB=1)


def written_out(graph: Graph, matrix: Matrix) -> str:
    """W itself, (M, N), which ONNX Runtime computes once, when the session is made."""
    if isinstance(matrix, Sum):
        return graph.node("Add", matrix.structured.onnx_composed(graph), _scattered(graph, matrix.sparse))
    return _scattered(graph, matrix) if isinstance(matrix, Sparse | Tiles) else matrix.onnx_composed(graph)


def _scattered(graph: Graph, matrix: Sparse | Tiles) -> str:
    """S itself, (M, N), from its values and coordinates."""
    weight_MN = matrix.dense()
    places = np.argwhere(weight_MN)
    index = np.uint16 if max(matrix.shape) <= 1 << 16 else np.int64
    shape = graph.constant(np.array(matrix.shape), "shape")
    zeros = graph.add("ConstantOfShape", shape, value=numpy_helper.from_array(np.zeros(1, np.float32)))
    coordinates = graph.add("Cast", graph.constant(places.astype(index), "places"), to=int(TensorProto.INT64))
    values = graph.constant(weight_MN[tuple(places.T)], "values")
    return graph.node("ScatterND", zeros, coordinates, values)


def value(name: str, kind: int, shape: list[int | str]) -> onnx.ValueInfoProto:
    """An input or output of the graph; a size with a name may be any."""
    return helper.make_tensor_value_info(name, kind, shape)
