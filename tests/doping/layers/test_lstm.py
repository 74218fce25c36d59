"""``CompressedLSTM`` is an ``nn.LSTM`` with the composed weights."""

import itertools

import pytest
import torch
from references.matrices import METHODS, method_of
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

from doping.layers.lstm import CompressedLSTM, weight_shapes
from doping.matrices import BudgetError
from doping.method import Method


def method(name: str, factor: float = 4, **settings) -> Method:
    return method_of(name, factor, **settings)


def compressed(name: str, **options) -> CompressedLSTM:
    torch.manual_seed(0)
    return CompressedLSTM(40, 40, method=method(name), **options)


def assert_same(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


# With 40 inputs and 2 x 40 from two directions a factor of 4 is in reach of every method but hmd and lmf; see below.
every_method = pytest.mark.parametrize("name", METHODS)
layouts = pytest.mark.parametrize(
    ("num_layers", "batch_first", "bias"), list(itertools.product([1, 2], [False, True], [True, False]))
)


@pytest.mark.exhaustive(keep_every=5)
@every_method
@layouts
def test_outputs_equal_those_of_an_lstm_with_the_composed_weights(name, num_layers, batch_first, bias):
    ours = compressed(name, num_layers=num_layers, batch_first=batch_first, bias=bias)
    theirs = ours.to_lstm()
    x = torch.randn(7, 3, 40)
    batch = x.shape[0 if batch_first else 1]
    state = (torch.randn(num_layers, batch, 40), torch.randn(num_layers, batch, 40))
    assert_same(ours(x), theirs(x))
    assert_same(ours(x, state), theirs(x, state))
    unbatched = torch.randn(5, 40)
    assert_same(ours(unbatched), theirs(unbatched))
    assert_same(ours(unbatched, (state[0][:, 0], state[1][:, 0])), theirs(unbatched, (state[0][:, 0], state[1][:, 0])))


@pytest.mark.parametrize("name", ["dense", "pruned", "kp", "doped_kp", "doped_lmf", "doped_hmd"])
@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_bidirectional_layers_and_packed_sequences(name, enforce_sorted):
    ours = compressed(name, num_layers=2, bidirectional=True)
    theirs = ours.to_lstm()
    lengths = (6, 4, 1) if enforce_sorted else (4, 6, 1)
    packed = pack_sequence([torch.randn(length, 40) for length in lengths], enforce_sorted=enforce_sorted)
    state = (torch.randn(4, 3, 40), torch.randn(4, 3, 40))
    for start in (None, state):
        (ours_out, ours_state), (theirs_out, theirs_state) = ours(packed, start), theirs(packed, start)
        assert isinstance(ours_out, PackedSequence)
        assert_same(pad_packed_sequence(ours_out), pad_packed_sequence(theirs_out))
        assert_same(ours_state, theirs_state)


@every_method
def test_gradients_equal_those_of_the_composed_weights(name):
    ours = compressed(name)
    theirs = ours.to_lstm()
    x = torch.randn(5, 3, 40)
    ours(x)[0].square().sum().backward()
    theirs(x)[0].square().sum().backward()
    for weight, matrix in ours.matrices.items():
        parameters = list(matrix.parameters())
        expected = torch.autograd.grad(matrix.dense(), parameters, getattr(theirs, weight).grad)
        for parameter, gradient in zip(parameters, expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, atol=1e-4, rtol=1e-4)


def test_dropout_between_layers_is_that_of_lstm():
    ours = compressed("doped_kp", num_layers=2, dropout=0.5)
    theirs = ours.to_lstm()
    x = torch.randn(5, 3, 40)
    torch.manual_seed(1)
    out = ours(x)
    torch.manual_seed(1)
    assert_same(out, theirs(x))
    assert not torch.equal(ours(x)[0], out[0])
    assert_same(ours.eval()(x), theirs.eval()(x))


@every_method
def test_from_lstm_is_the_nearest_and_keeps_the_rest(name):
    torch.manual_seed(0)
    lstm = nn.LSTM(40, 40, 2, batch_first=True, dropout=0.2).eval()
    ours = CompressedLSTM.from_lstm(lstm, method(name))
    assert not ours.training
    dense = sum(m * n for m, n in weight_shapes(40, 40, 2).values())
    assert dense / ours.size().values == pytest.approx(ours.method.factor, rel=0.01)
    back = ours.to_lstm()
    assert (back.batch_first, back.dropout, back.training) == (True, 0.2, False)
    for parameter, value in back.named_parameters():
        original = getattr(lstm, parameter)
        if name == "dense" or "bias" in parameter:
            assert torch.equal(value, original)
        else:
            assert torch.linalg.matrix_norm(value - original) < torch.linalg.matrix_norm(original)
    assert ours.biases["bias_hh_l0"].data_ptr() != lstm.bias_hh_l0.data_ptr()


def test_noise_is_drawn_once_a_forward_pass():
    ours = CompressedLSTM(40, 40, method=method("doped_kp", cmr={"probability": 0.5}))
    x = torch.randn(6, 2, 40)
    torch.manual_seed(3)
    whole, _ = ours(x)
    torch.manual_seed(3)
    composed = [matrix.sample() for matrix in ours.matrices.values()]
    theirs = ours.to_lstm()
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(composed[0])
        theirs.weight_hh_l0.copy_(composed[1])
    assert_same(whole, theirs(x)[0])
    assert not torch.equal(ours(x)[0], whole)


def test_an_initial_range_replaces_that_of_lstm():
    lstm = CompressedLSTM(40, 40, method=method("kp"), init_range=0.02)
    weights = lstm.to_lstm()
    assert float(weights.weight_hh_l0.detach().std()) == pytest.approx(0.02 / 3**0.5, rel=0.1)
    assert float(weights.bias_hh_l0.detach().abs().max()) <= 0.02


def test_precision_and_state_dict():
    first, second = compressed("doped_kp").double(), compressed("doped_kp").double()
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.zero_()
    second.load_state_dict(first.state_dict())
    x = torch.randn(4, 2, 40, dtype=torch.float64)
    assert torch.equal(first(x)[0], second(x)[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda lstm: lstm(torch.randn(5, 2, 39)), "Expected 40, got 39"),
        (lambda lstm: lstm(torch.randn(1, 5, 2, 40)), "got 4D"),
        (
            lambda lstm: lstm(torch.randn(5, 2, 40), (torch.zeros(1, 3, 40), torch.zeros(1, 3, 40))),
            r"Expected hidden\[0\] size \(1, 2, 40\), got \[1, 3, 40\]",
        ),
    ],
)
def test_wrong_inputs_are_refused_as_nn_lstm_refuses_them(call, message):
    for lstm in (compressed("kp"), nn.LSTM(40, 40)):
        with pytest.raises((ValueError, RuntimeError), match=message):
            call(lstm)


def test_projections():
    torch.manual_seed(0)
    trained = nn.LSTM(40, 80, proj_size=40)
    ours = CompressedLSTM.from_lstm(trained, method("kp"))
    assert list(ours.matrices) == ["weight_ih_l0", "weight_hh_l0", "weight_hr_l0"]
    x = torch.randn(5, 3, 40)
    assert_same(ours(x), ours.to_lstm()(x))


def test_an_impossible_factor_is_refused_when_the_model_is_made():
    with pytest.raises(BudgetError, match="nearest possible"):
        CompressedLSTM(128, 128, method=Method(name="lmf", factor=20))


def test_weights_that_are_kept_dense_are_not_compressed():
    lstm = CompressedLSTM(2, 20, method=Method(name="kp", factor=4), keep_dense=["weight_ih_l0"])
    sizes = {name: matrix.size().values for name, matrix in zip(lstm.matrices, lstm.weight_matrices(), strict=True)}
    assert sizes == {"weight_ih_l0": 160, "weight_hh_l0": pytest.approx(400, rel=0.01)}
    with pytest.raises(ValueError, match="keep_dense names weight_ih; the weights are weight_ih_l0, weight_hh_l0"):
        CompressedLSTM(2, 20, method=Method(), keep_dense=["weight_ih"])
