"""A bundle as an ONNX model: of one time step, state in, state out; or of a whole sequence, for a classifier or where the
layers run in both directions.

Structured parts of a step become a few small ``MatMul`` and ``Gemm``. ONNX has no sparse product that ONNX Runtime runs
fast: gathering the inputs of 82,000 nonzeros takes it 12 times as long as a dense product with that 2600 x 650 matrix. So a
sparse part is stored as values and coordinates, 8 bytes a nonzero, which ``ScatterND`` writes out when the session is made
(constant folding); from then on it costs time and memory of a dense matrix. Whoever wants the speed takes the kernels.
Narrow values are widened: ONNX Runtime would do so itself, once, when the session is made.

Legend of dimensions: B batch, I inputs, H hidden units, V vocabulary, S layers, M rows, N columns.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from doping.errors import InferenceError
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.weights import cells, factors, table
from doping.inference.exporters.onnx_classifier import classifier
from doping.inference.exporters.onnx_graph import Ends, Graph, embedded, product, value
from doping.inference.exporters.onnx_sequence import sequence
from doping.inference.kernels import widened

OPSET = 18
"""Of the standard operators; ONNX Runtime reads it since 1.14."""
IR_VERSION = 8


def write_onnx(bundle: Bundle, path: Path) -> None:
    """Write a model of one time step, or of a whole sequence for a classifier or an LSTM in both directions.

    Of one step, inputs are ``token`` (B,) of int64 for a language model or ``x`` (B, I) for an LSTM, and the state ``h`` and
    ``c``, each (layers, B, H). Outputs are ``logits`` (B, V) or ``y`` (B, H), and the state after the step, ``next_h`` and
    ``next_c``. Of an LSTM in both directions, inputs are ``x`` (T, B, I) and ``lengths`` (B,) of int32, the steps of each
    sequence; outputs are ``y`` (T, B, 2 H), zeros behind the end of a sequence, and the state after the last step of each,
    ``last_h`` and ``last_c``, (2 layers, B, H). Of a classifier, the input is ``words`` (T,) of int64, at least one, and
    the output ``logits`` (labels,).

    Raises:
        InferenceError: a value is not finite, or the file cannot be written.

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
    graph = Graph()
    model = bundle.description.model
    kind = classifier if model.kind == "classifier" else sequence if model.lstm.bidirectional else _one_step
    inputs, outputs = kind(graph, bundle)
    made = helper.make_model(
        helper.make_graph(graph.nodes, "model", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lstm-doping",
    )
    helper.set_model_props(made, _properties(bundle))
    onnx.checker.check_model(made)
    return made


def _one_step(graph: Graph, bundle: Bundle) -> Ends:
    """A step of all layers; returns the graph's inputs and outputs."""
    described = bundle.description.model
    lstm = described.lstm
    if described.kind == "language_model":
        inputs = [value("token", TensorProto.INT64, ["batch"])]
        x = embedded(graph, table(bundle.tensors, "embedding"), "token")
    else:
        inputs = [value("x", TensorProto.FLOAT, ["batch", lstm.input_size])]
        x = "x"
    hidden, memory = [], []
    for index, cell in enumerate(cells(bundle)):
        h, c = (graph.add("Gather", part, graph.constant(np.int64(index), "index")) for part in ("h", "c"))
        input, recurrent = widened(cell.input), widened(cell.recurrent)
        gates = graph.add("Add", product(graph, input, x), product(graph, recurrent, h))
        if cell.bias is not None:
            gates = graph.add("Add", gates, graph.constant(cell.bias, "bias"))
        x, c = _step(graph, gates, c)
        hidden.append(x)
        memory.append(c)
    for name, parts in (("next_h", hidden), ("next_c", memory)):
        axis = graph.constant(np.array([0]), "axis")
        graph.add("Concat", *(graph.add("Unsqueeze", part, axis) for part in parts), output=name, axis=0)
    if described.kind == "language_model":
        bias = graph.constant(bundle.tensors["softmax.bias"], "bias")
        u, *v = factors(table(bundle.tensors, "softmax.weight"))
        for factor in v:
            x = graph.multiply(factor, x)
        graph.add("Gemm", x, graph.constant(u, "weight"), bias, output="logits", transB=1)
        outputs = [value("logits", TensorProto.FLOAT, ["batch", len(described.tokens)])]
    else:
        graph.add("Identity", x, output="y")
        outputs = [value("y", TensorProto.FLOAT, ["batch", lstm.hidden_size])]
    state: list[int | str] = [lstm.layers, "batch", lstm.hidden_size]
    inputs += [value(name, TensorProto.FLOAT, state) for name in ("h", "c")]
    outputs += [value(name, TensorProto.FLOAT, state) for name in ("next_h", "next_c")]
    return inputs, outputs


def _properties(bundle: Bundle) -> dict[str, str]:
    """Metadata: the method, and the vocabulary and labels as JSON lists."""
    described = bundle.description.model
    lists = {name: json.dumps(getattr(described, name)) for name in ("tokens", "labels") if hasattr(described, name)}
    return {"method": bundle.description.method, **lists}


def _step(graph: Graph, gates: str, c: str) -> tuple[str, str]:
    """Hidden and cell state after a step, from the gates before their activation and the old cell state."""
    parts = graph.add("Split", gates, axis=1, num_outputs=4, count=4)
    i, f, o = (graph.add("Sigmoid", parts[place]) for place in (0, 1, 3))
    g = graph.add("Tanh", parts[2])
    c = graph.add("Add", graph.add("Mul", f, c), graph.add("Mul", i, g))
    return graph.add("Mul", o, graph.add("Tanh", c)), c
