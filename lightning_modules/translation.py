"""Translation with LSTMs: encoder, decoder and attention, as Luong, Pham & Manning 2015 have it (arXiv 1508.04025).

The encoder reads the source in both directions, each with half of the hidden units, so that its last states, side by side,
are the first state of the decoder. Attention comes after the decoder's last layer, and what it finds is not fed back as
input (section 3.3 of the paper, "input feeding"): so in training both LSTMs run fused over whole packed sentences; a
decoder that is fed would go a step at a time. The softmax has the weights of the target's embeddings (Press & Wolf
2017, arXiv 1608.05859).

Legend: S source steps, T target steps, B batch, H hidden units, E width of the embeddings, N predicted subwords,
V vocabulary, K hypotheses of the beam search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torchmetrics import MeanMetric

from doping.layers.lstm import CompressedLSTM, State
from doping.method import Method
from doping.perplexity import perplexity
from lightning_modules.attention import GlobalAttention, Memory
from lightning_modules.beam_search import beam_search
from lightning_modules.settings import TranslationModel, TranslationTraining
from lightning_modules.task import TaskModule

TRANSLATED_AT_ONCE = 50
"""Sentences in a batch of ``translate``."""


class Vocabulary(Protocol):
    """Subwords of a language; their ids are below ``len``."""

    PAD: int
    """Id of what fills a batch up."""
    BEGIN: int
    """Id of the begin of a sentence."""
    END: int
    """Id of its end."""

    def __len__(self) -> int: ...

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Ids of each sentence, without begin and end."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The sentence of ids."""
        ...

    def to_json(self) -> str:
        """All of it as text."""
        ...


class PairBatch(Protocol):
    """Sentences and their translations, the longest source first."""

    @property
    def source_SB(self) -> Tensor:
        """Source sentences with their ends."""
        ...

    @property
    def source_lengths(self) -> tuple[int, ...]:
        """Steps of each of them."""
        ...

    @property
    def target_TB(self) -> Tensor:
        """Targets with begin and end."""
        ...

    @property
    def target_lengths(self) -> tuple[int, ...]:
        """Steps to predict of each of them, the begin not counted."""
        ...

    @property
    def references(self) -> tuple[str, ...]:
        """The targets as they were written."""
        ...


class ScaledEmbedding(nn.Embedding):
    """An embedding whose weights serve as those of a softmax too: small ones, multiplied by √E where they are looked up.

    As in Vaswani et al. 2017 (arXiv 1706.03762), section 3.4: both inputs and logits have a variance of about 1 at first.
    """

    def reset_parameters(self) -> None:
        """Draw from the normal distribution of variance 1 / E."""
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)

    def forward(self, ids: Tensor) -> Tensor:
        """Look ids up, (…) → (…, E)."""
        embedded: Tensor = super().forward(ids) * self.embedding_dim**0.5
        return embedded


class Translator(TaskModule):
    """Translates sentences; its metric is the perplexity of a subword of the target, given those before it."""

    metric = "perplexity"

    def __init__(
        self,
        model: TranslationModel,
        training: TranslationTraining,
        method: Method,
        source: Vocabulary,
        target: Vocabulary,
    ):
        super().__init__(training)
        # A rank of embeddings stays in it: the layers refuse what this model does not have.
        dense, of_matrices = Method(), method.model_copy(update={"bias": True})
        self.source, self.target = source, target
        self.search = model.search
        self.label_smoothing = training.label_smoothing
        self.source_embedding = nn.Embedding(len(source), model.embedding)
        self.target_embedding = ScaledEmbedding(len(target), model.embedding)
        self.encoder = CompressedLSTM(
            model.embedding,
            model.hidden // 2,
            model.layers,
            bias=method.bias,
            dropout=model.dropout if model.layers > 1 else 0.0,
            bidirectional=True,
            method=dense if model.compressed == "decoder" else of_matrices,
        )
        self.decoder = CompressedLSTM(
            model.embedding,
            model.hidden,
            model.layers,
            bias=method.bias,
            dropout=model.dropout if model.layers > 1 else 0.0,
            method=dense if model.compressed == "encoder" else of_matrices,
        )
        self.attention = GlobalAttention(model.hidden, model.embedding, model.attention)
        self.softmax_bias = nn.Parameter(torch.zeros(len(target)))
        self.dropout = nn.Dropout(model.dropout)
        self._nats = MeanMetric().set_dtype(torch.float64)
        self._translations: list[tuple[str, str]] = []

    def encode(self, source_SB: Tensor, lengths: Sequence[int]) -> tuple[Memory, State]:
        """Read source sentences, the longest first: what the decoder attends to, and its first state."""
        embedded_SBE = self.dropout(self.source_embedding(source_SB))
        outputs, state = self.encoder(pack_padded_sequence(embedded_SBE, list(lengths)))
        encoded_BSH = pad_packed_sequence(outputs, batch_first=True)[0]
        return self.attention.memory(encoded_BSH, lengths), (_joined(state[0]), _joined(state[1]))

    def predict(self, attentional_NE: Tensor) -> Tensor:
        """Log-probabilities of the next subword, (…, E) → (…, V)."""
        logits_NV = F.linear(self.dropout(attentional_NE), self.target_embedding.weight, self.softmax_bias)
        return logits_NV.log_softmax(-1)

    def forward(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Log-probabilities of all subwords at all places of the targets, (N, V), and those that stand there, (N,)."""
        memory, state = self.encode(batch.source_SB, batch.source_lengths)
        read_TBE = self.dropout(self.target_embedding(batch.target_TB[:-1]))
        packed = pack_padded_sequence(read_TBE, list(batch.target_lengths), enforce_sorted=False)
        outputs_BTH = pad_packed_sequence(self.decoder(packed, state)[0], batch_first=True)[0]
        steps_T = torch.arange(outputs_BTH.shape[1], device=outputs_BTH.device)
        there_BT = steps_T < torch.tensor(batch.target_lengths, device=outputs_BTH.device)[:, None]
        return self.predict(self.attention(outputs_BTH, memory)[there_BT]), batch.target_TB[1:].T[there_BT]

    def training_step(self, batch: PairBatch, batch_index: int) -> dict[str, Tensor]:
        """Cross-entropy against the target, some of whose probability is spread evenly (label smoothing)."""
        log_probabilities_NV, targets_N = self(batch)
        nats = F.nll_loss(log_probabilities_NV, targets_N)
        smoothing = self.label_smoothing
        loss = (1 - smoothing) * nats - smoothing * log_probabilities_NV.mean() if smoothing else nats
        loss = self.distilled(loss, log_probabilities_NV, lambda teacher: teacher(batch)[0])
        return {"loss": loss, "nats": nats.detach()}

    def validation_step(self, batch: PairBatch, batch_index: int) -> None:
        """Add a batch to the metric."""
        log_probabilities_NV, targets_N = self(batch)
        self._nats.update(F.nll_loss(log_probabilities_NV, targets_N), len(targets_N))

    def on_test_start(self) -> None:
        """Forget the translations of an earlier test."""
        self._translations = []

    def test_step(self, batch: PairBatch, batch_index: int) -> None:
        """Add a batch to the metric, and translate it."""
        self.validation_step(batch, batch_index)
        found = self._search(batch.source_SB, batch.source_lengths)
        self._translations += zip(found, batch.references, strict=True)

    def measured(self) -> float:
        """Perplexity over all batches since the last call."""
        nats = float(self._nats.compute())
        self._nats.reset()
        return perplexity(nats)

    def metric_on(self, batch: PairBatch) -> float:
        """Perplexity of one batch."""
        log_probabilities_NV, targets_N = self(batch)
        return perplexity(float(F.nll_loss(log_probabilities_NV, targets_N)))

    def further_measures(self) -> dict[str, float | str]:
        """BLEU and chrF of the translations of the test split, by sacreBLEU, each with the signature that says how."""
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

        translations = [translation for translation, _ in self._translations]
        references = [[reference for _, reference in self._translations]]
        measures: dict[str, float | str] = {}
        for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
            measures[name] = metric.corpus_score(translations, references).score
            measures[f"{name}_signature"] = str(metric.get_signature())
        return measures

    @torch.no_grad()
    def translate(self, sentences: Sequence[str]) -> list[str]:
        """Translate sentences, each by itself, with beam search."""
        was_training = self.training
        self.eval()
        encoded = [[*ids, self.source.END] for ids in self.source.encode(sentences)]
        longest_first = sorted(range(len(encoded)), key=lambda index: len(encoded[index]), reverse=True)
        translations = [""] * len(encoded)
        for start in range(0, len(encoded), TRANSLATED_AT_ONCE):
            chosen = longest_first[start : start + TRANSLATED_AT_ONCE]
            ids = [torch.tensor(encoded[index], device=self.device) for index in chosen]
            source_SB = nn.utils.rnn.pad_sequence(ids, padding_value=self.source.PAD)
            for index, translation in zip(chosen, self._search(source_SB, [len(each) for each in ids]), strict=True):
                translations[index] = translation
        self.train(was_training)
        return translations

    def _search(self, source_SB: Tensor, lengths: Sequence[int]) -> list[str]:
        memory, state = self.encode(source_SB, lengths)
        decoder = self.decoder.to_lstm()  # weights are composed once, not at every step

        def step(last_N: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
            outputs_1NH, state = decoder(self.target_embedding(last_N)[None], state)
            outputs_BKH = outputs_1NH[0].unflatten(0, (len(lengths), -1))
            return self.predict(self.attention(outputs_BKH, memory)).flatten(0, 1), state

        found = beam_search(
            step,
            state,
            2 * torch.tensor(lengths, device=source_SB.device) + 10,
            width=self.search.width,
            alpha=self.search.length_penalty,
            begin=self.target.BEGIN,
            end=self.target.END,
        )
        return [self.target.decode(each.tokens) for each in found]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the vocabularies too: a trained model translates without its data."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["vocabularies"] = {"source": self.source.to_json(), "target": self.target.to_json()}


def _joined(state_LBH: Tensor) -> Tensor:
    """Last states of both directions side by side: (layers · 2, B, H / 2) → (layers, B, H)."""
    return torch.cat([state_LBH[::2], state_LBH[1::2]], dim=-1)
