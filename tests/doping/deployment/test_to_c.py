"""Compressed layers as C: what the program computes is what they do in PyTorch, in every stack."""

from __future__ import annotations

import pytest
import torch
from c_code.sources import NAME, STRICT, builder, differences
from torch import nn

import doping
from doping import CompressionError, Method, UnfinishedError

STACKS = {
    "gru of two layers": (lambda: [nn.GRU(24, 32, 2)], Method(name="doped_kp", factor=4)),
    "lstm of two layers in both directions, and linear": (
        lambda: [nn.LSTM(24, 32, 2, bidirectional=True), nn.Linear(64, 32)],
        Method(name="doped_kp", factor=4, pattern="rows"),
    ),
    "lstm with a projection, rnn, linear with activations": (
        lambda: [nn.LSTM(24, 48, proj_size=32), nn.RNN(32, 32), nn.Tanh(), nn.Linear(32, 64), nn.ReLU(),
                 nn.Dropout(0.5), nn.Linear(64, 24, bias=False), nn.Sigmoid()],
        Method(name="lmf", factor=2, values="int8"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return builder(tmp_path_factory)


def stack(kind: str) -> nn.Sequential:
    torch.manual_seed(0)
    layers, method = STACKS[kind]
    model = nn.Sequential(*layers())
    doping.compress_(model, {"*": method})
    doping.Annealer(model, total_steps=1).finish_(at_once=True)
    return model.eval()


@pytest.mark.parametrize("kind", STACKS)
def test_the_program_computes_what_the_layers_do(kind, build, tmp_path):
    model = stack(kind)
    doping.to_c(model, tmp_path / "c", NAME)
    found = differences(build(tmp_path / "c", f"CFLAGS={STRICT}"))
    whole_only = "both directions" in kind
    assert len(found) == (1 if whole_only else 2), "a step at a time, and all at once"
    assert max(found) < 1e-5
    # The demo compares with the deployed layers; these are the compressed ones to within what the values are rounded.
    header = (tmp_path / "c" / "expected.h").read_text().replace("{", "}").split("}")
    x, expected = (torch.tensor([float(n) for n in header[at].replace("\n", " ").split(",") if n.strip()]) for at in (1, 3))
    y = x.view(12, 24)
    with torch.no_grad():
        for layer in model:
            given = layer(y)
            y = given[0] if isinstance(given, tuple) else given
    assert (y.flatten() - expected).abs().max() < (0.01 if "projection" in kind else 1e-5)


def test_what_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(CompressionError, match="Conv1d cannot be written as C; supported are compressed LSTM, GRU, RNN and"):
        doping.to_c([nn.Conv1d(3, 3, 3)], tmp_path / "c")
    with pytest.raises(CompressionError, match=r"GRU cannot be written as C; .*; doping.compress_ makes them"):
        doping.to_c(nn.GRU(24, 32), tmp_path / "c")
    gru = stack("gru of two layers")[0]
    with pytest.raises(CompressionError, match="a layer of 24 inputs reads one of 32 outputs; they must be equal"):
        doping.to_c([gru, gru], tmp_path / "c")
    with pytest.raises(CompressionError, match="there is no compressed layer to write as C"):
        doping.to_c(nn.Sequential(nn.ReLU()), tmp_path / "c")
    unfinished = nn.Sequential(nn.GRU(24, 32))
    doping.compress_(unfinished, {"0": Method(name="pruned", factor=4)})
    with pytest.raises(UnfinishedError, match="its pruning is not over"):
        doping.to_c(unfinished, tmp_path / "c")
    assert not (tmp_path / "c").exists()
