"""A language model as anybody writes it: ``nn.Embedding``, ``nn.LSTM``, ``nn.Linear`` and a plain training loop.

Zaremba, Sutskever & Vinyals 2014 (arXiv 1409.2329), section 4.1. It uses nothing of the project, which is compared with it.

Legend: T steps, B parallel streams, H hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Regime:
    """How it is trained: numbers of the paper."""

    batch_size: int
    sequence_length: int
    learning_rate: float
    decay: float
    decay_after: int
    clip: float


@dataclass
class Course:
    """What a training measured: the loss of every step in nats a word, and the validation perplexity after each epoch."""

    losses: list[float] = field(default_factory=list)
    validations: dict[int, float] = field(default_factory=dict)
    """By the number of steps done."""


class PlainLanguageModel(nn.Module):
    """Embedding, LSTM and softmax of one width, dropout before and after each layer of the LSTM."""

    def __init__(self, words: int, hidden: int, layers: int, dropout: float, init_range: float):
        super().__init__()
        self.embedding = nn.Embedding(words, hidden)
        self.lstm = nn.LSTM(hidden, hidden, layers, dropout=dropout)
        self.softmax = nn.Linear(hidden, words)
        self.dropout = nn.Dropout(dropout)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -init_range, init_range)

    def forward(self, tokens: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Logits (…, words) of the next word after each of ``tokens``, (T, B) or (T,), and the state after the last."""
        outputs, state = self.lstm(self.dropout(self.embedding(tokens)), state)
        return self.softmax(self.dropout(outputs)), state


def train(model: PlainLanguageModel, regime: Regime, text: Tensor, validation: Tensor, steps: int) -> Course:
    """Train for so many steps on a text, and measure the perplexity on another one after every epoch; both (words,)."""
    # Weights before biases, as ours are: the order decides the last bit of the norm that is clipped.
    parameters = [p for _, p in sorted(model.lstm.named_parameters(), key=lambda named: "bias" in named[0])]
    parameters = [*model.embedding.parameters(), *parameters, *model.softmax.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=regime.learning_rate)
    course = Course()
    epoch = 0
    while len(course.losses) < steps:
        epoch += 1
        if epoch > regime.decay_after:
            optimizer.param_groups[0]["lr"] /= regime.decay
        state = None
        for tokens_TB, targets_TB in _batches(text, regime.batch_size, regime.sequence_length):
            if len(course.losses) == steps:
                return course
            logits, state = model(tokens_TB, state)
            state = (state[0].detach(), state[1].detach())
            loss = F.cross_entropy(logits.flatten(0, 1), targets_TB.flatten())
            optimizer.zero_grad()
            (loss * len(tokens_TB)).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, regime.clip)
            optimizer.step()
            course.losses.append(loss.item())
        course.validations[len(course.losses)] = perplexity(model, validation)
    return course


@torch.no_grad()
def perplexity(model: PlainLanguageModel, text: Tensor) -> float:
    """Perplexity of a text, (words,), read in one go."""
    model.eval()
    nats, state = 0.0, None
    for start in range(0, len(text) - 1, 1000):
        targets = text[start + 1 : start + 1001]
        logits, state = model(text[start : start + len(targets)], state)
        nats += F.cross_entropy(logits, targets, reduction="sum").item()
    model.train()
    return math.exp(nats / (len(text) - 1))


def _batches(text: Tensor, batch_size: int, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Words and those that follow them, (T, B): the text in ``batch_size`` equal pieces, read side by side."""
    columns = (len(text) - 1) // batch_size
    words_TB = text[: columns * batch_size].view(batch_size, columns).t().contiguous()
    following_TB = text[1 : columns * batch_size + 1].view(batch_size, columns).t().contiguous()
    for start in range(0, columns, length):
        yield words_TB[start : start + length], following_TB[start : start + length]
