"""Intent detection: a bidirectional LSTM reads a text, and the mean of its outputs, weighted by attention, tells the label.

The weights are a softmax over the words of a text, of the products of the outputs with one learned vector (after Liu & Lane
2016, arXiv 1609.01454, whose encoder gives intents by attention).

An utterance may have several intents. As is usual for a classifier with one answer, it learns the first of them, and a
prediction is right if it is any of them. The strict accuracy counts an utterance with several as wrong in any case.

Legend: T words of the longest text, B batch, D = 2·hidden outputs, C classes (labels that can be learned), L all labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torchmetrics import MaxMetric, MeanMetric
from torchmetrics.classification import MulticlassF1Score
from torchmetrics.functional.classification import multiclass_f1_score

from doping.layers.lstm import CompressedLSTM
from doping.layers.token_matrices import LowRankEmbedding
from doping.method import Method
from lightning_modules.settings import IntentModel, IntentTraining
from lightning_modules.task import TaskModule

METRICS = {"error_rate": "error_rate", "macro_f1": "macro_f1_loss"}
"""Names of what ``IntentTraining.metric`` compares by; lower is better."""


def balanced(counts: Sequence[int]) -> Tensor:
    """Weights of C classes in the loss, (C,): n / (C·n_c), so that each class weighs the same, and a text 1 on average."""
    texts_C = torch.tensor(counts, dtype=torch.float32)
    return texts_C.sum() / (len(counts) * texts_C)


class LabelledBatch(Protocol):
    """Texts, the longest first, padded after their ends."""

    @property
    def words_TB(self) -> Tensor:
        """Ids of words."""
        ...

    @property
    def lengths_B(self) -> Tensor:
        """Words of each text, descending."""
        ...

    @property
    def first_B(self) -> Tensor:
        """The first label of each."""
        ...

    @property
    def labels_BL(self) -> Tensor:
        """Whether a label is one of a text's."""
        ...


class IntentClassifier(TaskModule):
    """Tells the label of a text; its metric is the error rate in per cent, or 100 % minus the macro-averaged F1."""

    def __init__(
        self,
        model: IntentModel,
        training: IntentTraining,
        method: Method,
        vocabulary_size: int,
        unknown: int,
        classes: int,
        labels: int,
        counts: Sequence[int] | None = None,
    ):
        """``unknown`` is the id of ``<unk>``; of ``labels`` labels, the first ``classes`` can be learned.

        ``counts`` are the texts to train on of each class; without them, the loss weighs all texts the same.
        """
        super().__init__(training)
        self.metric = METRICS[training.metric]
        self.weights_C: Tensor | None
        weights_C = balanced(counts) if training.class_weights == "balanced" and counts else None
        self.register_buffer("weights_C", weights_C, persistent=False)
        self.unknown = unknown
        self.word_dropout = model.word_dropout
        width, rank = model.embedding or model.hidden, method.embedding_rank
        self.embedding = LowRankEmbedding(vocabulary_size, width, rank) if rank else nn.Embedding(vocabulary_size, width)
        self.lstm = CompressedLSTM(
            self.embedding.embedding_dim,
            model.hidden,
            model.layers,
            bias=method.bias,
            dropout=model.dropout if model.layers > 1 else 0.0,
            bidirectional=True,
            method=method.of_matrices,
        )
        self.attention = nn.Linear(2 * model.hidden, 1, bias=False)
        self.softmax = nn.Linear(2 * model.hidden, classes)
        self.dropout = nn.Dropout(model.dropout)
        self._error_rate = MeanMetric().set_dtype(torch.float64)
        self._strict = MeanMetric().set_dtype(torch.float64)
        # Over the labels that occur or are predicted; one that cannot be learned counts as 0.
        self._macro_f1 = MulticlassF1Score(labels, average="macro")
        self._largest = MaxMetric(nan_strategy="disable")
        self._further: dict[str, float] = {}

    def forward(self, words_TB: Tensor, lengths_B: Tensor) -> Tensor:
        """Logits of the classes, (T, B) → (B, C), of texts sorted by their lengths, the longest first."""
        if self.training and self.word_dropout:
            dropped_TB = torch.rand(words_TB.shape, device=words_TB.device) < self.word_dropout
            words_TB = words_TB.masked_fill(dropped_TB, self.unknown)
        packed, _ = self.lstm(pack_padded_sequence(self.dropout(self.embedding(words_TB)), lengths_B.cpu()))
        outputs_TBD, _ = pad_packed_sequence(packed)
        behind_TB = torch.arange(len(words_TB), device=words_TB.device)[:, None] >= lengths_B
        weights_TB1 = self.attention(outputs_TBD).masked_fill(behind_TB[..., None], -math.inf).softmax(0)
        logits_BC: Tensor = self.softmax(self.dropout((weights_TB1 * outputs_TBD).sum(0)))
        return logits_BC

    def training_step(self, batch: LabelledBatch, batch_index: int) -> dict[str, Tensor]:
        """Mean negative log-likelihood of the first label of a text."""
        logits_BC = self(batch.words_TB, batch.lengths_B)
        nats = F.cross_entropy(logits_BC, batch.first_B, self.weights_C)
        loss = self.distilled(nats, logits_BC, lambda teacher: teacher(batch.words_TB, batch.lengths_B))
        return {"loss": loss, "nats": nats.detach()}

    def validation_step(self, batch: LabelledBatch, batch_index: int) -> None:
        """Add texts to the metrics."""
        logits_BC = self(batch.words_TB, batch.lengths_B)
        predicted_B, right_B = _judged(logits_BC, batch)
        self._error_rate.update(100.0 * ~right_B)
        self._strict.update(100.0 * (right_B & (batch.labels_BL.sum(-1) == 1)))
        self._macro_f1.update(predicted_B, torch.where(right_B, predicted_B, batch.first_B))
        self._largest.update(logits_BC.abs().amax())

    def test_step(self, batch: LabelledBatch, batch_index: int) -> None:
        """Add texts to the metrics."""
        self.validation_step(batch, batch_index)

    def measured(self) -> float:
        """The metric over the texts since the last call, in per cent; infinite after divergence."""
        error_rate = float(self._error_rate.compute())
        self._further = {
            "accuracy": 100 - error_rate,
            "accuracy_strict": float(self._strict.compute()),
            "macro_f1": 100 * float(self._macro_f1.compute()),
        }
        finite = math.isfinite(float(self._largest.compute()))
        for metric in (self._error_rate, self._strict, self._macro_f1, self._largest):
            metric.reset()
        if not finite:
            return math.inf
        return error_rate if self.metric == "error_rate" else 100 - self._further["macro_f1"]

    def further_measures(self) -> dict[str, float]:
        """Accuracy, strict accuracy and macro-averaged F1, in per cent."""
        return self._further

    def metric_on(self, batch: LabelledBatch) -> float:
        """The metric over the texts of a batch, in per cent."""
        predicted_B, right_B = _judged(self(batch.words_TB, batch.lengths_B), batch)
        if self.metric == "error_rate":
            return float((100.0 * ~right_B).double().mean())
        expected_B = torch.where(right_B, predicted_B, batch.first_B)
        return 100 - 100 * float(multiclass_f1_score(predicted_B, expected_B, batch.labels_BL.shape[1], average="macro"))


def _judged(logits_BC: Tensor, batch: LabelledBatch) -> tuple[Tensor, Tensor]:
    """The predicted label of each text, and whether it is one of the text's."""
    predicted_B = logits_BC.argmax(-1)
    return predicted_B, batch.labels_BL.gather(-1, predicted_B.unsqueeze(-1)).squeeze(-1)
