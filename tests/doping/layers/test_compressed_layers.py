"""A compressed layer of every type stays what it was, with composed weights; checked against float64 loops."""

import copy
import pickle

import pytest
import torch
from references.matrices import reference
from torch import nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence
from torch_layers.to_compress import assert_same, every_layer, every_method, finished, flat, inputs, made

import doping
from doping.layers.kinds import weight_names
from doping.matrices import Sparse

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


@pytest.mark.exhaustive(keep_every=3)
@every_layer
@every_method
def test_a_layer_computes_what_the_plain_one_computes_with_the_written_out_weights_in_float64(kind, label):
    plain, layer = made(kind, label)
    x, exact = inputs(layer), plain.double()
    for state in ("warm", "finished"):
        if state == "finished":
            finished(layer)
        with torch.no_grad():
            for name, matrix in layer.named_matrices():
                getattr(exact, name).copy_(torch.from_numpy(reference(matrix)))
        for mode in (True, False):
            assert_same(layer.train(mode)(x), exact(x.double()))
            with torch.no_grad():
                assert_same(layer(x), exact(x.double()))
                assert_same(layer(x), layer(x), atol=0)


@pytest.mark.exhaustive(keep_every=3)
@every_layer
@every_method
def test_gradients_are_those_of_the_composed_weights(kind, label):
    plain, layer = made(kind, label)
    x = inputs(layer)
    with torch.no_grad():
        for name, matrix in layer.named_matrices():
            getattr(plain, name).copy_(matrix.dense())
    for one in (layer, plain):
        sum(output.square().sum() for output in flat(one(x))).backward()
    for name, matrix in layer.named_matrices():
        parameters = list(matrix.parameters())
        expected = torch.autograd.grad(matrix.dense(), parameters, getattr(plain, name).grad)
        for parameter, gradient in zip(parameters, expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, atol=1e-3, rtol=1e-3)


@every_layer
def test_the_layer_stays_what_it_was(kind):
    plain, layer = made(kind)
    assert isinstance(layer, type(plain))
    assert [getattr(layer, name).shape for name in weight_names(plain)] == [
        getattr(plain, name).shape for name in weight_names(plain)
    ]
    x = inputs(layer)
    assert_same(layer(input=x), layer(x), atol=0)
    if isinstance(layer, nn.RNNBase):
        layer.flatten_parameters()
        assert [len(group) for group in layer.all_weights] == [len(group) for group in plain.all_weights]


@every_layer
def test_a_warm_start_of_a_doped_or_pruned_layer_computes_what_the_dense_one_did(kind):
    for label in ("pruned", "doped_kp"):
        plain, layer = made(kind, label)
        x = inputs(layer)
        assert_same(layer(x), plain(x), atol=1e-4)
        assert not any(module.pruned.any() for module in layer.modules() if isinstance(module, Sparse))


@every_layer
def test_copies_pickles_checkpoints_and_merged_layers_compute_the_same(kind, tmp_path):
    plain, layer = made(kind)
    x = inputs(layer)
    layer(x)  # leaves a graph, which must not be copied
    finished(layer).eval()
    with torch.no_grad():
        expected = layer(x)
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert_same(other(x), expected, atol=0)
            assert type(other) is type(layer)
        torch.save(layer.state_dict(), tmp_path / "layer.pt")
        fresh = made(kind, seed=5)[1].eval()
        fresh(x)
        fresh.load_state_dict(torch.load(tmp_path / "layer.pt", weights_only=True))
        assert_same(fresh(x), expected, atol=0)
        merged = doping.merge_(layer)
        assert type(merged) is type(plain)
        assert list(merged.state_dict()) == list(plain.state_dict())
        assert_same(merged(x), expected, atol=0)
    plain.load_state_dict(merged.state_dict())


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_packed_sequences_and_states(kind):
    plain, layer = made(kind)
    packed = pack_sequence([torch.randn(length, 40) for length in (2, 5, 1)], enforce_sorted=False)
    with torch.no_grad():
        for name, matrix in layer.named_matrices():
            getattr(plain, name).copy_(matrix.dense())
    h = torch.randn(2 if kind == "LSTM" else 4, 3, 40)
    state = (h, torch.randn_like(h)) if kind == "LSTM" else h
    for hx in (None, state):
        (ours, ours_state), (theirs, theirs_state) = layer(packed, hx=hx), plain(packed, hx=hx)
        assert_same(pad_packed_sequence(ours)[0], pad_packed_sequence(theirs)[0])
        assert_same(ours_state, theirs_state)


def counted(layer, monkeypatch):
    """Counts how often a matrix of the layer is composed."""
    calls = []
    for matrix in layer.matrices.values():
        original = matrix.dense
        monkeypatch.setattr(matrix, "dense", lambda original=original: calls.append(1) or original())
    return calls


@every_layer
def test_weights_are_composed_once_a_pass_in_training_and_once_at_all_in_evaluation(kind, monkeypatch):
    _, layer = made(kind, "pruned")
    x, calls = inputs(layer), counted(layer, monkeypatch)
    count = len(layer.matrices)
    layer(x)
    assert len(calls) == count
    layer.eval()
    calls.clear()
    with torch.no_grad():
        for _ in range(3):
            layer(x)
    assert len(calls) == count


@pytest.mark.exhaustive(keep_every=4)
@every_layer
@pytest.mark.parametrize("optimizer", ["sgd", "adam, fused", "adam, foreach"])
def test_evaluation_sees_every_change_of_the_parameters(kind, optimizer):
    _, layer = made(kind)
    layer.eval()
    x = inputs(layer)
    name, _, how = optimizer.partition(", ")
    step = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[name](layer.parameters(), 0.1, **({how: True} if how else {}))

    def check():
        with torch.no_grad():
            assert_same(layer(x), copy.deepcopy(layer)(x), atol=0)

    check()
    sum(output.square().sum() for output in flat(layer(x))).backward()
    step.step()
    check()
    next(module for module in layer.modules() if isinstance(module, Sparse)).prune(10)
    check()
    layer.load_state_dict(made(kind, seed=3)[1].state_dict())
    check()
    layer.double().float()
    check()
    with torch.inference_mode():
        layer(x)
    check()


def test_noise_of_row_dropout_is_drawn_once_a_pass_and_for_a_cell_once_until_the_backward_pass():
    settings = {"cmr": {"probability": 0.5}}
    x = torch.randn(3, 40)
    _, linear = made("Linear", settings=settings)
    assert not torch.equal(linear(x), linear(x))
    _, cell = made("GRUCell", settings=settings)
    first = cell(x)
    assert torch.equal(cell(x), first)
    (first.sum() + cell(x).sum()).backward()
    assert not torch.equal(cell(x), first)
    cell(x).sum().backward()  # a second graph, not the one that is gone
    cell.eval()
    assert torch.equal(cell(x), cell(x))


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_a_cell_in_checkpoints_of_activations(use_reentrant):
    _, cell = made("GRUCell")
    x = torch.randn(3, 40, requires_grad=True)

    def steps(x):
        return cell(cell(x))

    torch.utils.checkpoint.checkpoint(steps, x, use_reentrant=use_reentrant).sum().backward()
    ours = cell.matrices["weight_ih"].sparse.weight.grad.clone()
    cell.zero_grad()
    steps(x).sum().backward()
    torch.testing.assert_close(cell.matrices["weight_ih"].sparse.weight.grad, ours)
