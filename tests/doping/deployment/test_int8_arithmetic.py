"""Deployed layers in int8 arithmetic: a step is within the bound of its rounding, and a sequence is its steps, exactly."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from references.int8 import deployed_bound, recurrent_step
from references.kernels import written_out
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import doping
from doping import BudgetError, CompressionError, Method
from doping.deployment.deploy import kernel_matrices
from doping.inference.kernels import KernelError
from doping.inference.kernels.int8 import available, native

METHODS = [
    *(Method(name=name, factor=4) for name in ("pruned", "lmf", "hmd", "kp", "doped_kp")),
    *(Method(name=name, factor=4, pattern="tiles") for name in ("pruned", "doped_kp", "doped_lmf")),
]
LAYERS = {
    "lstm": lambda **more: nn.LSTM(24, 36, **more),
    "lstm, projected": lambda **more: nn.LSTM(24, 48, proj_size=32, **more),
    "gru": lambda **more: nn.GRU(24, 36, **more),
    "rnn_tanh": lambda **more: nn.RNN(24, 36, **more),
    "rnn_relu": lambda **more: nn.RNN(24, 36, nonlinearity="relu", **more),
}


@pytest.fixture(autouse=True)
def without_gradients():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def pair(layer: nn.Module, method: Method = METHODS[4]) -> tuple[nn.Module, nn.Module]:
    """A compressed layer whose pruning is over, and the deployed one; at the nearest factor that whole tiles can have."""
    model = nn.ModuleDict({"layer": layer})
    methods = {f"layer.{name}": method for name, _ in layer.named_parameters() if name.startswith("weight")}
    while True:
        try:
            doping.compress_(model, methods)
            break
        except BudgetError as error:
            methods[str(error).split(":")[0]] = method.model_copy(update={"factor": error.nearest[0]})
    doping.Annealer(model, total_steps=10).finish_(at_once=True)
    original = copy.deepcopy(model.eval()["layer"])
    return original, doping.deploy_(model, arithmetic="int8")["layer"]


def state(layer: nn.Module, *shape: int):
    """A state of random numbers for a layer."""
    h = torch.randn(*shape, layer.proj_size or layer.hidden_size)
    return (h, torch.randn(*shape, layer.hidden_size)) if layer.mode == "LSTM" else h


def equal(ours, theirs) -> None:
    if isinstance(ours, tuple):
        for one, other in zip(ours, theirs, strict=True):
            equal(one, other)
    else:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_step_is_within_the_bound_of_its_rounding(kind, method):
    original, deployed = pair(LAYERS[kind](), method)
    stored = kernel_matrices(original, "int8")
    matrices = {
        name: stored[f"weight_{short}_l0"]
        for name, short in (("input", "ih"), ("recurrent", "hh"), ("projection", "hr"))
        if f"weight_{short}_l0" in stored
    }
    biases = {"input_bias": original.bias_ih_l0.numpy(), "recurrent_bias": original.bias_hh_l0.numpy()}
    x, hx = torch.randn(1, 5, 24), state(original, 1, 5)
    is_lstm = kind.startswith("lstm")
    h, c = (part[0].numpy() for part in hx) if is_lstm else (hx[0].numpy(), None)
    expected, off = recurrent_step(kind.split(",")[0], matrices, biases, x[0].numpy(), h, c)
    y, last = deployed(x, hx)
    found = [part[0].numpy() for part in (last if is_lstm else (last,))]
    np.testing.assert_array_equal(y[0], found[0])
    for ours, right, bound in zip(found, expected, off, strict=False):
        assert (np.abs(ours - right) <= bound).all()
        assert np.abs(ours - right).mean() > 1e-6, "it is not in float32"
        assert bound.mean() < 0.2, "the bound says something"


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label)
def test_a_linear_layer_is_within_the_bound_of_its_rounding(method):
    original, deployed = pair(nn.Linear(24, 64), method)
    (matrix,) = kernel_matrices(original, "int8").values()
    for shape in ((24,), (19, 24), (2, 3, 24), (0, 24)):
        x = torch.randn(*shape)
        flat = x.numpy().reshape(-1, 24)
        off = np.abs(deployed(x).numpy().reshape(-1, 64) - (flat @ written_out(matrix).T + original.bias.numpy()))
        assert deployed(x).shape == (*shape[:-1], 64)
        assert (off <= deployed_bound(matrix, flat) + 1e-6).all()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("way", ["forward", "both directions"])
def test_a_sequence_is_its_steps_and_a_batch_its_sequences(kind, way):
    """Each vector is rounded by itself, so nothing depends on what is computed beside it."""
    _, deployed = pair(LAYERS[kind](bidirectional=way != "forward"))
    count = 1 if way == "forward" else 2
    x, hx = torch.randn(19, 3, 24), state(deployed, count, 3)
    y, last = deployed(x, hx)
    width = y.shape[-1] // count
    for direction in range(count):
        now = (
            tuple(part[direction : direction + 1] for part in hx) if isinstance(hx, tuple) else hx[direction : direction + 1]
        )
        one_way = copy.deepcopy(deployed)
        one_way.bidirectional, one_way._names = False, [deployed._names[direction]]
        for time in reversed(range(19)) if direction else range(19):
            step, now = one_way(x[time : time + 1], now)
            np.testing.assert_array_equal(step[0], y[time, :, direction * width : (direction + 1) * width])
        equal(
            now,
            tuple(part[direction : direction + 1] for part in last)
            if isinstance(last, tuple)
            else last[direction : direction + 1],
        )
    for place in range(3):
        of_one = tuple(part[:, place] for part in hx) if isinstance(hx, tuple) else hx[:, place]
        alone, last_alone = deployed(x[:, place], of_one)
        equal(alone, y[:, place])
        equal(last_alone, tuple(part[:, place] for part in last) if isinstance(last, tuple) else last[:, place])


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("lengths", [[6, 4, 4, 1], [1, 6, 2, 5]])
def test_sequences_of_different_lengths_are_each_what_they_are_alone(kind, lengths):
    _, deployed = pair(LAYERS[kind](num_layers=2, bidirectional=True))
    x, hx = torch.randn(6, 4, 24), state(deployed, 4, 4)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=lengths == sorted(lengths, reverse=True))
    y, last = deployed(packed, hx)
    for place, length in enumerate(lengths):
        of_one = tuple(part[:, place] for part in hx) if isinstance(hx, tuple) else hx[:, place]
        alone, last_alone = deployed(x[:length, place], of_one)
        equal(pad_packed_sequence(y)[0][:length, place], alone)
        equal(tuple(part[:, place] for part in last) if isinstance(last, tuple) else last[:, place], last_alone)


def test_the_batch_first_two_layers_and_cells():
    _, deployed = pair(nn.GRU(24, 36, 2, batch_first=True))
    x = torch.randn(3, 7, 24)
    y, last = deployed(x)
    deployed.batch_first = False
    equal(deployed(x.transpose(0, 1).contiguous()), (y.transpose(0, 1), last))
    for cell in (nn.LSTMCell(24, 36), nn.GRUCell(24, 36), nn.RNNCell(24, 36)):
        original, deployed = pair(cell)
        x, hx = torch.randn(4, 24), torch.randn(4, 36)
        hx = (hx, torch.randn(4, 36)) if isinstance(original, nn.LSTMCell) else hx
        found, expected = deployed(x, hx), original(x, hx)
        for ours, right in zip(found, expected, strict=True):  # h and c, or the sequences of a batch
            assert 1e-6 < (ours - right).abs().mean() < 0.02


@pytest.mark.parametrize("kind", ["gru", "lstm, projected"])
def test_every_instruction_set_gives_the_same(kind, monkeypatch):
    _, deployed = pair(LAYERS[kind](bidirectional=True), METHODS[-1])
    x, found = torch.randn(9, 2, 24), {}
    for name in available():
        monkeypatch.setenv(native.CHOICE, name)
        found[name] = copy.deepcopy(deployed)(x)  # a copy is made ready to run anew
    assert "plain" in found
    for outputs in found.values():
        equal(outputs, found["plain"])


def test_what_is_not_finite_stays_so():
    for kind in ("gru", "lstm, projected", "rnn_relu"):
        _, deployed = pair(LAYERS[kind]())
        x = torch.randn(3, 2, 24)
        x[1, 0, 5] = torch.inf
        y = deployed(x)[0]
        assert y[1:, 0].isnan().all()
        assert y[0].isfinite().all()
        assert y[:, 1].isfinite().all()


def test_a_model_is_copied_pickled_exported_and_called_by_threads():
    model = nn.Sequential(nn.Linear(24, 64), nn.Tanh(), nn.Linear(64, 64))
    doping.compress_(model, {"*": Method(name="lmf", factor=4)})
    deployed, x = doping.deploy_(model.eval(), arithmetic="int8"), torch.randn(50, 24)
    expected = deployed(x)
    equal(copy.deepcopy(deployed)(x), expected)
    equal(pickle.loads(pickle.dumps(deployed))(x), expected)
    equal(torch.export.export(deployed, (x,)).module()(x), expected)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(deployed, [x] * 40):
            equal(found, expected)


def test_values_and_arithmetic_that_cannot_be_are_one_line(monkeypatch):
    def model(layer=None):
        made = nn.ModuleDict({"layer": layer or nn.GRU(24, 36)})
        doping.compress_(made, {"layer": Method(name="lmf", factor=4)})
        return made.eval()

    with pytest.raises(CompressionError, match="arithmetic is 'int4'; expected 'float32' or 'int8'"):
        doping.deploy_(model(), arithmetic="int4")  # type: ignore[arg-type]
    with pytest.raises(CompressionError, match="int8 arithmetic multiplies int8 or int4 values; leave values='float32' out"):
        doping.deploy_(model(), values="float32", arithmetic="int8")
    wide = model(nn.Linear(65_537, 16))
    with pytest.raises(CompressionError, match=r"int8 arithmetic: a matrix or factor has 65,537 columns; .* up to 65,536"):
        doping.deploy_(wide, arithmetic="int8")
    assert isinstance(wide["layer"], nn.Linear), "the model stays as it was"
    for cached in (native.kernels, native._instructions):
        cached.cache_clear()
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(KernelError, match="no C compiler: CC names 'no-such-compiler', which is not there; install"):
        doping.deploy_(model(), arithmetic="int8")
