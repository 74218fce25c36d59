"""Layers of every type, compressed, and how outputs of two are compared."""

import copy

import pytest
import torch
from references.matrices import method_of
from torch import nn

import doping

LAYERS = {
    "LSTM": lambda: nn.LSTM(40, 40, 2, dropout=0.0),
    "LSTM, bidirectional": lambda: nn.LSTM(40, 40, 2, bidirectional=True, batch_first=True),
    "LSTM, projection": lambda: nn.LSTM(40, 80, proj_size=40),
    "LSTM, no bias": lambda: nn.LSTM(40, 40, bias=False),
    "GRU": lambda: nn.GRU(40, 40, 2, bidirectional=True),
    "RNN": lambda: nn.RNN(40, 40, nonlinearity="relu"),
    "LSTMCell": lambda: nn.LSTMCell(40, 40),
    "GRUCell": lambda: nn.GRUCell(40, 40),
    "RNNCell": lambda: nn.RNNCell(40, 40),
    "Linear": lambda: nn.Linear(40, 80),
}
METHODS = ["dense", "pruned", "lmf", "hmd", "kp", "doped_kp", "doped_lmf", "doped_hmd", "pruned, rows", "doped_kp, rows"]
every_layer = pytest.mark.parametrize("kind", LAYERS)
every_method = pytest.mark.parametrize("label", METHODS)


def made(kind, label="doped_kp", seed=0, **options):
    """A layer and its compressed copy."""
    torch.manual_seed(seed)
    plain = LAYERS[kind]()
    layer = copy.deepcopy(plain)
    doping.compress_(layer, {"*": method_of(label, 3, **options.pop("settings", {}))}, **options)
    return plain, layer


def inputs(layer, seed=1):
    torch.manual_seed(seed)
    return torch.randn(*((3, 5, 40) if isinstance(layer, nn.RNNBase) else (3, 40)))


def flat(outputs):
    """All tensors of what a layer returns."""
    return [outputs] if isinstance(outputs, torch.Tensor) else [t for part in outputs for t in flat(part)]


def assert_same(ours, theirs, atol=1e-5):
    for mine, its in zip(flat(ours), flat(theirs), strict=True):
        torch.testing.assert_close(mine, its.to(mine.dtype), atol=atol, rtol=0)


def finished(layer):
    doping.Annealer(layer, total_steps=1).finish_(at_once=True)
    return layer
