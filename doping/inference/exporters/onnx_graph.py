"""Parts of an ONNX graph: constants, nodes, and the weights of a compressed LSTM as operators.

Legend of dimensions: B batch, M rows, N columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from doping.inference.families.sparse import Array, Values
from doping.inference.kernels import Dense, LowRank, Matrix, Sparse, Sum, Tiles

Ends = tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]
"""Inputs and outputs of a graph."""


class Builder(ABC):
    """What nodes and constants are added to; a value is whatever ``add`` and ``constant`` give."""

    @abstractmethod
    def add(self, operator: str, *inputs: Any, **attributes: Any) -> Any:
        """Add a node; returns its output, or with ``count`` its outputs."""

    @abstractmethod
    def constant(self, array: npt.ArrayLike, name: str) -> Any:
        """Add a constant."""

    def wide(self, values: Values, scale: Array | None, name: str, axis: int = -2) -> Any:
        """A constant as float32; narrow values are stored as they are, and widened when the session is made.

        Args:
            values: float32, or int8 with scales.
            scale: of each row.
            name: of the constant.
            axis: that of the rows.

        """
        if scale is None:
            return self.constant(values, name)
        shape = [1] * values.ndim
        shape[axis] = -1
        numbers = self.add("Cast", self.constant(values, name), to=int(TensorProto.FLOAT))
        return self.add("Mul", numbers, self.constant(scale.reshape(shape), "scale"))

    def multiply(self, weight_MN: Values, x: Any, scale_M: Array | None = None) -> Any:
        """The product of a weight with a batch, (B, N) → (B, M)."""
        return self.add("Gemm", x, self.wide(weight_MN, scale_M, "weight"), transB=1)


class Graph(Builder):
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

    def constant(self, array: npt.ArrayLike, name: str) -> Any:
        """Add a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(array), f"{name}_{len(self.constants)}"))
        return self.constants[-1].name


def product(graph: Builder, matrix: Matrix, x: Any) -> Any:
    """W x of a batch, (B, N) → (B, M), without W itself, S apart."""
    if isinstance(matrix, Sum):
        return graph.add("Add", matrix.structured.onnx_product(graph, x), _sparse(graph, matrix.sparse, x))
    return _sparse(graph, matrix, x) if isinstance(matrix, Sparse | Tiles) else matrix.onnx_product(graph, x)


def embedded(graph: Builder, matrix: Dense | LowRank, tokens: Any) -> Any:
    """Rows of an embedding, (B,) → (B, N)."""
    wide = matrix.widened()
    if isinstance(wide, Dense):
        return graph.add("Gather", graph.constant(wide.weight, "embedding"), tokens)
    found = graph.add("Gather", graph.constant(wide.u, "embedding"), tokens)
    return graph.add("MatMul", found, graph.constant(wide.v, "embedding_v"))


def _sparse(graph: Builder, matrix: Sparse | Tiles, x: Any) -> Any:
    return graph.add("Gemm", x, _scattered(graph, matrix), transB=1)


def written_out(graph: Builder, matrix: Matrix) -> Any:
    """W itself, (M, N), which ONNX Runtime computes once, when the session is made."""
    if isinstance(matrix, Sum):
        return graph.add("Add", matrix.structured.onnx_composed(graph), _scattered(graph, matrix.sparse))
    return _scattered(graph, matrix) if isinstance(matrix, Sparse | Tiles) else matrix.onnx_composed(graph)


def _scattered(graph: Builder, matrix: Sparse | Tiles) -> Any:
    """S itself, (M, N), from its values and coordinates."""
    scale, values_kind = matrix.values_scale, matrix.values.dtype
    weight_MN = replace(matrix, values=matrix.values.astype(np.float32), values_scale=None).dense()
    places = np.argwhere(weight_MN)
    index = np.uint16 if max(matrix.shape) <= 1 << 16 else np.int64
    shape = graph.constant(np.array(matrix.shape), "shape")
    zeros = graph.add("ConstantOfShape", shape, value=numpy_helper.from_array(np.zeros(1, np.float32)))
    coordinates = graph.add("Cast", graph.constant(places.astype(index), "places"), to=int(TensorProto.INT64))
    values = graph.constant(weight_MN[tuple(places.T)].astype(values_kind), "values")
    if scale is None:
        return graph.add("ScatterND", zeros, coordinates, values)
    numbers = graph.add("Cast", values, to=int(TensorProto.FLOAT))
    scattered = graph.add("ScatterND", zeros, coordinates, numbers)
    return graph.add("Mul", scattered, graph.constant(scale[:, None], "scale"))


def value(name: str, kind: int, shape: list[int | str]) -> onnx.ValueInfoProto:
    """An input or output of the graph; a size with a name may be any."""
    return helper.make_tensor_value_info(name, kind, shape)
