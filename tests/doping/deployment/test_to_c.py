"""Compressed layers as C: what the program computes is what they do in PyTorch, in every stack."""

from __future__ import annotations

import copy
import subprocess

import pytest
import torch
from c_code.sources import NAME, STRICT, builder, differences
from torch import nn

import doping
from doping import CompressionError, Method, UnfinishedError

STACKS = {
    "cells of every kind": (
        lambda: [nn.LSTMCell(24, 32), nn.GRUCell(32, 32), nn.RNNCell(32, 32), nn.Linear(32, 24)],
        Method(name="doped_lmf", factor=2),
    ),
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


def over_steps(layer: nn.Module, x_TI: torch.Tensor) -> torch.Tensor:
    if not isinstance(layer, nn.RNNCellBase):
        given = layer(x_TI)
        return given[0] if isinstance(given, tuple) else given
    state, outputs = None, []
    for x_I in x_TI:
        state = layer(x_I, state)
        outputs.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(outputs)


@pytest.mark.exhaustive(keep=["cells of every kind"])
@pytest.mark.parametrize("kind", STACKS)
def test_the_program_computes_what_the_layers_do(kind, build, tmp_path):
    model = stack(kind)
    doping.to_c(model, tmp_path / "c", NAME)
    found = differences(build(tmp_path / "c", f"CFLAGS={STRICT}", "ARCH="))
    whole_only = "both directions" in kind
    assert len(found) == (1 if whole_only else 2), "a step at a time, and all at once"
    assert max(found) < 1e-5
    # The demo compares with the deployed layers; these are the compressed ones to within what the values are rounded.
    header = (tmp_path / "c" / "expected.h").read_text().replace("{", "}").split("}")
    x, expected = (torch.tensor([float(n) for n in header[at].replace("\n", " ").split(",") if n.strip()]) for at in (1, 3))
    y = x.view(12, 24)
    with torch.no_grad():
        for layer in model:
            y = over_steps(layer, y)
    assert (y.flatten() - expected).abs().max() < (0.01 if "projection" in kind else 1e-5)


STEP = """
#include <stdio.h>
#include <stdlib.h>
#include "model.h"
int main(void) {
    static float x[MODEL_INPUTS], y[MODEL_OUTPUTS];
    model_state state;
    for (int k = 0; k < MODEL_STATE; k++)
        if (scanf("%f", &state.numbers[k]) != 1) return 1;
    for (int k = 0; k < MODEL_INPUTS; k++)
        if (scanf("%f", &x[k]) != 1) return 1;
    float *workspace = malloc(sizeof(float) * model_workspace(1));
    model_run(&state, 1, x, y, workspace);
    free(workspace);
    for (int k = 0; k < MODEL_OUTPUTS; k++) printf("%.9g ", y[k]);
    for (int k = 0; k < MODEL_STATE; k++) printf("%.9g ", state.numbers[k]);
}
"""


@pytest.mark.exhaustive(keep=["LSTMCell"])
@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_a_cell_takes_a_state_and_gives_the_next_one(kind, build, tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(kind(24, 32))
    doping.compress_(model, {"*": Method(name="doped_kp", factor=4)})
    doping.Annealer(model, total_steps=1).finish_(at_once=True)
    folder = tmp_path / "c"
    doping.to_c(model.eval(), folder, NAME)
    assert max(differences(build(folder, f"CFLAGS={STRICT}", "ARCH="))) < 1e-5, "a step at a time, and all at once"
    (folder / "main.c").write_text(STEP)
    subprocess.run(["make", "-C", str(folder), "demo", f"CFLAGS={STRICT}", "ARCH="], check=True, capture_output=True)
    state, x = torch.randn(2 if kind is nn.LSTMCell else 1, 32), torch.randn(24)
    given = " ".join(str(number) for number in [*state.flatten().tolist(), *x.tolist()])
    done = subprocess.run([folder / "demo"], input=given, capture_output=True, text=True, check=True)
    found = torch.tensor([float(word) for word in done.stdout.split()], dtype=torch.float64).view(-1, 32)
    with torch.no_grad():
        exact = copy.deepcopy(model)[0].double()
        expected = exact(x.double()[None], (state.double()[:1], state.double()[1:]) if len(state) == 2 else state.double())
    expected = torch.cat(expected if isinstance(expected, tuple) else [expected])
    assert (found - torch.cat([expected[:1], expected])).abs().max() < 1e-5


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
    in_int8 = doping.deploy_(stack("gru of two layers"), arithmetic="int8")
    with pytest.raises(CompressionError, match="a layer is deployed in int8 arithmetic; stacks as C multiply in float32"):
        doping.to_c(in_int8, tmp_path / "c")
    unfinished = nn.Sequential(nn.GRU(24, 32))
    doping.compress_(unfinished, {"0": Method(name="pruned", factor=4)})
    with pytest.raises(UnfinishedError, match="its pruning is not over"):
        doping.to_c(unfinished, tmp_path / "c")
    assert not (tmp_path / "c").exists()
