"""What the matrices of a layer read is what PyTorch's own layers hand on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from doping.layers.matrix_inputs import matrix_inputs


@pytest.fixture(autouse=True)
def without_gradients():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_the_second_layer_reads_the_first_and_the_state_is_the_output_before(kind):
    both = kind(6, 5, 2, bidirectional=True, batch_first=True)
    first = kind(6, 5, bidirectional=True, batch_first=True)
    first.load_state_dict({name: both.state_dict()[name] for name in first.state_dict()})
    x = torch.randn(3, 7, 6)
    found, y = matrix_inputs(both, x), first(x)[0].transpose(0, 1)
    torch.testing.assert_close(found["weight_ih_l0"], x.transpose(0, 1))
    torch.testing.assert_close(found["weight_ih_l0_reverse"], x.transpose(0, 1).flip(0))
    torch.testing.assert_close(found["weight_ih_l1"], y)
    torch.testing.assert_close(found["weight_hh_l0"], torch.cat([torch.zeros(1, 3, 5), y[:-1, :, :5]]))
    torch.testing.assert_close(found["weight_hh_l0_reverse"], torch.cat([torch.zeros(1, 3, 5), y[1:, :, 5:].flip(0)]))


def test_states_that_are_given_and_sequences_without_a_batch():
    gru, x, h = nn.GRU(6, 5, bias=False), torch.randn(4, 6), torch.randn(1, 5)
    found = matrix_inputs(gru, x, h)
    torch.testing.assert_close(found["weight_hh_l0"][:, 0], torch.cat([h, gru(x, h)[0][:-1]]))


def test_cells_and_linear_layers():
    x, h = torch.randn(2, 6), torch.randn(2, 5)
    for cell, state in ((nn.LSTMCell(6, 5), (h, torch.randn(2, 5))), (nn.GRUCell(6, 5), h), (nn.RNNCell(6, 5), h)):
        assert matrix_inputs(cell, x, state)["weight_hh"] is h
        assert not matrix_inputs(cell, x)["weight_hh"].any()
    assert matrix_inputs(nn.Linear(6, 5), x) == {"weight": x}
    with pytest.raises(NotImplementedError, match="proj_size=3"):
        matrix_inputs(nn.LSTM(6, 5, proj_size=3), x)
