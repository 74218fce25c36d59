"""The language model: its metric, and a training that follows a plain loop over ``nn.LSTM``, loss by loss."""

import itertools
import math

import pytest
import pytorch_lightning as pl
import torch
from tiny_task import VOCABULARY, TinyText, model, settings, stream, trainer
from torch import nn
from torch.nn import functional as F

from data.text.batches import StreamBatches
from doping.method import Method
from tasks.language_model import LanguageModelTask

pytestmark = pytest.mark.filterwarnings("ignore")

DENSE = Method()


def bits_by_plain_loop(net) -> float:
    """Every token but the first predicted once, one at a time, in float64."""
    net = net.double().eval()
    tokens, state, bits = stream(211, seed=1), None, 0.0
    with torch.no_grad():
        for token, following in itertools.pairwise(tokens):
            logits, state = net(token.view(1, 1), state)
            bits -= float(F.log_softmax(logits.flatten(), dim=0)[following]) / math.log(2)
    return bits / (len(tokens) - 1)


@pytest.mark.parametrize(("batch_size", "length"), [(1, 1), (4, 7), (20, 50), (3, 500)])
def test_the_metric_covers_the_whole_stream_whatever_the_batches(batch_size, length, tmp_path):
    net = model(Method(name="doped_kp", factor=5))
    runner = trainer(DENSE, tmp_path)
    runner.validate(net, TinyText(batch_size=batch_size, evaluation_length=length), verbose=False)
    assert net.measured() == pytest.approx(bits_by_plain_loop(net), rel=1e-6)


def test_perplexity_and_bits_are_the_same_loss(tmp_path):
    words = LanguageModelTask(data={"level": "word"}, model={"hidden": 20})
    characters = LanguageModelTask(data={"level": "character"}, model={"hidden": 20})
    measured = []
    for task in (words, characters):
        net = model(DENSE, task)
        trainer(DENSE, tmp_path).validate(net, TinyText(), verbose=False)
        measured.append((net.metric, net.measured()))
    assert [name for name, _ in measured] == ["perplexity", "bits_per_character"]
    assert measured[0][1] == pytest.approx(2 ** measured[1][1])


def test_a_loss_beyond_all_bounds_is_an_infinite_perplexity():
    net = model(DENSE, LanguageModelTask(data={"level": "word"}, model={"hidden": 20}))
    net._nats.update(torch.tensor(1e4), 1)
    assert net.measured() == math.inf


@pytest.mark.parametrize("optimizer", ["sgd", "scaled_sgd", "adamw"])
def test_training_follows_a_plain_loop_loss_by_loss(optimizer, tmp_path):
    """Zaremba's regime: state carried on, loss summed over the steps, gradient clipped, rate decayed after an epoch."""
    training = {"optimizer": optimizer, "learning_rate": 0.01 if optimizer == "adamw" else 0.5}
    training |= {"clip": 0.5, "decay": 1.5, "decay_after": 1, "epochs": 3, "cooldown": 0.5}
    task = LanguageModelTask(
        model={"hidden": 20, "layers": 2, "uniform_init": 0.1},
        training={"batch_size": 4, "sequence_length": 8, **training},
    )
    net = model(DENSE, task)
    embedding, softmax = nn.Embedding(VOCABULARY, 20), nn.Linear(20, VOCABULARY)
    embedding.load_state_dict(net.embedding.state_dict())
    softmax.load_state_dict(net.softmax.state_dict())
    lstm = net.lstm.to_lstm()

    losses = _Losses()
    trainer(DENSE, tmp_path, epochs=3, callbacks=(losses,), gradient_clip_val=0.5).fit(net, TinyText())

    parameters = [*embedding.parameters(), *lstm.parameters(), *softmax.parameters()]
    if optimizer == "adamw":
        stepper = torch.optim.AdamW(parameters, weight_decay=0.0)
    else:  # a dense model has no factors to be scaled
        stepper = torch.optim.SGD(parameters)
    expected, step, total = [], 0, 3 * 22
    for epoch in range(3):
        state = None
        for tokens, targets, _ in StreamBatches(stream(700), 4, 8):
            rate = training["learning_rate"] / 1.5 ** max(0, epoch + 1 - 1)
            rate *= min(1.0, (total - step) / (0.5 * total))
            for group in stepper.param_groups:
                group["lr"] = rate
            outputs, state = lstm(embedding(tokens), state)
            state = (state[0].detach(), state[1].detach())
            loss = F.cross_entropy(softmax(outputs).flatten(0, 1), targets.flatten(), reduction="sum") / 4
            stepper.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 0.5)
            stepper.step()
            expected.append(float(loss))
            step += 1
    assert losses.seen == pytest.approx(expected, rel=2e-4)
    assert losses.seen[-1] < 0.8 * losses.seen[0]


class _Losses(pl.Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(float(outputs["loss"]))


def test_a_validation_in_between_does_not_disturb_the_training(tmp_path):
    plain, watched = model(DENSE), model(DENSE)
    torch.manual_seed(0)
    trainer(DENSE, tmp_path, limit_val_batches=0).fit(plain, TinyText())
    torch.manual_seed(0)
    trainer(DENSE, tmp_path, val_check_interval=3, check_val_every_n_epoch=None).fit(watched, TinyText())
    for expected, actual in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(expected, actual)


def test_a_uniform_start_holds_for_all_parameters():
    net = model(DENSE, LanguageModelTask(model={"hidden": 20, "uniform_init": 0.05}))
    for name, parameter in net.named_parameters():
        # The weights are scaled to the exact variance, which moves their range by a percent or so.
        assert parameter.abs().max() <= 0.05 * 1.1, name
        assert parameter.abs().max() > 0.03, name


def test_sizes_count_the_lstm_matrices_only():
    net = model(Method(name="pruned", factor=4), settings(hidden=20))
    assert net.uncompressed_size().values == 2 * 80 * 20
    assert net.size().values == 2 * 80 * 20
    for matrix in net.matrices():
        matrix.prune(matrix.planned_nonzeros)
    assert net.size().values == 2 * 80 * 20 / 4
