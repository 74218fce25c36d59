"""What the benchmark times in int8 arithmetic: compressed layers of planned sizes, and dense engines that others would pick.

Legend: T steps, B batch, H hidden units, M = 4 H rows, N columns.
"""

from __future__ import annotations

import itertools
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.inference.engines import Array, Engine, onnx_model, onnx_session, random_matrix, reference
from doping.inference.kernels import Dense, Layer, Matrix, Sparse, Sum, Tiles, narrowed
from doping.inference.kernels.int8 import Int8Layer, Int8Model, Int8Steps
from doping.matrices.budget import BudgetError
from doping.method import MethodName

METHODS: tuple[MethodName, ...] = ("pruned", "kp", "lmf", "doped_kp", "doped_lmf")

TOLERANCE = 0.02
"""Mean difference of outputs from the dense result, over the first three steps: rounded inputs, states and weights."""

VOCABULARY, WRITTEN = 50, 50
"""Characters of the text that is written in C, and how many at a time."""


def random_tiles(shape: tuple[int, int], nonzeros: int, seed: int) -> Tiles:
    """So many values, in tiles at random."""
    generator = np.random.default_rng(seed)
    rows, columns = shape
    units, groups, blocks = rows // 4, -(-(rows // 4) // 4), -(-columns // 4)
    chosen = np.sort(generator.choice(groups * blocks, nonzeros // 64, replace=False))
    group_Z, column_Z = np.divmod(chosen, blocks)
    values = (0.5 * generator.normal(size=(len(chosen), 4, 4, 4))).astype(np.float32)
    if units % 4:
        values[group_Z == groups - 1, :, units % 4 :] = 0
    if columns % 4:
        values[column_Z == blocks - 1, :, :, columns % 4 :] = 0
    offsets = np.searchsorted(group_Z, np.arange(groups + 1)).astype(np.uint32)
    return Tiles(shape, values.reshape(-1, 16, 4), column_Z.astype(np.uint16), offsets)


def compressed_matrices(
    weight_MN: Array, factors: list[float], methods: tuple[MethodName, ...] = METHODS
) -> Iterator[tuple[str, str, float, Matrix]]:
    """Method, pattern, factor, narrow matrix; the dense one first."""
    yield "dense", "", 1.0, narrowed(Dense(weight_MN), short_scales=True)
    for name, factor in itertools.product(methods, factors):
        try:
            matrix = random_matrix(name, factor, "unstructured", (weight_MN.shape[0], weight_MN.shape[1]), seed=0)
        except BudgetError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        tiled = _tiled(matrix)
        yield name, "" if tiled is matrix else "tiles", factor, narrowed(tiled, short_scales=True)


def _tiled(matrix: Matrix) -> Matrix:
    """The same sizes with S in tiles."""
    if isinstance(matrix, Sum):
        return Sum(matrix.structured, cast(Tiles, _tiled(matrix.sparse)))
    return random_tiles(matrix.shape, matrix.values.size, seed=1) if isinstance(matrix, Sparse) else matrix


def compressed(matrix: Matrix, bias_M: Array, x_TBH: Array) -> Engine:
    """A layer of which both weights are this matrix (each with memory of its own), checked against the dense result.

    One sequence a step at a time keeps its state in C, as a text that is written; else the layer is called with a state.
    """
    layer = Layer(matrix, matrix, bias_M, engine="int8")
    difference = float(np.abs(layer.forward(x_TBH[:3])[0] - reference(matrix.dense(), bias_M, x_TBH[:3])).mean())
    if not difference < TOLERANCE:
        raise AssertionError(f"a layer in int8 is off by {difference:g} from the dense result")
    if x_TBH.shape[:2] == (1, 1):
        steps = Int8Steps([Int8Layer(matrix, matrix, bias_M)])
        x_H, given = steps.x, x_TBH[0, 0]

        def run_step() -> Array:
            x_H[:] = given
            return steps.step()

        return run_step
    state = np.zeros(x_TBH.shape[1:], np.float32)
    return lambda: layer.forward(x_TBH, state, state)[0]


def written_text(matrix: Matrix, bias_M: Array) -> Engine:
    """A text of a language model of this layer: embedding, layer, softmax and the draw of each character, all in C."""
    hidden = matrix.shape[1]
    generator = np.random.default_rng(2)
    embedding, softmax = (narrowed(Dense(generator.normal(size=(VOCABULARY, hidden)).astype(np.float32))) for _ in range(2))
    assert isinstance(embedding, Dense)
    assert isinstance(softmax, Dense)
    bias_V = np.zeros(VOCABULARY, np.float32)
    model = Int8Model(Int8Steps([Int8Layer(matrix, matrix, bias_M)]), embedding, softmax, bias_V)
    first = np.array([0])
    return lambda: model.generate(first, WRITTEN, 1.0, 0).astype(np.float32)


def dense_engines(weight_MN: Array, bias_M: Array, x_TBH: Array, threads: int) -> dict[tuple[str, str], Engine]:
    """The dense engines by name and kind of values, which are narrower than float32; each is checked."""
    engines = {
        ("ONNX Runtime", "int8"): _onnx(weight_MN, bias_M, x_TBH, threads),
        **_torch(weight_MN, bias_M, x_TBH, threads),
    }
    expected = reference(weight_MN, bias_M, x_TBH[:3])
    for (name, values), run in engines.items():
        if not np.abs(run()[:3] - expected).mean() < TOLERANCE:
            raise AssertionError(f"{name} with {values} values differs from the dense result")
    return engines


def _onnx(weight_MN: Array, bias_M: Array, x_TBH: Array, threads: int) -> Engine:
    """Its ``quantize_dynamic``, which makes a ``DynamicQuantizeLSTM`` of an LSTM."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().setLevel(logging.ERROR)  # it recommends a pre-processing that changes nothing here
    quantize: Any = quantize_dynamic
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize(onnx_model(weight_MN, bias_M, x_TBH), path, op_types_to_quantize=["LSTM"], weight_type=QuantType.QInt8)
        model: Any = onnx.load(path)
    if [node.op_type for node in model.graph.node] != ["DynamicQuantizeLSTM"]:
        raise AssertionError(f"quantize_dynamic made {[node.op_type for node in model.graph.node]} of an LSTM")
    return onnx_session(model, x_TBH, threads)


def _torch(weight_MN: Array, bias_M: Array, x_TBH: Array, threads: int) -> dict[tuple[str, str], Engine]:
    """Its dynamic int8, and bfloat16."""
    import torch

    torch.set_num_threads(threads)
    lstm = torch.nn.LSTM(weight_MN.shape[1], weight_MN.shape[1])
    with torch.no_grad():
        for name, parameter in lstm.named_parameters():
            parameter.copy_(torch.from_numpy(weight_MN if "weight" in name else bias_M * ("ih" in name)))
    quantize: Any = torch.ao.quantization.quantize_dynamic
    narrow = quantize(lstm, {torch.nn.LSTM}, dtype=torch.qint8)
    short = torch.nn.LSTM(weight_MN.shape[1], weight_MN.shape[1]).to(torch.bfloat16)
    short.load_state_dict(lstm.state_dict())
    x = torch.from_numpy(x_TBH)
    x_short = x.to(torch.bfloat16)

    @torch.inference_mode()
    def run_narrow() -> Array:
        outputs: Array = narrow(x)[0].numpy()
        return outputs

    @torch.inference_mode()
    def run_short() -> Array:
        outputs: Array = short(x_short)[0].float().numpy()
        return outputs

    return {("nn.LSTM", "int8"): run_narrow, ("nn.LSTM", "bfloat16"): run_short}
