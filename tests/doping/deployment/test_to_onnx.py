"""A whole model as an ONNX file: ONNX Runtime computes what PyTorch does, for every method and every kind of layer."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch_layers.to_deploy import CELLS, LAYERS, METHODS, compressed

import doping
from doping import Method
from doping.errors import InferenceError


class Around(nn.Module):
    """Something before and behind a compressed layer."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.norm = nn.LayerNorm(24)
        self.layer = layer

    def forward(self, x, *state):
        given = () if not state else (state if len(state) > 1 else state[0],)
        y = self.layer(self.norm(x), *given)
        return y if isinstance(y, torch.Tensor) else (y[0], *(y[1] if isinstance(y[1], tuple) else (y[1],)))


class Packed(nn.Module):
    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths):
        y, _ = self.layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return pad_packed_sequence(y)[0]


def in_onnx(model: nn.Module, example: tuple, path, inputs: tuple, **options) -> list:
    """Outputs of the exported model for inputs of other sizes than those of the example."""
    doping.to_onnx(model, example, path, **options)
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {node.name: x.numpy() for node, x in zip(session.get_inputs(), inputs, strict=True)})


def same(found: list, expected) -> None:
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=3e-5)


@pytest.fixture(autouse=True)
def without_gradients():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


SIZES = {"input_names": ["x"], "dynamic_axes": {"x": {0: "time", 1: "batch"}}}


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label)
@pytest.mark.parametrize("layer", ["lstm", "gru"])
def test_every_method(layer, method, tmp_path):
    model = Around(compressed(LAYERS[layer](), method))
    x = torch.randn(9, 3, 24)
    same(in_onnx(model, (torch.randn(5, 2, 24),), tmp_path / "m.onnx", (x,), **SIZES), model(x))


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_in_both_directions(layer, tmp_path):
    model = Around(compressed(LAYERS[layer]()))
    x = torch.randn(9, 3, 24)
    same(in_onnx(model, (torch.randn(5, 2, 24),), tmp_path / "m.onnx", (x,), **SIZES), model(x))


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("values", ["float32", "int8"])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label)
def test_linear_layers_are_small_products(method, values, tmp_path):
    model = Around(compressed(nn.Linear(24, 64), method))
    x = torch.randn(3, 5, 24)
    found = in_onnx(model, (torch.randn(2, 7, 24),), tmp_path / "m.onnx", (x,), values=values, **SIZES)
    same(found, model(x) if values == "float32" else doping.deploy_(model, values="int8")(x))


@pytest.mark.parametrize("layer", ["lstm, both directions", "gru, both directions", "rnn"])
def test_narrow_values_are_those_of_the_deployed_layer_and_a_smaller_file(layer, tmp_path):
    model = Around(compressed(LAYERS[layer](), Method(name="pruned", factor=2)))
    x = torch.randn(9, 3, 24)
    in_onnx(model, (x,), tmp_path / "wide.onnx", (x,))
    found = in_onnx(model, (x,), tmp_path / "m.onnx", (x,), values="int8")
    same(found, doping.deploy_(model, values="int8")(x))
    assert (tmp_path / "m.onnx").stat().st_size < 0.9 * (tmp_path / "wide.onnx").stat().st_size


@pytest.mark.parametrize("cell", CELLS)
def test_cells_with_their_states(cell, tmp_path):
    model = Around(compressed(CELLS[cell]()))
    inputs = (torch.randn(3, 24), *(torch.randn(3, 32) for _ in range(2 if cell == "lstm" else 1)))
    same(in_onnx(model, inputs, tmp_path / "m.onnx", inputs), model(*inputs))


def test_a_packed_tagger(tmp_path):
    model = Packed(compressed(nn.LSTM(24, 32, bidirectional=True)))
    x, lengths = torch.randn(7, 3, 24), torch.tensor([3, 7, 5])
    same(in_onnx(model, (x, lengths), tmp_path / "m.onnx", (x, lengths)), model(x, lengths))


def test_the_file_of_a_compressed_model_is_small(tmp_path):
    dense = Around(nn.LSTM(24, 96, 2).eval())
    torch.onnx.export(dense, (torch.randn(5, 2, 24),), str(tmp_path / "dense.onnx"), dynamo=False)
    model = Around(compressed(nn.LSTM(24, 96, 2), Method(name="kp", factor=10)))
    doping.to_onnx(model, torch.randn(5, 2, 24), tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").stat().st_size < (tmp_path / "dense.onnx").stat().st_size / 5
    assert list(model.layer.named_matrices()), "the model itself stays as it was"


class Stack(nn.Module):
    """Layers with sparse parts, and a loop of a cell."""

    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTM(24, 32, 2, bidirectional=True, batch_first=True), nn.GRU(64, 32, batch_first=True)
        self.rnn, self.cell, self.head = nn.RNN(32, 32, batch_first=True), nn.LSTMCell(32, 32), nn.Linear(32, 48)

    def forward(self, x):
        y = self.rnn(self.gru(self.lstm(x)[0])[0])[0]
        h, c = self.cell(y[:, 0])
        h, c = self.cell(y[:, 1], (h, c))
        return self.head(h)


@pytest.mark.exhaustive
def test_the_exporter_of_torch_export_writes_the_same_and_small(tmp_path):
    model = Stack()
    methods = {"lstm": METHODS[4], "gru": METHODS[0], "rnn": METHODS[1], "cell": METHODS[0], "head": METHODS[5]}
    doping.compress_(model, methods)
    doping.Annealer(model, total_steps=1).finish_(at_once=True)
    model.eval()
    x, shapes = torch.randn(5, 7, 24), ({0: torch.export.Dim("batch", min=1)},)
    options = {"dynamo": True, "dynamic_shapes": shapes, "input_names": ["x"], "output_names": ["y"]}
    doping.to_onnx(model, torch.randn(3, 7, 24), tmp_path / "model.onnx", **options)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    same(session.run(["y"], {"x": x.numpy()}), model(x))
    dense = sum(4 * size.dense.values for size in doping.report(model).rows)
    written = (tmp_path / "model.onnx").read_bytes()
    assert len(written) < 0.85 * dense
    assert __file__.encode() not in written
    assert isinstance(model.gru, nn.GRU), "the model stays as it is"


def test_what_the_exporter_of_torch_export_cannot_write_is_one_line(tmp_path):
    path = tmp_path / "model.onnx"
    linear = compressed(nn.Linear(32, 32))
    for model, options, said in (
        (linear, {"values": "int8"}, "with dynamo=True values are float32"),
        (linear, {"dynamic_axes": {"x": {0: "batch"}}}, "dynamic_shapes takes the place of dynamic_axes"),
        (compressed(nn.LSTM(24, 48, proj_size=32)), {}, "an LSTM with a projection, which PyTorch writes wrong so"),
        (doping.deploy_(compressed(nn.GRU(24, 32))), {}, "the layer is deployed; with dynamo=True give the model as it was"),
    ):
        with pytest.raises(InferenceError, match=said):
            doping.to_onnx(model, torch.randn(3, 24), path, dynamo=True, **options)
    with pytest.raises(InferenceError, match="dynamic_shapes is for dynamo=True; without it give dynamic_axes"):
        doping.to_onnx(linear, torch.randn(3, 32), path, dynamic_shapes={})
    assert not path.exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", [Method(name=name, factor=4) for name in ("kp", "doped_kp", "hmd", "lmf")], ids=str)
def test_torch_onnx_export_traces_a_compressed_model_too(method, tmp_path):
    model, x = Around(compressed(nn.LSTM(24, 32), method)), torch.randn(9, 3, 24)
    torch.onnx.export(model, (x,), str(tmp_path / "model.onnx"), dynamo=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    same(session.run(None, {session.get_inputs()[0].name: x.numpy()}), model(x))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InferenceError, match="no such folder; give another path"):
        doping.to_onnx(Around(compressed(LAYERS["gru"]())), torch.randn(5, 2, 24), tmp_path / "no" / "m.onnx")


class PackedProjection(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(24, 32, proj_size=16)

    def forward(self, x, lengths):
        return self.rnn(pack_padded_sequence(x, lengths))[1][0]


def test_a_packed_projection_is_refused_in_our_own_words(tmp_path):
    model = PackedProjection()
    doping.compress_(model, {"rnn": Method(name="lmf", factor=4)})
    with pytest.raises(InferenceError, match=r"^a packed LSTM with a projection cannot be written"):
        doping.to_onnx(model.eval(), (torch.randn(5, 2, 24), torch.tensor([5, 3])), tmp_path / "model.onnx")
