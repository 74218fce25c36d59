"""What is measured of co-matrix adaptation is what its formulas say, and measuring it changes nothing."""

import copy
import math

import pytest
import pytorch_lightning as pl
import torch
from tiny_task import TinyText, model, settings, trainer
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from doping.layers.lstm import CompressedLSTM
from doping.layers.matrix_inputs import matrix_inputs
from doping.matrices import Doped, plan_matrix
from doping.method import Method
from doping.training.co_adaptation import Energy, energy
from lightning_modules.callbacks.checkpoint import TimedCheckpoint
from lightning_modules.callbacks.curve import Curve
from lightning_modules.callbacks.monitor import Monitor

pytestmark = pytest.mark.filterwarnings("ignore")

DOPED = Method(name="doped_kp", factor=5, cmr={"probability": 0.3}, annealing={"start": 0.1, "length": 0.6, "interval": 3})
BATCH = next(iter(TinyText(evaluation_length=30).val_dataloader()))
EVERY_5_STEPS = {"val_check_interval": 5, "check_val_every_n_epoch": None}


def fit(folder, monitor, net=None, callbacks=(), method=DOPED, **options):
    net = net or model(method)
    curve = Curve(lambda points: None, monitor)
    monitors = [monitor] if monitor else []
    training = trainer(method, folder, callbacks=(*monitors, curve, *callbacks), **EVERY_5_STEPS, **options)
    training.fit(net, TinyText())
    return net, curve.points


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_the_inputs_of_the_matrices_give_what_the_lstm_gives(bidirectional, batch_first, bias):
    """The four gates, written out from the inputs of the last layer, give the outputs of the fused LSTM."""
    torch.manual_seed(0)
    lstm = CompressedLSTM(
        6, 5, 2, batch_first=batch_first, bidirectional=bidirectional, bias=bias, method=Method(name="doped_lmf", factor=1.2)
    ).eval()
    x = torch.randn(3, 7, 6)
    expected, _ = lstm(x)
    inputs = matrix_inputs(lstm, x)
    assert list(inputs) == list(lstm.matrices)
    halves = []
    for suffix in ("", "_reverse") if bidirectional else ("",):
        gates = sum(
            inputs[name] @ lstm.matrices[name].dense().T for name in (f"weight_ih_l1{suffix}", f"weight_hh_l1{suffix}")
        )
        if bias:
            gates = gates + lstm.biases[f"bias_ih_l1{suffix}"] + lstm.biases[f"bias_hh_l1{suffix}"]
        c, outputs = torch.zeros(5), []
        for i, f, g, o in (step.chunk(4, dim=-1) for step in gates):
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            outputs.append(o.sigmoid() * c.tanh())
        halves.append(torch.stack(outputs).flip(0) if suffix else torch.stack(outputs))
    actual = torch.cat(halves, dim=-1)
    torch.testing.assert_close(actual.transpose(0, 1) if batch_first else actual, expected)


def read_in_a_plain_loop(lstm, sequence, state):
    """What each matrix is multiplied with, step by step, of one sequence (T, I), from a state (layers · directions, H)."""
    first = zip(*state, strict=True)
    inputs, layer_input = {}, list(sequence)
    for layer in range(lstm.num_layers):
        outputs = []
        for suffix in ("", "_reverse") if lstm.bidirectional else ("",):
            ih, hh = f"weight_ih_l{layer}{suffix}", f"weight_hh_l{layer}{suffix}"
            (h, c), read, states, given = next(first), [], [], []
            for x in reversed(layer_input) if suffix else layer_input:
                read.append(x)
                states.append(h)
                gates = lstm.matrices[ih].dense() @ x + lstm.matrices[hh].dense() @ h
                gates = gates + sum(lstm.biases[name.replace("weight", "bias")] for name in (ih, hh))
                i, f, g, o = gates.chunk(4)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
                given.append(h)
            inputs[ih], inputs[hh] = read, states
            outputs.append(given[::-1] if suffix else given)
        layer_input = [torch.cat(parts) for parts in zip(*outputs, strict=True)]
    return inputs


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [(6, 4, 4, 1), (2, 5, 1)])
@pytest.mark.parametrize("begin", [torch.zeros, torch.randn])
@torch.no_grad()
def test_the_inputs_of_a_packed_batch_are_those_of_its_sequences_without_padding(bidirectional, lengths, begin):
    torch.manual_seed(0)
    lstm = CompressedLSTM(6, 5, 3, bidirectional=bidirectional, method=Method(name="doped_lmf", factor=1.2)).eval()
    sequences = [torch.randn(length, 6) for length in lengths]
    state = begin(6 if bidirectional else 3, len(lengths), 5), begin(6 if bidirectional else 3, len(lengths), 5)
    found = matrix_inputs(lstm, pack_sequence(sequences, enforce_sorted=False), *([state] if begin is torch.randn else []))
    assert list(found) == list(lstm.matrices)
    alone = [read_in_a_plain_loop(lstm, x, (state[0][:, i], state[1][:, i])) for i, x in enumerate(sequences)]
    for name, vectors in found.items():
        expected = [one[name][step] for step in range(max(lengths)) for one in alone if step < len(one[name])]
        assert vectors.shape[0] == sum(lengths)
        torch.testing.assert_close(vectors, torch.stack(expected))


@pytest.mark.parametrize("name", ["doped_kp", "doped_lmf", "doped_hmd"])
def test_energies_are_mean_squared_lengths(name):
    torch.manual_seed(0)
    matrix = plan_matrix(Method(name=name, factor=4), (80, 20)).initialized(0.1)
    matrix.sparse.prune(matrix.sparse.planned_nonzeros)
    x = torch.randn(9, 4, 20)
    structured, sparse = x @ matrix.structured.dense().T, x @ matrix.sparse.dense().T
    found = energy(matrix, x)
    assert found.structured == pytest.approx(float(structured.square().sum(-1).mean()), rel=1e-5)
    assert found.sparse == pytest.approx(float(sparse.square().sum(-1).mean()), rel=1e-5)
    assert found.cross == pytest.approx(2 * float((structured * sparse).sum(-1).mean()), rel=1e-4, abs=1e-6)
    whole = float((structured + sparse).square().sum(-1).mean())
    assert found.structured + found.sparse + found.cross == pytest.approx(whole, rel=1e-5)


def test_shares_tell_parts_that_cancel_from_parts_that_are_alike():
    assert Energy(3.0, 1.0, 0.0).shares() == Energy(0.75, 0.25, 0.0)
    torch.manual_seed(0)
    matrix = plan_matrix(Method(name="doped_lmf", factor=4), (80, 20)).initialized(0.1)
    for sign in (1, -1):
        matrix.sparse.weight.data = sign * matrix.structured.dense().detach()
        shares = energy(matrix, torch.randn(50, 20)).shares()
        assert vars(shares) == pytest.approx({"structured": 0.5, "sparse": 0.5, "cross": float(sign)}, rel=1e-4)
    assert math.isnan(Energy(0.0, 0.0, 0.0).shares().sparse)


def test_a_part_that_is_off_is_a_part_of_zeros(tmp_path):
    """The metric without a part is that of a model whose weights of the part are zero."""
    net, points = fit(tmp_path, Monitor(BATCH))
    net.eval()
    last = points[-1]
    assert net.global_step == last.step + 4, "the training has gone on since"
    adaptation = Monitor(BATCH).measure(_At(last.step), net)
    assert adaptation.validation_slice == pytest.approx(net.metric_on(BATCH))
    for part, measured in (
        ("sparse", adaptation.validation_without_sparse),
        ("structured", adaptation.validation_without_structured),
    ):
        zeroed = copy.deepcopy(net)
        for matrix in zeroed.matrices():
            for parameter in getattr(matrix, part).parameters():
                nn.init.zeros_(parameter)
        assert measured == pytest.approx(zeroed.metric_on(BATCH))
        assert measured != pytest.approx(adaptation.validation_slice)


class _At:
    """Of a trainer: that a validation is due."""

    def __init__(self, step):
        self.global_step, self.val_check_batch = step, 5


def test_every_validation_of_a_doped_model_is_measured(tmp_path):
    net, points = fit(tmp_path, Monitor(BATCH))
    assert len(points) == 8
    for point in points:
        assert point.energy_structured + point.energy_sparse == pytest.approx(1)
        assert abs(point.energy_cross) < 1
        assert min(point.gradient_structured, point.gradient_sparse) > 0
        assert [matrix.matrix for matrix in point.matrices] == ["lstm.weight_ih_l0", "lstm.weight_hh_l0"]
    shares = [point.energy_sparse for point in points]
    assert shares[-1] < shares[0], "a part that loses its values carries less"
    assert (points[-1].values, points[-1].bytes) == (net.size().values, net.size().bytes)


def test_every_third_validation_or_none(tmp_path):
    _, points = fit(tmp_path, Monitor(BATCH, every=3))
    assert [point.step for point in points if point.energy_sparse is not None] == [15, 30]
    assert [point.step for point in points if point.gradient_sparse is not None] == [15, 30]
    _, points = fit(tmp_path, None)
    assert all(point.energy_sparse is None for point in points)
    assert all(matrix.sparsity >= 0 and matrix.energy_sparse is None for point in points for matrix in point.matrices)


@pytest.mark.parametrize("name", ["dense", "pruned", "kp"])
def test_a_model_without_two_parts_has_nothing_to_measure(name, tmp_path):
    method = Method(name=name, factor=1 if name == "dense" else 5)
    _, points = fit(tmp_path, Monitor(BATCH), method=method)
    assert all(point.energy_sparse is None and point.gradient_sparse is None for point in points)
    assert [len(point.matrices) for point in points] == [2 if name == "pruned" else 0] * 8


def test_gradient_norms_are_those_before_clipping(tmp_path):
    norms = []

    class Note(pl.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            parts = [
                [p.grad for m in pl_module.matrices() for p in getattr(m, part).parameters()]
                for part in ("structured", "sparse")
            ]
            norms.append(tuple(math.sqrt(sum(float(g.square().sum()) for g in grads)) for grads in parts))

    _, points = fit(tmp_path, Monitor(BATCH), callbacks=(Note(),), gradient_clip_val=1e-3)
    for point in points:
        expected = norms[point.step - 1]
        assert (point.gradient_structured, point.gradient_sparse) == pytest.approx(expected, rel=1e-4)
        assert expected[0] > 1e-3


def test_a_training_is_the_same_with_and_without_being_measured(tmp_path):
    """Dropout and row dropout are on, so one random number more or less would show."""
    measured, points = fit(tmp_path, Monitor(BATCH))
    plain, plain_points = fit(tmp_path, None)
    for (name, expected), actual in zip(plain.state_dict().items(), measured.state_dict().values(), strict=True):
        assert torch.equal(expected, actual), name
    assert [p.validation for p in points] == [p.validation for p in plain_points]
    assert [p.training_loss for p in points] == [p.training_loss for p in plain_points]


@pytest.mark.exhaustive
@pytest.mark.parametrize("stop_at", [7, 14, 15, 30])
def test_an_interrupted_training_goes_on_with_the_same_measurements(stop_at, tmp_path):
    _, expected = fit(tmp_path, Monitor(BATCH))

    class Killed(Exception):  # noqa: N818 - it is no error
        pass

    class Kill(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.global_step == stop_at:
                raise Killed

    checkpoint = tmp_path / "checkpoint.ckpt"
    with pytest.raises(Killed):
        fit(tmp_path, Monitor(BATCH), callbacks=(Kill(), TimedCheckpoint(checkpoint, seconds=0)))
    monitor, resumed = Monitor(BATCH), model(DOPED, seed=99)
    curve = Curve(lambda points: None, monitor)
    training = trainer(DOPED, tmp_path, callbacks=(monitor, curve), **EVERY_5_STEPS)
    training.fit(resumed, TinyText(), ckpt_path=checkpoint)
    assert curve.points == expected


def test_measuring_leaves_the_model_as_it_was(tmp_path):
    net = model(DOPED, settings())
    net.train()
    before, modules = copy.deepcopy(net.state_dict()), list(net.named_modules())
    random_state = torch.get_rng_state()
    Monitor(BATCH).measure(_At(5), net)
    assert torch.equal(random_state, torch.get_rng_state())
    assert net.training
    assert [(name, id(module)) for name, module in net.named_modules()] == [(name, id(m)) for name, m in modules]
    assert all(isinstance(matrix, Doped) for matrix in net.matrices())
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    assert net.lstm._forward_pre_hooks == {}
