"""Layers of every kind and methods to compress them with, as the tests of what they are deployed to have them."""

from __future__ import annotations

from torch import nn

import doping
from doping import Method

METHODS = [
    *(Method(name=name, factor=4) for name in ("pruned", "lmf", "hmd", "kp", "doped_kp", "doped_lmf", "doped_hmd")),
    Method(name="doped_kp", factor=4, pattern="rows"),
]
LAYERS = {
    "lstm": lambda: nn.LSTM(24, 32, 2, dropout=0.3),
    "lstm, both directions": lambda: nn.LSTM(24, 32, 2, bidirectional=True, bias=False),
    "lstm, projected": lambda: nn.LSTM(24, 48, 2, proj_size=32, bidirectional=True),
    "gru": lambda: nn.GRU(24, 32, 2),
    "gru, both directions": lambda: nn.GRU(24, 32, bidirectional=True, bias=False),
    "rnn": lambda: nn.RNN(24, 32, 2),
    "rnn, rectified": lambda: nn.RNN(24, 32, nonlinearity="relu", bidirectional=True),
}
CELLS = {
    "lstm": lambda: nn.LSTMCell(24, 32),
    "gru": lambda: nn.GRUCell(24, 32, bias=False),
    "rnn": lambda: nn.RNNCell(24, 32, nonlinearity="relu"),
}


def compressed(layer: nn.Module, method: Method = METHODS[4]) -> nn.Module:
    """A compressed layer whose pruning is over, in evaluation, in a model of its own."""
    model = nn.ModuleDict({"layer": layer})
    doping.compress_(model, {"layer": method})
    doping.Annealer(model, total_steps=10).finish_(at_once=True)
    return model.eval()["layer"]
