"""Sparse matrices are pruned on schedule while a model trains, and an interrupted training goes on bit for bit."""

import functools
import itertools

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from references.matrices import ENTRIES, blocks_of
from tiny_task import TinyText, model, settings, trainer

from doping.matrices import Doped, Sparse
from doping.method import Method
from doping.training.schedules import cubic_sparsity
from lightning_modules.callbacks.checkpoint import TimedCheckpoint
from lightning_modules.callbacks.curve import Curve, sparsity

pytestmark = pytest.mark.filterwarnings("ignore")

STEPS = 2 * 22  # two epochs of the tiny text

METHODS = {
    "pruned": Method(name="pruned", factor=8, annealing={"start": 0.1, "length": 0.6, "interval": 3}),
    "doped_kp": Method(name="doped_kp", factor=5, annealing={"start": 0.1, "length": 0.6, "interval": 3}),
    "doped_lmf + cmr": Method(name="doped_lmf", factor=5, cmr={"probability": 0.4}, annealing={"interval": 1}),
    "doped_kp, saliency": Method(name="doped_kp", factor=5, annealing={"interval": 3, "criterion": "saliency"}),
    "doped_kp + cmr, rows": Method(name="doped_kp", factor=5, pattern="rows", cmr={"probability": 0.4}),
}
every_sparse_method = pytest.mark.parametrize("name", METHODS)


class Watch(pl.Callback):
    """Notes what is true at the start of each step."""

    def __init__(self):
        self.nonzeros, self.masks, self.probabilities = [], [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        sparse = [m for m in pl_module.modules() if isinstance(m, Sparse)]
        for matrix in sparse:
            assert not matrix.weight[~matrix.mask].any(), "a pruned weight has come back"
        self.nonzeros.append([m.nonzeros() for m in sparse])
        self.masks.append(torch.cat([m.mask.flatten() for m in sparse]))
        self.probabilities += [m.cmr_probability for m in pl_module.modules() if isinstance(m, Doped)][:1]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Trains a method with an optimizer, once for all tests; gives the method, what was true at each step, and the model."""

    @functools.cache
    def trained(name, optimizer):
        method, watch = METHODS[name], Watch()
        net = model(method, settings(optimizer=optimizer))
        trainer(method, tmp_path_factory.mktemp("watched"), callbacks=(watch,)).fit(net, TinyText())
        return method, watch, net

    return trained


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@every_sparse_method
def test_every_step_has_the_sparsity_of_the_schedule(name, optimizer, watched):
    method, watch, net = watched(name, optimizer)
    assert len(watch.nonzeros) == STEPS
    sparse = [m for m in net.modules() if isinstance(m, Sparse)]
    start, length = round(method.annealing.start * STEPS), round(method.annealing.length * STEPS)
    for step, counts in enumerate(watch.nonzeros):
        for matrix, count in zip(sparse, counts, strict=True):
            total = matrix.weight.numel()
            wanted = cubic_sparsity(
                step, final=matrix.planned_sparsity, start=start, length=length, interval=method.annealing.interval
            )
            assert count == pytest.approx(total * (1 - wanted), abs=ENTRIES[method.pattern])
    assert [m.nonzeros() for m in sparse] == [m.planned_nonzeros for m in sparse]
    assert net.uncompressed_size().values / net.size().values == pytest.approx(method.factor, rel=0.01)


@every_sparse_method
def test_masks_only_shrink_and_are_frozen_at_the_end(name, watched):
    method, watch, _ = watched(name, "adamw")
    for before, after in itertools.pairwise(watch.masks):
        assert not (after & ~before).any()
    frozen = round((method.annealing.start + method.annealing.length) * STEPS)
    assert frozen < STEPS - 5
    assert all(torch.equal(mask, watch.masks[frozen]) for mask in watch.masks[frozen:])


def test_a_schedule_that_ends_with_the_training_reaches_its_end(tmp_path):
    method = Method(name="pruned", factor=8, annealing={"start": 0.5, "length": 0.5})
    net = model(method)
    trainer(method, tmp_path).fit(net, TinyText())
    assert net.size().values == sum(m.planned_nonzeros for m in net.modules() if isinstance(m, Sparse))


@pytest.mark.parametrize("anneal", [True, False])
def test_row_dropout_is_constant_or_falls_to_zero_with_the_pruning(anneal, tmp_path):
    cmr = {"probability": 0.4, "anneal": anneal}
    method = Method(name="doped_kp", factor=5, cmr=cmr, annealing={"start": 0.2, "length": 0.5, "interval": 1})
    watch = Watch()
    trainer(method, tmp_path, callbacks=(watch,)).fit(model(method), TinyText())
    if not anneal:
        assert set(watch.probabilities) == {0.4}
        return
    start, length = round(0.2 * STEPS), round(0.5 * STEPS)
    progress = [cubic_sparsity(t, final=1.0, start=start, length=length) for t in range(STEPS)]
    assert watch.probabilities == pytest.approx([0.4 * (1 - share) for share in progress])
    assert watch.probabilities[start + length :] == [0.0] * (STEPS - start - length)


class Gradients(pl.Callback):
    """Notes the gradient of each sparse matrix in every optimizer step."""

    def __init__(self):
        self.of = {}

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        for module in pl_module.modules():
            if isinstance(module, Sparse):
                self.of.setdefault(module, []).append(module.weight.grad.numpy().astype(float))


@pytest.mark.exhaustive(keep_every=4)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("pattern", ["unstructured", "gates", "rows", "tiles"])
def test_saliency_is_the_square_of_a_value_times_its_mean_squared_gradient(pattern, optimizer, tmp_path, monkeypatch):
    """In every pruning the blocks of largest saliency stay, by a mean that is computed anew from all gradients so far."""
    noted, prunings, prune = Gradients(), [], Sparse.prune

    def watched(matrix, nonzeros, scale_MN=None):
        weight, before = matrix.weight.detach().numpy().astype(float), matrix.mask.numpy().copy()
        prune(matrix, nonzeros, scale_MN)
        after = matrix.mask.numpy().copy()
        if (before == after).all():
            return
        mean, *squares = [gradient**2 for gradient in noted.of[matrix]]
        for squared in squares:
            mean = 0.99 * mean + 0.01 * squared
        saliency = weight**2 * mean
        places = [np.ix_(*block) for block in blocks_of(pattern, after.shape)]
        alive = [(saliency[place].sum(), after[place].flat[0]) for place in places if before[place].flat[0]]
        kept, gone = [[value for value, stays in alive if stays == which] for which in (True, False)]
        prunings.append(max(gone) <= min(kept) * (1 + 1e-5))

    monkeypatch.setattr(Sparse, "prune", watched)
    annealing = {"start": 0.2, "length": 0.5, "interval": 5, "criterion": "saliency"}
    factor = 4.76 if pattern == "tiles" else 5  # tiles of so small a matrix have few factors
    method = Method(name="doped_kp", factor=factor, pattern=pattern, annealing=annealing)
    trainer(method, tmp_path, callbacks=(noted,)).fit(model(method, settings(optimizer=optimizer)), TinyText())
    assert len(prunings) > 4
    assert all(prunings)


class Killed(Exception):  # noqa: N818 - it is no error
    pass


class Kill(pl.Callback):
    """Ends a training, without a chance to clean up, before the step after ``step``."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            raise Killed


VALIDATED = {"val_check_interval": 5, "check_val_every_n_epoch": None}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Trains a method to the end, once for all tests; gives the model's values and the curve."""

    @functools.cache
    def trained(name):
        net, curve = model(METHODS[name]), Curve(lambda points: None)
        training = trainer(METHODS[name], tmp_path_factory.mktemp("uninterrupted"), callbacks=(curve,), **VALIDATED)
        training.fit(net, TinyText())
        return net.state_dict(), curve.points

    return trained


@pytest.mark.exhaustive(keep_every=40)
@pytest.mark.parametrize("stop_at", [7, 15, 22, 30])
@every_sparse_method
def test_an_interrupted_training_goes_on_bit_for_bit(name, stop_at, uninterrupted, tmp_path):
    """Interrupted in mid-epoch, in mid-anneal and at the end of an epoch: weights, masks and curve are the same."""
    method = METHODS[name]
    values, points = uninterrupted(name)
    checkpoint = tmp_path / "checkpoint.ckpt"
    callbacks = (Curve(lambda points: None), Kill(stop_at), TimedCheckpoint(checkpoint, seconds=0))
    killed = trainer(method, tmp_path, callbacks=callbacks, **VALIDATED)
    with pytest.raises(Killed):
        killed.fit(model(method), TinyText())

    resumed, curve = model(method, seed=99), Curve(lambda points: None)
    torch.manual_seed(99)
    trainer(method, tmp_path, callbacks=(curve,), **VALIDATED).fit(resumed, TinyText(), ckpt_path=checkpoint)
    for (parameter, expected), actual in zip(values.items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(expected, actual), parameter
    assert curve.points == points
    assert sparsity(resumed) > 0.5
