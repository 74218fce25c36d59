"""Steps, text and scores in C: the same as the whole sequence, and near the plain computation."""

import numpy as np
import pytest
from references.int8 import random_narrow, rounded
from references.kernels import lstm, random_structured, written_out

from doping.inference.kernels import Dense, Layer, narrowed
from doping.inference.kernels.int8 import Int8Layer, Int8Model, Int8Steps, available

HIDDEN, INPUTS, WORDS = 21, 10, 37


def test_steps_are_the_sequence_a_step_at_a_time():
    layers = _layers(2)
    x = np.random.default_rng(1).normal(size=(11, 1, INPUTS)).astype(np.float32)
    h, c = np.zeros((2, 2, 1, HIDDEN), np.float32)
    below = layers[0].run(x, h[0], c[0])
    whole = layers[1].run(below, h[1], c[1])
    steps = Int8Steps(layers)
    for again in range(2):
        for time in range(11):
            steps.x[:] = x[time, 0]
            np.testing.assert_array_equal(steps.step(), whole[time, 0])
        np.testing.assert_array_equal((steps.h, steps.c), (h[:, 0], c[:, 0]))
        steps.forget()
        assert again or not steps.h.any()


def test_layers_that_do_not_fit_are_refused():
    first, second = _layers(2)
    with pytest.raises(ValueError, match="the same hidden size, and run forwards"):
        Int8Steps([second, first])
    with pytest.raises(ValueError, match="run forwards"):
        Int8Steps([Int8Layer(*(random_narrow(np.random.default_rng(0), "dense", 84, n) for n in (9, 21)), reverse=True)])


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("given", [1, 7, 8, 30])
def test_every_instruction_set_writes_the_same_text_which_is_the_likeliest_or_drawn(layers, given):
    ids = np.random.default_rng(given).integers(0, WORDS, given)
    texts = {
        (name, temperature): _model(layers, name).generate(ids, 40, temperature, seed=3)
        for name in available()
        for temperature in (0.0, 0.7, 1.0)
    }
    for (_, temperature), text in texts.items():
        np.testing.assert_array_equal(text, texts["plain", temperature])
    greedy = texts["plain", 0.0]
    logits = _logits(layers, np.concatenate([ids, greedy]))[given - 1 : -1]
    # Rounding may only turn the order of logits that are close.
    assert (logits.max(axis=1) - logits[np.arange(40), greedy] < 0.2).all()
    assert not np.array_equal(texts["plain", 1.0], _model(layers).generate(ids, 40, 1.0, seed=4))
    np.testing.assert_array_equal(texts["plain", 1.0], _model(layers).generate(ids, 40, 1.0, seed=3))


def test_draws_follow_the_softmax():
    model, ids = _model(1), np.array([5])
    temperature = 0.5
    logits = _logits(1, ids)[0] / temperature
    expected = np.exp(logits - logits.max())
    expected /= expected.sum()
    draws = [int(model.generate(ids, 1, temperature, seed)[0]) for seed in range(20_000)]
    found = np.bincount(draws, minlength=WORDS) / len(draws)
    # Four standard deviations, and what rounding may move.
    assert (np.abs(found - expected) < 4 * np.sqrt(expected / len(draws)) + 0.05 * expected + 1e-4).all()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("count", [2, 8, 9, 10, 100])
def test_a_score_is_that_of_the_logits(layers, count):
    ids = np.random.default_rng(count).integers(0, WORDS, count)
    scores = [_model(layers, name).score(ids) for name in available()]
    assert len(set(scores)) == 1
    logits = _logits(layers, ids[:-1])
    nats = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(count - 1), ids[1:]]
    assert scores[0] == pytest.approx(nats.sum(), abs=0.03 * count)


def test_a_bad_token_is_refused():
    model = _model(1)
    for ids, message in (
        (np.array([WORDS]), f"a token has id {WORDS} or {WORDS}; expected ids from 0 to {WORDS - 1}"),
        (np.array([-1]), "a token has id -1"),
        (np.array([], np.int64), "0 tokens were given; expected at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            model.generate(ids, 3, 1.0, 0)
    with pytest.raises(ValueError, match="1 tokens were given; expected at least 2"):
        model.score(np.array([3]))


def test_a_layer_of_float32_values_is_rounded_and_runs_in_int8():
    generator = np.random.default_rng(2)
    input, recurrent = (random_structured(generator, "dense", 4 * HIDDEN, n, 0.3) for n in (INPUTS, HIDDEN))
    x = generator.normal(size=(9, 3, INPUTS)).astype(np.float32)
    y, h, c = Layer(input, recurrent, engine="int8").forward(x)
    zeros = np.zeros((3, HIDDEN))
    for part, right in zip((y, h, c), lstm(input, recurrent, None, x, zeros, zeros), strict=True):
        np.testing.assert_allclose(part, right, atol=0.05)
    with pytest.raises(ValueError, match="threads is 2; int8 arithmetic runs on 1"):
        Layer(input, recurrent, engine="int8", threads=2)


def _weights(layers):
    generator = np.random.default_rng(0)
    for n in range(layers):
        columns = HIDDEN if n else INPUTS
        yield tuple(random_narrow(generator, "low_rank+tiles", 4 * HIDDEN, size, scale=0.3) for size in (columns, HIDDEN))


def _layers(count, name=None):
    return [Int8Layer(*pair, instruction_set=name) for pair in _weights(count)]


def _tables():
    generator = np.random.default_rng(9)
    embedding, softmax = (narrowed(Dense(generator.normal(size=(WORDS, n)).astype(np.float32))) for n in (INPUTS, HIDDEN))
    return embedding, softmax, generator.normal(size=WORDS).astype(np.float32)


def _model(layers, name=None):
    return Int8Model(Int8Steps(_layers(layers, name), name), *_tables())


def _logits(layers, ids):
    """In float64, with narrow weights and exact inputs and states."""
    embedding, softmax, bias = _tables()
    x = written_out(embedding)[ids][:, None]
    for pair in _weights(layers):
        x, _, _ = lstm(*pair, None, x, np.zeros((1, HIDDEN)), np.zeros((1, HIDDEN)))
    numbers, scale = rounded(x[:, 0])
    return (numbers * scale) @ written_out(softmax).T + bias
