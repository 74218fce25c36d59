"""Language modelling with an LSTM, as Zaremba, Sutskever & Vinyals have it (arXiv 1409.2329).

Embedding, LSTM layers and softmax are of one width unless the settings say otherwise, with dropout on the non-recurrent
connections. Training is truncated back-propagation through time: the state is carried from batch to batch and its gradient
cut.

Legend: T steps, B batch, H hidden units, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric

from doping.layers.lstm import CompressedLSTM, State
from doping.layers.token_matrices import LowRankEmbedding, LowRankSoftmax
from doping.method import Method
from doping.perplexity import perplexity
from lightning_modules.settings import Model, StreamTraining
from lightning_modules.task import TaskModule, detached, initialize_uniformly


class TextBatch(Protocol):
    """A piece of text: predict ``targets_TB`` from ``tokens_TB``; ``starts`` says that the state before it is zero."""

    @property
    def tokens_TB(self) -> Tensor:
        """Tokens to read, (T, B)."""
        ...

    @property
    def targets_TB(self) -> Tensor:
        """The token after each of them, (T, B)."""
        ...

    @property
    def starts(self) -> bool:
        """Whether the stream starts here."""
        ...


class RecurrentLanguageModel(TaskModule):
    """Predicts the next token; its metric is perplexity, or bits a character."""

    def __init__(
        self,
        model: Model,
        training: StreamTraining,
        method: Method,
        vocabulary_size: int,
        level: Literal["character", "word"],
    ):
        super().__init__(training)
        self.characters = level == "character"
        self.metric = "bits_per_character" if self.characters else "perplexity"
        width, rank = model.embedding or model.hidden, method.embedding_rank
        self.embedding = LowRankEmbedding(vocabulary_size, width, rank) if rank else nn.Embedding(vocabulary_size, width)
        self.lstm = CompressedLSTM(
            self.embedding.embedding_dim,
            model.hidden,
            model.layers,
            bias=method.bias,
            dropout=model.dropout if model.layers > 1 else 0.0,
            method=method.of_matrices,
            init_range=model.uniform_init,
        )
        self.softmax = (
            LowRankSoftmax(model.hidden, vocabulary_size, rank) if rank else nn.Linear(model.hidden, vocabulary_size)
        )
        self.dropout = nn.Dropout(model.dropout)
        if model.uniform_init:
            initialize_uniformly(self.embedding, model.uniform_init)
            initialize_uniformly(self.softmax, model.uniform_init)
        self._training_state: State | None = None
        self._evaluation_state: State | None = None
        self._nats = MeanMetric().set_dtype(torch.float64)

    def forward(self, tokens_TB: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits of the next token after each one, (T, B) → (T, B, V), and the state after the last."""
        outputs_TBH, state = self.lstm(self.dropout(self.embedding(tokens_TB)), state)
        return self.softmax(self.dropout(outputs_TBH)), state

    def _loss(self, batch: TextBatch, state: State | None) -> tuple[Tensor, State]:
        """Mean negative log-likelihood of a token in nats, and the state after the batch."""
        logits_TBV, state = self(batch.tokens_TB, None if batch.starts else state)
        return _nats(logits_TBV, batch), detached(state)

    def _training_logits(self, batch: TextBatch) -> Tensor:
        """Logits of the next batch of the training's stream, (T, B, V)."""
        logits_TBV: Tensor
        logits_TBV, state = self(batch.tokens_TB, None if batch.starts else self._training_state)
        self._training_state = detached(state)
        return logits_TBV

    def training_step(self, batch: TextBatch, batch_index: int) -> dict[str, Tensor]:
        """The loss that is minimized is summed over the steps of a sequence and averaged over the batch, as Zaremba's is;
        learning rate and clipping of the gradient refer to that.
        """
        logits_TBV = self._training_logits(batch)
        nats = _nats(logits_TBV, batch)
        loss = self.distilled(nats, logits_TBV, lambda teacher: teacher._training_logits(batch))
        return {"loss": loss * batch.tokens_TB.shape[0], "nats": nats.detach()}

    def validation_step(self, batch: TextBatch, batch_index: int) -> None:
        """Add a piece of the stream to the metric."""
        loss, self._evaluation_state = self._loss(batch, self._evaluation_state)
        self._nats.update(loss, batch.targets_TB.numel())

    def test_step(self, batch: TextBatch, batch_index: int) -> None:
        """Add a piece of the stream to the metric."""
        self.validation_step(batch, batch_index)

    def measured(self) -> float:
        """Perplexity, or bits a character, over all pieces since the last call."""
        nats = float(self._nats.compute())
        self._nats.reset()
        return self._in_metric(nats)

    def metric_on(self, batch: TextBatch) -> float:
        """Perplexity, or bits a character, of one piece of text by itself."""
        return self._in_metric(float(self._loss(batch, None)[0]))

    def _in_metric(self, nats: float) -> float:
        if self.characters:
            return nats / math.log(2)
        return perplexity(nats)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the recurrent state too: a resumed training reads on in mid-text."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["recurrent_state"] = self._training_state
        for teacher in self._teacher:
            checkpoint["teacher_state"] = teacher._training_state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the recurrent state."""
        super().on_load_checkpoint(checkpoint)
        self._training_state = checkpoint["recurrent_state"]
        for teacher in self._teacher:
            teacher._training_state = checkpoint["teacher_state"]


def _nats(logits_TBV: Tensor, batch: TextBatch) -> Tensor:
    return F.cross_entropy(logits_TBV.flatten(0, 1), batch.targets_TB.flatten())
