"""A bundle as an ONNX model of one time step: state in, state out.

Structured parts become a few small ``MatMul`` and ``Gemm``. ONNX has no sparse product that ONNX Runtime runs fast:
gathering the inputs of 82,000 nonzeros takes it 12 times as long as a dense product with that 2600 x 650 matrix. So a
sparse part is stored as values and coordinates, 8 bytes a nonzero, which ``ScatterND`` writes out when the session is made
(constant folding); from then on it costs time and memory of a dense matrix. Whoever wants the speed takes the kernels.
Narrow values are widened: ONNX Runtime would do so itself, once, when the session is made.

Legend of dimensions: B batch, I inputs, H hidden units, V vocabulary, S layers, M rows, N columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.bundle import Bundle
from inference.errors import InferenceError
from inference.kernels import Dense, Hybrid, Kronecker, LowRank, Matrix, Sparse, Structured, Sum, widened
from inference.weights import cells, table

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ModuleNotFoundError as missing:
    raise InferenceError("the export to ONNX needs the package onnx: pip install -r requirements.txt") from missing

OPSET = 18
"""Of the standard operators; ONNX Runtime reads it since 1.14."""
IR_VERSION = 8


def write_onnx(bundle: Bundle, path: Path) -> None:
    """Write a model of one time step.

    Inputs are ``token`` (B,) of int64 for a language model or ``x`` (B, I) for an LSTM, and the state ``h`` and ``c``, each
    (layers, B, H). Outputs are ``logits`` (B, V) or ``y`` (B, H), and the state after the step, ``next_h`` and ``next_c``.

    Raises:
        InferenceError: the LSTM is bidirectional, a value is not finite, or the file cannot be written.

    """
    model = to_onnx(bundle)
    try:
        path.write_bytes(model.SerializeToString())
    except OSError as error:
        raise InferenceError(f"cannot write {path}: {error.strerror}; give another path") from error
    except ValueError as error:
        raise InferenceError(f"the model is too large for one ONNX file ({error}); export it as a bundle") from error


def to_onnx(bundle: Bundle) -> onnx.ModelProto:
    """The model of :func:`write_onnx`."""
    described = bundle.description.model
    lstm = described.lstm
    if described.kind == "classifier":
        raise InferenceError("a classifier cannot be written as ONNX yet; run the bundle with inference.runtime")
    if lstm.bidirectional:
        raise InferenceError("a bidirectional LSTM has no single step to export; run the bundle, or export it to C")
    graph = _Graph()
    if described.kind == "language_model":
        inputs = [_value("token", TensorProto.INT64, ["batch"])]
        x = graph.add("Gather", graph.constant(table(bundle.tensors, "embedding").dense(), "embedding"), "token")
    else:
        inputs = [_value("x", TensorProto.FLOAT, ["batch", lstm.input_size])]
        x = "x"
    hidden, memory = [], []
    for index, cell in enumerate(cells(bundle)):
        h, c = (graph.add("Gather", part, graph.constant(np.int64(index), "index")) for part in ("h", "c"))
        input, recurrent = widened(cell.input), widened(cell.recurrent)
        gates = graph.add("Add", _product(graph, input, x), _product(graph, recurrent, h))
        if cell.bias is not None:
            gates = graph.add("Add", gates, graph.constant(cell.bias, "bias"))
        x, c = _step(graph, gates, c)
        hidden.append(x)
        memory.append(c)
    for name, parts in (("next_h", hidden), ("next_c", memory)):
        axis = graph.constant(np.array([0]), "axis")
        graph.add("Concat", *(graph.add("Unsqueeze", part, axis) for part in parts), output=name, axis=0)
    if described.kind == "language_model":
        weight = graph.constant(table(bundle.tensors, "softmax.weight").dense(), "weight")
        bias = graph.constant(bundle.tensors["softmax.bias"], "bias")
        graph.add("Gemm", x, weight, bias, output="logits", transB=1)
        outputs = [_value("logits", TensorProto.FLOAT, ["batch", len(described.tokens)])]
    else:
        graph.add("Identity", x, output="y")
        outputs = [_value("y", TensorProto.FLOAT, ["batch", lstm.hidden_size])]
    state: list[int | str] = [lstm.layers, "batch", lstm.hidden_size]
    inputs += [_value(name, TensorProto.FLOAT, state) for name in ("h", "c")]
    outputs += [_value(name, TensorProto.FLOAT, state) for name in ("next_h", "next_c")]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "step", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lstm-doping",
    )
    helper.set_model_props(made, _properties(bundle))
    onnx.checker.check_model(made)
    return made


def _properties(bundle: Bundle) -> dict[str, str]:
    """Metadata: the method, and the vocabulary as a JSON list."""
    import json

    described = bundle.description.model
    tokens = {"tokens": json.dumps(described.tokens)} if described.kind == "language_model" else {}
    return {"method": bundle.description.method, **tokens}


class _Graph:
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

    def constant(self, array: npt.ArrayLike, name: str) -> str:
        """Add a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(array), f"{name}_{len(self.constants)}"))
        return self.constants[-1].name


def _step(graph: _Graph, gates: str, c: str) -> tuple[str, str]:
    """Hidden and cell state after a step, from the gates before their activation and the old cell state."""
    parts = graph.add("Split", gates, axis=1, num_outputs=4, count=4)
    i, f, o = (graph.add("Sigmoid", parts[place]) for place in (0, 1, 3))
    g = graph.add("Tanh", parts[2])
    c = graph.add("Add", graph.add("Mul", f, c), graph.add("Mul", i, g))
    return graph.add("Mul", o, graph.add("Tanh", c)), c


def _product(graph: _Graph, matrix: Matrix, x: str) -> str:
    """W x of a batch, (B, N) → (B, M)."""
    match matrix:
        case Sum():
            return str(graph.add("Add", _structured(graph, matrix.structured, x), _sparse(graph, matrix.sparse, x)))
        case Sparse():
            return _sparse(graph, matrix, x)
        case _:
            return _structured(graph, matrix, x)


def _structured(graph: _Graph, matrix: Structured, x: str) -> str:
    match matrix:
        case Dense():
            return _dense(graph, matrix.weight, x)
        case LowRank():
            return _dense(graph, matrix.u, _dense(graph, matrix.v, x))
        case Hybrid():
            half = len(matrix.v) // 2
            # v as the rows of a (2, N) matrix, so that one product gives both sums.
            v_2N = np.zeros((2, len(matrix.v)), np.float32)
            v_2N[0, :half], v_2N[1, half:] = matrix.v[:half], matrix.v[half:]
            lower = _dense(graph, matrix.u, _dense(graph, v_2N, x))
            return str(graph.add("Concat", _dense(graph, matrix.a, x), lower, axis=1)) if len(matrix.a) else lower
        case Kronecker():
            return _kronecker(graph, matrix, x)


def _dense(graph: _Graph, weight: npt.NDArray[np.float32], x: str) -> str:
    return str(graph.add("Gemm", x, graph.constant(weight, "weight"), transB=1))


def _kronecker(graph: _Graph, matrix: Kronecker, x: str) -> str:
    """Σ_r vec(B_r X C_rᵀ) with x reshaped to X (n1, n2), in the cheaper order."""
    (_, m1, n1), (_, m2, n2) = matrix.b.shape, matrix.c.shape
    x = graph.add("Reshape", x, graph.constant(np.array([-1, 1, n1, n2]), "shape"))
    b, right = graph.constant(matrix.b, "b"), graph.constant(np.ascontiguousarray(matrix.c.swapaxes(1, 2)), "c")
    if n1 * m2 * (n2 + m1) <= m1 * n2 * (n1 + m2):
        y = graph.add("MatMul", b, graph.add("MatMul", x, right))
    else:
        y = graph.add("MatMul", graph.add("MatMul", b, x), right)
    y = graph.add("ReduceSum", y, graph.constant(np.array([1]), "axis"), keepdims=0)
    return str(graph.add("Reshape", y, graph.constant(np.array([-1, m1 * m2]), "shape")))


def _sparse(graph: _Graph, matrix: Sparse, x: str) -> str:
    weight_MN = matrix.dense()
    places = np.argwhere(weight_MN)
    index = np.uint16 if max(matrix.shape) <= 1 << 16 else np.int64
    shape = graph.constant(np.array(matrix.shape), "shape")
    zeros = graph.add("ConstantOfShape", shape, value=numpy_helper.from_array(np.zeros(1, np.float32)))
    coordinates = graph.add("Cast", graph.constant(places.astype(index), "places"), to=int(TensorProto.INT64))
    values = graph.constant(weight_MN[tuple(places.T)], "values")
    return str(graph.add("Gemm", x, graph.add("ScatterND", zeros, coordinates, values), transB=1))


def _value(name: str, kind: int, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)
