"""Beam search against a search over all sequences, and against one written with lists."""

import itertools
import math
import random

import pytest
import torch

from lightning_modules.beam_search import beam_search

BEGIN, END, VOCABULARY = 0, 1, 4


class ToyModel:
    """Log-probabilities of the next token that are random, but follow from the sentence and all tokens so far."""

    def __init__(self, seed):
        self.seed = seed

    def scores(self, sentence, prefix):
        generator = random.Random(f"{self.seed} {sentence} {prefix}")
        logits = torch.tensor([generator.gauss(0, 1.5) for _ in range(VOCABULARY)], dtype=torch.float64)
        logits[BEGIN] = -math.inf
        return logits.log_softmax(0)

    def search(self, limits, **options):
        """The state is what was read so far, -1 for nothing yet, and the number of the sentence."""
        longest = max(limits) + 2
        unread = torch.full((1, len(limits), longest), -1)
        state = (unread, torch.arange(len(limits))[None])

        def step(last_N, state):
            read_1NL, sentence_1N = state
            read_1NL = torch.cat([read_1NL[:, :, 1:], last_N[None, :, None]], dim=2)
            prefixes = [tuple(token for token in row if token >= 0)[1:] for row in read_1NL[0].tolist()]
            scores = [self.scores(*each) for each in zip(sentence_1N[0].tolist(), prefixes, strict=True)]
            return torch.stack(scores), (read_1NL, sentence_1N)

        return beam_search(step, state, torch.tensor(limits), begin=BEGIN, end=END, **options)

    def probability(self, sentence, tokens):
        """Log-probability of a whole sequence, its end included."""
        return sum(float(self.scores(sentence, tokens[:i])[token]) for i, token in enumerate((*tokens, END)))

    def all_scored(self, sentence, limit, alpha):
        for length in range(limit + 1):
            for tokens in itertools.product(range(2, VOCABULARY), repeat=length):
                probability = self.probability(sentence, tokens)
                yield probability / ((5 + length + 1) / 6) ** alpha, list(tokens)


def by_lists(model, sentence, limit, width, alpha):
    """The same search for one sentence, in plain Python."""
    live, best = [(0.0, ())], (-math.inf, ())
    for length in range(1, limit + 2):
        grown = []
        for score, tokens in live:
            for token, more in enumerate(model.scores(sentence, tokens).tolist()):
                if length <= limit or token == END:
                    grown.append((score + more, (*tokens, token)))
        grown.sort(reverse=True)
        ended = [(score / ((5 + length) / 6) ** alpha, tokens[:-1]) for score, tokens in grown[:width] if tokens[-1] == END]
        best = max([best, *ended], key=lambda each: each[0])
        live = [each for each in grown if each[1][-1] != END][:width]
    return best


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_as_wide_as_there_are_sequences_finds_the_best_of_all(seed, alpha):
    model, limits = ToyModel(seed), [4, 2, 3]
    found = model.search(limits, width=2**5, alpha=alpha)
    for sentence, (limit, each) in enumerate(zip(limits, found, strict=True)):
        score, tokens = max(model.all_scored(sentence, limit, alpha))
        assert each.tokens == tokens
        assert each.score == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("seed", range(6))
def test_a_narrow_beam_finds_what_a_search_of_one_sentence_finds(seed, width):
    model, limits = ToyModel(seed), [6, 1, 4, 6]
    found = model.search(limits, width=width, alpha=0.8)
    for sentence, (limit, each) in enumerate(zip(limits, found, strict=True)):
        score, tokens = by_lists(model, sentence, limit, width, 0.8)
        assert (tuple(each.tokens), each.score) == (tokens, pytest.approx(score, abs=1e-5))


def test_a_beam_of_one_takes_the_likeliest_token_at_every_step():
    model = ToyModel(seed=9)
    tokens = []
    while (likeliest := int(model.scores(0, tuple(tokens)).argmax())) != END and len(tokens) < 8:
        tokens.append(likeliest)
    assert model.search([8], width=1, alpha=0.0)[0].tokens == tokens


def test_a_larger_length_penalty_prefers_longer_sequences():
    lengths = [
        sum(len(found.tokens) for found in ToyModel(3).search([6] * 10, width=5, alpha=alpha)) for alpha in (0.0, 1.0, 2.0)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]
