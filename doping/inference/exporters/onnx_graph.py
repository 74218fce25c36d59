"""Parts of an ONNX graph: constants, nodes, and the weights of a compressed LSTM as operators.

Legend of dimensions: B batch, M rows, N columns, R terms, m1 n1 and m2 n2 shapes of the factors of a Kronecker product.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from doping.inference.kernels import Dense, Hybrid, Kronecker, LowRank, Matrix, Sparse, Structured, Sum
from doping.inference.kernels.sparse import Array, Values

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

    def constant(self, array: npt.ArrayLike, name: str) -> Any:
        """Add a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(array), f"{name}_{len(self.constants)}"))
        return self.constants[-1].name


class Builder(Protocol):
    """What nodes and constants are added to; a value is whatever ``add`` and ``constant`` give."""

    def add(self, operator: str, *inputs: Any, **attributes: Any) -> Any:
        """Add a node; returns its output, or with ``count`` its outputs."""
        ...

    def constant(self, array: npt.ArrayLike, name: str) -> Any:
        """Add a constant."""
        ...


def product(graph: Builder, matrix: Matrix, x: Any) -> Any:
    """W x of a batch, (B, N) → (B, M), without W itself, S apart."""
    match matrix:
        case Sum():
            return graph.add("Add", _structured(graph, matrix.structured, x), _sparse(graph, matrix.sparse, x))
        case Sparse():
            return _sparse(graph, matrix, x)
        case _:
            return _structured(graph, matrix, x)


def _structured(graph: Builder, matrix: Structured, x: Any) -> Any:
    match matrix:
        case Dense():
            return _dense(graph, matrix.weight, x, matrix.weight_scale)
        case LowRank():
            return _dense(graph, matrix.u, _dense(graph, matrix.v, x, matrix.v_scale), matrix.u_scale)
        case Hybrid():
            lower = _dense(graph, matrix.u, _dense(graph, _halves(matrix), x))
            return graph.add("Concat", _dense(graph, matrix.a, x, matrix.a_scale), lower, axis=1) if len(matrix.a) else lower
        case Kronecker():
            return _kronecker(graph, matrix, x)


def _dense(graph: Builder, weight: Values, x: Any, scale: Array | None = None) -> Any:
    return graph.add("Gemm", x, _wide(graph, weight, scale, "weight"), transB=1)


def _wide(graph: Builder, values: Values, scale: Array | None, name: str, axis: int = -2) -> Any:
    """A constant as float32; narrow values are stored as they are, and widened when the session is made."""
    if scale is None:
        return graph.constant(values, name)
    shape = [1] * values.ndim
    shape[axis] = -1
    numbers = graph.add("Cast", graph.constant(values, name), to=int(TensorProto.FLOAT))
    return graph.add("Mul", numbers, graph.constant(scale.reshape(shape), "scale"))


def _kronecker(graph: Builder, matrix: Kronecker, x: Any) -> Any:
    """Σ_r vec(B_r X C_rᵀ) with x reshaped to X (n1, n2), in the cheaper order."""
    (_, m1, n1), (_, m2, n2) = matrix.b.shape, matrix.c.shape
    x = graph.add("Reshape", x, graph.constant(np.array([-1, 1, n1, n2]), "shape"))
    b = _wide(graph, matrix.b, matrix.b_scale, "b")
    right = _wide(graph, np.ascontiguousarray(matrix.c.swapaxes(1, 2)), matrix.c_scale, "c", axis=-1)
    if n1 * m2 * (n2 + m1) <= m1 * n2 * (n1 + m2):
        y = graph.add("MatMul", b, graph.add("MatMul", x, right))
    else:
        y = graph.add("MatMul", graph.add("MatMul", b, x), right)
    y = graph.add("ReduceSum", y, graph.constant(np.array([1]), "axis"), keepdims=0)
    return graph.add("Reshape", y, graph.constant(np.array([-1, m1 * m2]), "shape"))


def _sparse(graph: Builder, matrix: Sparse, x: Any) -> Any:
    return graph.add("Gemm", x, _scattered(graph, matrix), transB=1)


def written_out(graph: Builder, matrix: Matrix) -> Any:
    """W itself, (M, N), which ONNX Runtime computes once, when the session is made."""
    match matrix:
        case Sum():
            return graph.add("Add", _composed(graph, matrix.structured), _scattered(graph, matrix.sparse))
        case Sparse():
            return _scattered(graph, matrix)
        case _:
            return _composed(graph, matrix)


def _composed(graph: Builder, matrix: Structured) -> Any:
    match matrix:
        case Dense():
            return _wide(graph, matrix.weight, matrix.weight_scale, "weight")
        case LowRank():
            u, v = _wide(graph, matrix.u, matrix.u_scale, "u"), _wide(graph, matrix.v, matrix.v_scale, "v")
            return graph.add("MatMul", u, v)
        case Hybrid():
            lower = graph.add("MatMul", graph.constant(matrix.u, "u"), graph.constant(_halves(matrix), "v"))
            upper = _wide(graph, matrix.a, matrix.a_scale, "a")
            return graph.add("Concat", upper, lower, axis=0) if len(matrix.a) else lower
        case Kronecker():
            (_, m1, n1), (_, m2, n2) = matrix.b.shape, matrix.c.shape
            # As (R, m1, 1, n1, 1) and (R, 1, m2, 1, n2), so that their product holds every pair of entries in its place.
            b, c = matrix.b[:, :, None, :, None], matrix.c[:, None, :, None, :]
            b, c = _wide(graph, b, matrix.b_scale, "b", axis=1), _wide(graph, c, matrix.c_scale, "c", axis=2)
            pairs = graph.add("Mul", b, c)
            terms = graph.add("ReduceSum", pairs, graph.constant(np.array([0]), "axis"), keepdims=0)
            return graph.add("Reshape", terms, graph.constant(np.array([m1 * m2, n1 * n2]), "shape"))


def _halves(matrix: Hybrid) -> npt.NDArray[np.float32]:
    """Both halves of v as the rows of a (2, N) matrix, so that one product gives both sums."""
    half = len(matrix.v) // 2
    v_2N = np.zeros((2, len(matrix.v)), np.float32)
    v_2N[0, :half], v_2N[1, half:] = matrix.v[:half], matrix.v[half:]
    return v_2N


def _scattered(graph: Builder, matrix: Sparse) -> Any:
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
