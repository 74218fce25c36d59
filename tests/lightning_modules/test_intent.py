"""The intent classifier: what it reads, and what counts as right."""

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from doping.method import Method
from lightning_modules.intent import IntentClassifier
from lightning_modules.settings import IntentModel, IntentTraining

WORDS, UNKNOWN, CLASSES, LABELS = 12, 11, 3, 5
LENGTHS = (6, 4, 4, 1)


class Batch(NamedTuple):
    words_TB: Tensor
    lengths_B: Tensor
    first_B: Tensor
    labels_BL: Tensor


def classifier(method=None, training=None, **model):
    torch.manual_seed(0)
    settings = IntentModel(**{"hidden": 20, **model})
    return IntentClassifier(settings, training or IntentTraining(), method or Method(), WORDS, UNKNOWN, CLASSES, LABELS)


def batch(labels):
    """Texts with these labels each, the first first."""
    torch.manual_seed(1)
    labels_BL = torch.zeros(len(labels), LABELS, dtype=torch.bool)
    for row, those in enumerate(labels):
        labels_BL[row, list(those)] = True
    words_TB = pad_sequence([torch.randint(WORDS, (length,)) for length in LENGTHS[: len(labels)]])
    return Batch(words_TB, torch.tensor(LENGTHS[: len(labels)]), torch.tensor([those[0] for those in labels]), labels_BL)


class Fixed(nn.Module):
    """In place of the softmax: the same predictions, whatever is read."""

    def __init__(self, predicted):
        super().__init__()
        self.logits_BC = nn.functional.one_hot(torch.tensor(predicted), CLASSES).float()

    def forward(self, features_BD):
        return self.logits_BC


def measured(predicted, labels):
    net = classifier().eval()
    net.softmax = Fixed(predicted)
    net.test_step(batch(labels), 0)
    return net.measured(), net.further_measures()


@pytest.mark.parametrize("layers", [1, 2])
def test_a_text_is_judged_by_itself_whatever_it_is_batched_with(layers):
    net = classifier(Method(name="doped_kp", factor=5), layers=layers).eval()
    together = batch([(0,)] * 4)
    logits_BC = net(together.words_TB, together.lengths_B)
    for column, length in enumerate(LENGTHS):
        alone = net(together.words_TB[:length, [column]], torch.tensor([length]))
        torch.testing.assert_close(alone[0], logits_BC[column])


def test_the_logits_are_those_of_an_lstm_of_torch():
    net = classifier(layers=2).eval()
    texts = batch([(0,)] * 4)
    lstm = net.lstm.to_lstm()
    for column, length in enumerate(LENGTHS):
        outputs_TD, _ = lstm(net.embedding(texts.words_TB[:length, column]))
        scores = [torch.exp(net.attention.weight[0] @ output) for output in outputs_TD]
        expected = net.softmax(sum(score * output for score, output in zip(scores, outputs_TD, strict=True)) / sum(scores))
        torch.testing.assert_close(net(texts.words_TB, texts.lengths_B)[column], expected)


def test_a_prediction_is_right_if_it_is_one_of_the_labels():
    error_rate, further = measured([1, 0, 2, 0], labels=[(1,), (2, 0), (2,), (1,)])
    assert error_rate == 25
    assert further["accuracy"] == 75
    assert further["accuracy_strict"] == 50, "of several labels one prediction is never all"


def test_a_label_that_cannot_be_learned_is_always_wrong():
    error_rate, further = measured([0, 1, 2], labels=[(3,), (1,), (4, 2)])
    assert error_rate == pytest.approx(100 / 3)
    # Of the labels that occur or are predicted: 0 is predicted wrongly, 1 and 2 are right, 3 is missed.
    assert further["macro_f1"] == pytest.approx(100 * (0 + 1 + 1 + 0) / 4)


def test_macro_f1_is_the_mean_over_labels():
    _, further = measured([0, 0, 1, 2], labels=[(0,), (1,), (1,), (0,)])
    # 0: precision 1/2, recall 1/2. 1: precision 1, recall 1/2. 2: predicted once, wrongly.
    assert further["macro_f1"] == pytest.approx(100 * (1 / 2 + 2 / 3 + 0) / 3)


def test_metrics_begin_anew_at_each_evaluation_and_add_up_over_batches():
    net = classifier().eval()
    for predicted, labels in (([0, 1], [(0,), (0,)]), ([0, 0, 0], [(0,), (1,), (1,)])):
        net.softmax = Fixed(predicted)
        net.validation_step(batch(labels), 0)
    assert net.measured() == 60
    net.softmax = Fixed([2])
    net.test_step(batch([(2,)]), 0)
    assert net.measured() == 0
    assert net.further_measures() == {"accuracy": 100, "accuracy_strict": 100, "macro_f1": 100}


def test_the_metric_of_one_batch_leaves_no_trace():
    net = classifier().eval()
    net.softmax = Fixed([0, 0, 1, 0])
    texts = batch([(0,), (1,), (1,), (2, 0)])
    net.validation_step(texts, 0)
    assert net.metric_on(texts) == 25
    assert net.measured() == 25


def test_divergence_is_infinite():
    net = classifier().eval()
    nn.init.constant_(net.softmax.bias, math.nan)
    net.validation_step(batch([(0,), (1,)]), 0)
    assert net.measured() == math.inf
    assert net.metric_on(batch([(0,)])) in (0, 100)


def test_the_loss_is_that_of_the_first_label():
    net = classifier(dropout=0, word_dropout=0)
    texts = batch([(2, 0), (1,), (0, 3), (1,)])
    step = net.training_step(texts, 0)
    log_probabilities_BC = net(texts.words_TB, texts.lengths_B).log_softmax(-1)
    expected = -sum(log_probabilities_BC[row, label] for row, label in enumerate((2, 1, 0, 1))) / 4
    torch.testing.assert_close(step["loss"], expected)
    assert step["nats"] == step["loss"]


def test_balanced_weights_make_labels_count_the_same_in_the_loss():
    torch.manual_seed(0)
    training = IntentTraining(class_weights="balanced")
    net = IntentClassifier(
        IntentModel(hidden=20, dropout=0, word_dropout=0),
        training,
        Method(),
        WORDS,
        UNKNOWN,
        CLASSES,
        LABELS,
        counts=(6, 3, 1),
    )
    texts = batch([(2, 0), (1,), (0, 3), (1,)])
    log_probabilities_BC = net(texts.words_TB, texts.lengths_B).log_softmax(-1)
    weights = [10 / (3 * count) for count in (6, 3, 1)]
    terms = [(weights[label], log_probabilities_BC[row, label]) for row, label in enumerate((2, 1, 0, 1))]
    expected = -sum(weight * log for weight, log in terms) / sum(weight for weight, _ in terms)
    torch.testing.assert_close(net.training_step(texts, 0)["loss"], expected)
    assert "weights_C" not in net.state_dict(), "checkpoints are those of models without weights"


def test_methods_can_be_compared_by_macro_f1():
    net = classifier(training=IntentTraining(metric="macro_f1")).eval()
    assert (net.metric, classifier().metric) == ("macro_f1_loss", "error_rate")
    net.softmax = Fixed([0, 0, 1, 2])
    texts = batch([(0,), (1,), (1,), (0,)])
    net.test_step(texts, 0)
    expected = 100 - 100 * (1 / 2 + 2 / 3 + 0) / 3
    assert net.measured() == pytest.approx(expected)
    assert net.metric_on(texts) == pytest.approx(expected)


def test_unknown_words_are_learned_by_dropping_words():
    net = classifier(dropout=0, word_dropout=0.5)
    words_TB = torch.zeros(400, 1, dtype=torch.long)
    read = []
    net.embedding.register_forward_pre_hook(lambda module, arguments: read.append(arguments[0]))
    net(words_TB, torch.tensor([400]))
    assert set(read[0].unique().tolist()) == {0, UNKNOWN}
    assert float((read[0] == UNKNOWN).double().mean()) == pytest.approx(0.5, abs=0.1)
    net.eval()(words_TB, torch.tensor([400]))
    assert torch.equal(read[1], words_TB)
