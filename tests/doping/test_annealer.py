"""The annealer in plain loops and in trainers: everything is as small as was asked in the end, or it is said."""

import copy
import itertools

import pytest
import pytorch_lightning as pl
import torch
from machine import needs_bfloat16
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import doping
from doping import CompressionError, Method
from doping.errors import InferenceError
from doping.inference.from_torch import to_bundle
from doping.layers.lstm import CompressedLSTM
from doping.matrices import Sparse
from doping.training import callbacks
from doping.training.schedules import cubic_sparsity
from lightning_modules.callbacks.annealing import Annealing

METHOD = Method(name="doped_kp", factor=4, annealing={"interval": 1}, cmr={"probability": 0.3})


def net(method=METHOD):
    torch.manual_seed(0)
    return doping.compress_(nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1)), {"0": method})


def train(model, annealer, steps, optimizer=None, **averages):
    optimizer = optimizer or torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(steps):
        model(torch.randn(8, 16)).square().mean().backward()
        optimizer.step()
        annealer.step()
        optimizer.zero_grad()
        for averaged in averages.values():
            averaged.update_parameters(model)


def sparse_of(model):
    return [module for module in model.modules() if isinstance(module, Sparse)]


@pytest.mark.parametrize("optimizer", ["adam", "sgd with momentum"])
def test_every_step_has_the_sparsity_of_the_schedule_and_momentum_revives_nothing(optimizer):
    model = net()
    annealer = doping.Annealer(model, total_steps=40)
    parameters = model.parameters()
    chosen = torch.optim.Adam(parameters) if optimizer == "adam" else torch.optim.SGD(parameters, 0.1, momentum=0.9)
    (sparse,) = sparse_of(model)
    for step in range(1, 41):
        train(model, annealer, 1, chosen)
        share = cubic_sparsity(step, final=1.0, start=6, length=22)
        assert sparse.nonzeros() == 512 - round(share * (512 - sparse.planned_nonzeros))
        assert not sparse.weight[~sparse.mask].any()
        assert model[0].matrices["weight"].cmr_probability == pytest.approx(0.3 * (1 - share))
    annealer.finish_()
    assert annealer.progress == 1
    assert doping.report(model).rows[0].reached == pytest.approx(4, rel=0.01)


def test_a_training_goes_on_from_states_bit_for_bit():
    method = METHOD.model_copy(update={"annealing": METHOD.annealing.model_copy(update={"criterion": "saliency"})})

    def run(stop):
        model = net(method)
        annealer, optimizer = doping.Annealer(model, total_steps=30), torch.optim.Adam(model.parameters(), 1e-2)
        for step in range(30):
            if step == stop:
                states = copy.deepcopy([thing.state_dict() for thing in (model, annealer, optimizer)])
                model = net(method)
                annealer, optimizer = doping.Annealer(model, total_steps=30), torch.optim.Adam(model.parameters(), 1e-2)
                for thing, state in zip((model, annealer, optimizer), states, strict=True):
                    thing.load_state_dict(state)
            torch.manual_seed(step)
            train(model, annealer, 1, optimizer)
        annealer.finish_()
        return model.state_dict()

    undisturbed, stopped = run(None), run(14)
    assert all(torch.equal(value, stopped[name]) for name, value in undisturbed.items())


def test_a_state_of_a_training_of_another_length_is_refused():
    state = doping.Annealer(net(), total_steps=30).state_dict()
    with pytest.raises(CompressionError, match="the state is of a training of 30 steps, this annealer was made for 40"):
        doping.Annealer(net(), total_steps=40).load_state_dict(state)


@pytest.mark.parametrize("buffers", [True, False])
@pytest.mark.parametrize("mean", ["EMA", "SWA"])
def test_averaged_models_end_with_the_final_mask(mean, buffers):
    """Case 02."""
    model = net()
    options = {"multi_avg_fn": get_ema_multi_avg_fn(0.999)} if mean == "EMA" else {}
    averaged = AveragedModel(model, use_buffers=buffers, **options)
    annealer = doping.Annealer(model, total_steps=40)
    train(model, annealer, 40, averaged=averaged)
    (ours,), (theirs,) = sparse_of(model), sparse_of(averaged)
    assert torch.equal(ours.mask, theirs.mask)
    assert not torch.equal(ours.weight, theirs.weight)
    assert doping.report(averaged.module).finished
    assert not averaged.module.eval()[0].matrices["weight"].sparse.dense()[~ours.mask].any()


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, None, float("inf")])
def test_the_number_of_steps_must_be_one(steps):
    with pytest.raises(CompressionError, match=r"total_steps is .*; expected the number of optimizer steps"):
        doping.Annealer(net(), total_steps=steps)


def test_a_model_without_compressed_layers_is_refused():
    with pytest.raises(CompressionError, match=r"no layer of the Linear is compressed; call doping.compress_ first"):
        doping.Annealer(nn.Linear(4, 4), total_steps=10)


def test_an_optimizer_that_does_not_know_the_compressed_weights_is_noticed():
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters())
    doping.compress_(model, {"0": METHOD})
    with pytest.warns(UserWarning, match=r"no compressed weight has changed in 50 steps, .* make it after compress_"):
        train(model, doping.Annealer(model, total_steps=1000), 60, optimizer)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.filterwarnings("error")
def test_an_optimizer_that_knows_them_is_not_warned_of(fused):
    model = net()
    train(model, doping.Annealer(model, total_steps=1000), 60, torch.optim.AdamW(model.parameters(), fused=fused))


def test_more_steps_than_told_are_warned_of():
    model = net()
    annealer = doping.Annealer(model, total_steps=5)
    with pytest.warns(UserWarning, match="all 5 steps"):
        train(model, annealer, 6)


def test_saliency_without_gradients_says_what_to_call_when():
    method = Method(name="pruned", factor=4, annealing={"criterion": "saliency"})
    model = net(method)
    with pytest.raises(CompressionError, match=r"call annealer.step\(\) after optimizer.step\(\) and before"):
        doping.Annealer(model, total_steps=5).step()


# Trainers


class Module(pl.LightningModule):
    def __init__(self, method=METHOD):
        super().__init__()
        torch.manual_seed(0)
        self.lstm, self.head = nn.LSTM(16, 16, batch_first=True), nn.Linear(16, 1)
        doping.compress_(self, {"lstm": method})

    def training_step(self, batch, _):
        x = batch[0] if isinstance(batch, list | tuple) else batch
        return self.head(self.lstm(x)[0][:, -1]).square().mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 1e-2)


class Stream(IterableDataset):
    def __iter__(self):
        yield from torch.randn(40, 5, 16)


def fit(data, *callbacks, module=None, **options):
    module = module or Module()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    pl.Trainer(accelerator="cpu", callbacks=list(callbacks), **quiet, **options).fit(module, DataLoader(data, batch_size=4))
    return module


pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning:pytorch_lightning", "ignore:.*num_workers", "ignore:.*does not have"
)
TABLE = TensorDataset(torch.randn(40, 5, 16))


@pytest.mark.parametrize("make", [Annealing, callbacks.lightning])
@pytest.mark.parametrize(
    "options", [{}, {"accumulate_grad_batches": 2}, pytest.param({"precision": "bf16-mixed"}, marks=needs_bfloat16)]
)
def test_a_lightning_module_of_ones_own(make, options):
    module = fit(TABLE, make(), max_epochs=4, **options)
    assert doping.report(module).finished


@pytest.mark.parametrize("decay", [0.9, None])
def test_the_averaged_weights_of_lightning(decay):
    from pytorch_lightning.callbacks import EMAWeightAveraging, WeightAveraging

    average = EMAWeightAveraging(decay=decay) if decay else WeightAveraging()
    assert doping.report(fit(TABLE, Annealing(), average, max_epochs=4)).finished


@pytest.mark.parametrize(
    ("data", "options"),
    [(Stream(), {"max_epochs": 1}), (TABLE, {"max_epochs": -1, "max_time": {"seconds": 1}})],
)
def test_an_unknown_number_of_steps_is_said_before_anything_is_pruned(data, options):
    """Cases 01 and 08."""
    module = Module()
    with pytest.raises(CompressionError, match=r"the number of steps of this training is unknown .* give it as total_steps"):
        fit(data, Annealing(), module=module, **options)
    assert not any(sparse.pruned.any() for sparse in sparse_of(module))
    assert doping.report(fit(Stream(), Annealing(total_steps=10), max_epochs=1)).finished


def test_a_training_that_ends_early_says_so_and_its_model_is_not_exported():
    """Case 06."""

    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.should_stop = trainer.global_step >= 3

    with pytest.warns(UserWarning, match="the pruning is not over: 3 of 40 steps are done, and it ends with step 28"):
        module = fit(TABLE, Annealing(), Stop(), max_epochs=4)
    with pytest.raises(doping.UnfinishedError, match="Train on"):
        doping.Annealer(module, total_steps=40).finish_()


def test_a_model_that_was_never_annealed_is_not_exported():
    """Case 05."""
    lstm = CompressedLSTM(16, 16, method=METHOD)
    with pytest.raises(InferenceError, match=r"weight_ih_l0 has 1,024 nonzeros, .* are planned: its pruning is not over"):
        to_bundle(lstm)
    doping.Annealer(lstm, total_steps=1).finish_(at_once=True)
    assert to_bundle(lstm).description.sizes.values == lstm.size().values


def test_the_callback_of_transformers_makes_the_same_calls(monkeypatch):
    """The order of its events is that of transformers' ``Trainer``."""
    import sys
    import types

    with pytest.raises(CompressionError, match="transformers is not imported"):
        callbacks.hugging_face()
    package = types.ModuleType("transformers")
    package.TrainerCallback = type("TrainerCallback", (), {})
    monkeypatch.setitem(sys.modules, "transformers", package)
    callback, model = callbacks.hugging_face(), net()
    assert isinstance(callback, package.TrainerCallback)
    state = types.SimpleNamespace(max_steps=20, global_step=0)
    optimizer = torch.optim.Adam(model.parameters())
    callback.on_train_begin(None, state, None, model=model)
    for _ in range(20):
        model(torch.randn(8, 16)).square().mean().backward()
        callback.on_pre_optimizer_step(None, state, None, model=model)
        optimizer.step()
        callback.on_optimizer_step(None, state, None, model=model)
        optimizer.zero_grad()
        state.global_step += 1
    callback.on_train_end(None, state, None, model=model)
    assert doping.report(model).finished


def test_masks_only_shrink():
    model = net()
    annealer, masks = doping.Annealer(model, total_steps=30), []
    for _ in range(30):
        train(model, annealer, 1)
        masks.append(sparse_of(model)[0].mask)
    assert not any((after & ~before).any() for before, after in itertools.pairwise(masks))
