"""The translator against its formulas, written out for one sentence at a time."""

import pytest
import torch
import toy_translation
from torch import nn
from torch.nn import functional as F

from data.parallel.datamodule import batch_of
from data.parallel.pairs import Pair
from data.parallel.subwords import Subwords
from doping.method import Method
from doping.sizes import plan_sizes
from lightning_modules.settings import TranslationModel, TranslationTraining
from lightning_modules.translation import Translator
from tasks.translation import TranslationTask

SENTENCES = toy_translation.sentences(60, seed=5)
SOURCE = Subwords.of(SENTENCES, 400)
TARGET = Subwords.of([toy_translation.translated(sentence) for sentence in SENTENCES], 400)


def translator(method=None, smoothing=0.1, **model):
    torch.manual_seed(0)
    shape = TranslationModel(**{"embedding": 12, "hidden": 16, "layers": 2, **model})
    return Translator(shape, TranslationTraining(label_smoothing=smoothing), method or Method(), SOURCE, TARGET)


def pairs(sentences):
    targets = [toy_translation.translated(sentence) for sentence in sentences]
    return [Pair(*each) for each in zip(SOURCE.encode(sentences), TARGET.encode(targets), targets, strict=True)]


def log_probabilities(net, source, target):
    """Of all subwords at every place of one target, (T, V): Luong et al. 2015, equations 5 to 8, a step at a time."""
    read_SE = net.source_embedding.weight[torch.tensor([*source, Subwords.END])]
    encoded_SH, (h_LH, c_LH) = net.encoder.to_lstm()(read_SE)
    state = tuple(
        torch.stack([torch.cat([part[2 * layer], part[2 * layer + 1]]) for layer in range(net.decoder.num_layers)])
        for part in (h_LH, c_LH)
    )
    decoder, rows = net.decoder.to_lstm(), []
    for token in [Subwords.BEGIN, *target]:
        x_E = net.target_embedding.weight[token] * net.target_embedding.embedding_dim**0.5
        h_1H, state = decoder(x_E[None], state)
        h_H = h_1H[0]
        w_HH = net.attention.keys.weight if isinstance(net.attention.keys, nn.Linear) else torch.eye(len(h_H))
        weights_S = torch.softmax(torch.stack([h_H @ w_HH @ memory_H for memory_H in encoded_SH]), 0)
        context_H = sum(weight * memory_H for weight, memory_H in zip(weights_S, encoded_SH, strict=True))
        attentional_E = torch.tanh(net.attention.combine.weight @ torch.cat([context_H, h_H]))
        rows.append(torch.log_softmax(net.target_embedding.weight @ attentional_E + net.softmax_bias, 0))
    return torch.stack(rows)


@pytest.mark.parametrize("attention", ["general", "dot"])
@pytest.mark.parametrize("layers", [1, 2])
@torch.no_grad()
def test_a_batch_gives_what_its_sentences_give_alone(attention, layers):
    net = translator(attention=attention, layers=layers).eval()
    batch = pairs(["one two three four cat", "dog", "tree house", "one", "five six cat dog two three"])
    found_NV, targets_N = net(batch_of(batch))
    longest_first = sorted(batch, key=lambda pair: len(pair.source), reverse=True)
    expected = [log_probabilities(net, pair.source, pair.target) for pair in longest_first]
    torch.testing.assert_close(found_NV, torch.cat(expected), atol=1e-5, rtol=1e-4)
    assert targets_N.tolist() == [token for pair in longest_first for token in [*pair.target, Subwords.END]]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_cross_entropy_of_smoothed_labels(smoothing):
    net = translator(smoothing=smoothing)
    batch = batch_of(pairs(SENTENCES[:6]))
    found = net.training_step(batch, 0)
    log_probabilities_NV, targets_N = net(batch)
    expected = F.cross_entropy(log_probabilities_NV, targets_N, label_smoothing=smoothing)
    torch.testing.assert_close(found["loss"], expected)
    torch.testing.assert_close(found["nats"], F.cross_entropy(log_probabilities_NV, targets_N))
    assert not found["nats"].requires_grad


@torch.no_grad()
def test_perplexity_is_over_all_subwords_however_they_are_batched():
    net = translator().eval()
    all_pairs = pairs(SENTENCES[:20])
    nats = torch.cat(
        [-log_probabilities(net, p.source, p.target)[range(len(p.target) + 1), [*p.target, Subwords.END]] for p in all_pairs]
    )
    for size in (7, 20):
        for start in range(0, 20, size):
            net.validation_step(batch_of(all_pairs[start : start + size]), 0)
        assert net.measured() == pytest.approx(float(nats.mean().exp()), rel=1e-4)
    assert net.metric_on(batch_of(all_pairs)) == pytest.approx(float(nats.mean().exp()), rel=1e-4)


@torch.no_grad()
def test_a_beam_of_one_takes_the_likeliest_subword_at_every_step():
    net = translator(search={"width": 1}).train()
    for sentence in ("one two cat", "dog"):
        (source,) = SOURCE.encode([sentence])
        tokens: list[int] = []
        limit = 2 * (len(source) + 1) + 10
        while len(tokens) < limit and (next_ := int(log_probabilities(net, source, tokens)[-1].argmax())) != Subwords.END:
            tokens.append(next_)
        assert net.translate([sentence]) == [TARGET.decode(tokens)]
    assert net.training


def test_translations_come_in_the_order_of_the_sentences_whatever_is_translated_with_them(monkeypatch):
    monkeypatch.setattr("lightning_modules.translation.TRANSLATED_AT_ONCE", 3)
    net = translator()
    together = net.translate(SENTENCES[:8])
    assert together == [net.translate([sentence])[0] for sentence in SENTENCES[:8]]
    assert len(set(together)) > 1
    assert net.translate([]) == []


@pytest.mark.parametrize("compressed", ["encoder", "decoder", "both"])
def test_what_is_compressed_is_chosen_and_all_of_it_is_counted(compressed):
    method = Method(name="pruned", factor=4)
    task = TranslationTask(model={"embedding": 12, "hidden": 16, "layers": 2, "compressed": compressed})
    net = translator(method, compressed=compressed)
    for matrix in net.matrices():
        if hasattr(matrix, "prune"):
            matrix.prune(matrix.planned_nonzeros)
    planned = plan_sizes(task, method)
    assert {name: matrix.shape for name, matrix in net.named_matrices()} == task.lstm_shapes()
    assert list(dict(net.named_matrices())) == list(task.lstm_shapes())
    assert (net.size(), net.uncompressed_size()) == (planned.compressed, planned.dense)
    for name, matrix in net.named_matrices():
        kept = matrix.size().values / (matrix.shape[0] * matrix.shape[1])
        assert kept == pytest.approx(0.25 if compressed in ("both", name.split(".")[0]) else 1.0, abs=0.01)
