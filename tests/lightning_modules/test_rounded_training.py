"""Training with rounded weights for the last stretch: what a step computes with, and what it moves."""

import pytest
import pytorch_lightning as pl
import tiny_task
import torch

from doping.method import Method
from doping.training.rounding import lstm_weights, rounded, row_scales
from lightning_modules.callbacks.rounding import Rounding

pytestmark = pytest.mark.filterwarnings("ignore")
METHOD = Method(name="lmf", factor=2, values="int4", rounding={"share": 0.5, "annealed": 0.5})


class Spy(pl.Callback):
    """Keeps the weights that each step computes with (the callback comes after the one that rounds), and those it moves."""

    def __init__(self):
        self.computed, self.moved, self.validated = [], [], []

    def weights(self, model):
        return {name: weight.detach().clone() for name, weight, _ in lstm_weights(model, "int4")}

    def on_train_batch_start(self, trainer, model, batch, batch_idx):
        self.computed.append(self.weights(model))

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.moved.append(self.weights(model))

    def on_validation_start(self, trainer, model):
        self.validated.append(self.weights(model))


@pytest.fixture(scope="module")
def spied(tmp_path_factory):
    spy, rounding = Spy(), Rounding(METHOD)
    model = tiny_task.model(METHOD)
    trainer = tiny_task.trainer(METHOD, tmp_path_factory.mktemp("run"), callbacks=(rounding, spy))
    trainer.fit(model, tiny_task.TinyText())
    return spy, rounding, trainer.global_step


def test_the_rounding_grows_from_none_to_all_of_it():
    progress = Rounding(METHOD).progress
    assert [progress(share) for share in (0, 0.5, 0.5625, 0.625, 0.75, 1)] == [0, 0, 0.25, 0.5, 1, 1]
    assert Rounding(Method(name="lmf", factor=2)).progress(1) == 0
    assert Rounding(METHOD.model_copy(update={"rounding": Method().rounding})).progress(1) == 0


def test_a_step_computes_with_rounded_weights_and_moves_those_that_are_not(spied):
    spy, _, steps = spied
    for step in range(1, steps):
        for name, moved in spy.moved[step - 1].items():
            computed = spy.computed[step][name]
            if step < steps // 2:
                assert torch.equal(computed, moved)
            elif step >= 0.76 * steps and step % 10 == 0:  # scales were fitted to these very weights
                torch.testing.assert_close(computed, rounded(moved, row_scales(moved, 4), 4))
                assert not torch.equal(computed, moved)
    last = spy.moved[-1]
    assert any(len(row.unique()) > 15 for weight in last.values() for row in weight)


def test_validations_meanwhile_are_of_the_weights_that_a_step_computes_with(spied):
    spy, _, _ = spied
    assert all(len(row.unique()) <= 15 for weight in spy.validated[-1].values() for row in weight)


def test_the_scales_are_in_the_checkpoint(spied):
    _, rounding, _ = spied
    other = Rounding(METHOD)
    other.load_state_dict(rounding.state_dict())
    assert other.scales.keys() == rounding.scales.keys() != set()


def test_embedding_and_softmax_are_rounded_too_where_they_are_to_have_4_bits(tmp_path):
    method = METHOD.model_copy(update={"embedding_values": "int4"})

    class Last(pl.Callback):
        def on_train_batch_start(self, trainer, model, batch, batch_idx):
            self.rows = model.embedding.weight.detach().clone()

    last = Last()
    trainer = tiny_task.trainer(method, tmp_path, callbacks=(Rounding(method), last))
    model = tiny_task.model(method)
    trainer.fit(model, tiny_task.TinyText())
    assert all(len(row.unique()) <= 15 for row in last.rows)
    assert any(len(row.unique()) > 15 for row in model.embedding.weight)
