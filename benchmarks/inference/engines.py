"""What the benchmark times: compressed layers of planned sizes with random values, and the dense engines.

An engine is a function that runs one call: a sequence (T, B, H) from a zero state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from doping.inference.kernels import Dense, Hybrid, Kronecker, Layer, LowRank, Matrix, Sparse, Sum, Tiles
from doping.matrices import plan_matrix
from doping.matrices.base import Plan
from doping.matrices.doped import DopedPlan
from doping.matrices.hybrid import HybridPlan
from doping.matrices.kronecker import KroneckerPlan
from doping.matrices.low_rank import LowRankPlan
from doping.matrices.sparse import SparsePlan
from doping.method import Method, MethodName
from doping.patterns import PATTERNS

Array = npt.NDArray[np.float32]
Engine = Callable[[], Array]

TOLERANCE = 1e-3
"""Largest difference of an output from the dense result: float32 sums in another order, over a sequence."""


def random_matrix(name: MethodName, factor: float, pattern: str, shape: tuple[int, int], seed: int) -> Matrix:
    """A matrix of the planned size, its entries about ± 1 / √n.

    Raises:
        BudgetError: if the method cannot have this factor.

    """
    generator = np.random.default_rng(seed)
    options: dict[str, Any] = {} if pattern == "unstructured" else {"pattern": pattern}
    if name.endswith("hmd"):
        options["free_rows"] = "stacked"  # as files and kernels have them
    plan = plan_matrix(Method(name=name, factor=factor, **options), shape)
    return _matrix(plan, pattern, generator)


def _matrix(plan: Plan, pattern: str, generator: np.random.Generator) -> Matrix:
    rows, columns = plan.shape
    scale = columns**-0.5

    def normal(*shape: int) -> Array:
        return generator.normal(size=shape).astype(np.float32)

    if isinstance(plan, DopedPlan):
        structured, sparse = (_matrix(part, pattern, generator) for part in (plan.structured, plan.sparse))
        assert not isinstance(structured, Sparse | Tiles | Sum)
        assert isinstance(sparse, Sparse)
        return Sum(structured, sparse)
    if isinstance(plan, KroneckerPlan):
        (m1, n1), (m2, n2) = plan.left, plan.right
        return Kronecker(normal(plan.terms, m1, n1) * scale, normal(plan.terms, m2, n2))
    if isinstance(plan, LowRankPlan):
        return LowRank(normal(rows, plan.rank) * scale, normal(plan.rank, columns) * plan.rank**-0.5)
    if isinstance(plan, HybridPlan):
        return Hybrid(normal(plan.rows, columns) * scale, normal(rows - plan.rows, 2) * scale, normal(columns))
    assert isinstance(plan, SparsePlan)
    block = PATTERNS[pattern].rows
    groups = -(-rows // block)
    chosen = np.sort(generator.choice(groups * columns, plan.nonzeros // block, replace=False))
    group_Z, column_Z = np.divmod(chosen, columns)
    values = normal(len(chosen), block) * 0.5
    if pattern == "rows":
        values[group_Z[:, None] * block + np.arange(block) >= rows] = 0
    offsets = np.searchsorted(group_Z, np.arange(groups + 1)).astype(np.uint32)
    return Sparse(pattern, plan.shape, values, column_Z.astype(np.uint16), offsets)


def compressed(matrix: Matrix, bias_M: Array, x_TBH: Array, threads: int) -> Engine:
    """A layer of which both weights are this matrix (each with memory of its own), checked against the dense result."""
    layer = Layer(matrix, matrix, bias_M, threads=threads)
    expected = reference(matrix.dense(), bias_M, x_TBH[:3])
    difference = float(np.abs(layer.forward(x_TBH[:3])[0] - expected).max())
    if not difference < TOLERANCE:
        raise AssertionError(f"a layer is off by {difference:g} from the dense result")
    state = np.zeros(x_TBH.shape[1:], np.float32)
    return lambda: layer.forward(x_TBH, state, state)[0]


def reference(weight_MN: Array, bias_M: Array, x_TBH: Array) -> Array:
    """A plain LSTM, written out, with the same weight for input and recurrence."""
    weight = weight_MN
    h = c = np.zeros(x_TBH.shape[1:], np.float32)
    outputs = []
    for x in x_TBH:
        i, f, g, o = np.split(x @ weight.T + h @ weight.T + bias_M, 4, axis=1)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        outputs.append(h)
    return np.stack(outputs)


def dense_engines(weight_MN: Array, bias_M: Array, x_TBH: Array, threads: int) -> dict[str, Engine]:
    """The dense engines by name; all but the bare BLAS products are checked."""
    import torch

    torch.set_num_threads(threads)
    hidden = weight_MN.shape[1]
    x = torch.from_numpy(x_TBH)
    lstm, cell = torch.nn.LSTM(hidden, hidden), torch.nn.LSTMCell(hidden, hidden)
    with torch.no_grad():
        for module in (lstm, cell):
            for name, parameter in module.named_parameters():
                value = torch.from_numpy(weight_MN if "weight" in name else bias_M * ("ih" in name))
                parameter.copy_(value)

    @torch.inference_mode()
    def run_lstm() -> Array:
        outputs: Array = lstm(x)[0].numpy()
        return outputs

    @torch.inference_mode()
    def run_cell() -> Array:
        state, outputs = None, []
        for step in x:
            state = cell(step, state)
            outputs.append(state[0])
        stacked: Array = torch.stack(outputs).numpy()
        return stacked

    copies = weight_MN.copy(), weight_MN.copy()

    def run_blas() -> Array:
        columns = x_TBH.reshape(-1, hidden)
        product = copies[0] @ columns[0] if len(columns) == 1 else columns @ copies[0].T
        for step in x_TBH:
            product = copies[1] @ step[0] if len(step) == 1 else step @ copies[1].T
        return product

    engines = {
        "ONNX Runtime": onnx_session(onnx_model(weight_MN, bias_M, x_TBH), x_TBH, threads),
        "nn.LSTM": run_lstm,
        "nn.LSTMCell": run_cell,
        "own dense kernel": compressed(Dense(weight_MN), bias_M, x_TBH, threads),
    }
    expected = reference(weight_MN, bias_M, x_TBH[:3])
    for name, run in engines.items():
        if not np.abs(run()[:3] - expected).max() < TOLERANCE:
            raise AssertionError(f"{name} differs from the dense result")
    return engines | {"BLAS products": run_blas}


def onnx_model(weight_MN: Array, bias_M: Array, x_TBH: Array) -> Any:
    """An LSTM of ONNX, with the same weight for input and recurrence."""
    from onnx import TensorProto, helper, numpy_helper

    hidden = weight_MN.shape[1]

    def reordered(array: Array) -> Array:
        i, f, g, o = np.split(array, 4)
        return np.concatenate([i, o, f, g])[None]

    constants = {
        "W": reordered(weight_MN), "R": reordered(weight_MN),
        "B": np.concatenate([reordered(bias_M), np.zeros((1, 4 * hidden), np.float32)], axis=1),
    }  # fmt: skip
    node = helper.make_node("LSTM", ["X", *constants], ["Y"], hidden_size=hidden)
    graph = helper.make_graph(
        [node], "lstm",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, list(x_TBH.shape))],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def onnx_session(model: Any, x_TBH: Array, threads: int) -> Engine:
    """A session of ONNX Runtime, ready to run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run() -> Array:
        outputs: Array = np.asarray(session.run(None, {"X": x_TBH})[0])[:, 0]
        return outputs

    return run
