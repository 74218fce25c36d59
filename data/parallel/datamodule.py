"""Batches of sentences and their translations.

Legend: S source steps, T target steps, B batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from data.example_batches import ExampleBatches
from data.parallel.pairs import EncodedPairs, Pair
from data.parallel.subwords import Subwords
from data.task_data import TaskData


class PairBatch(NamedTuple):
    """Pairs of sentences, the longest source first; shorter ones are filled up with ``Subwords.PAD``."""

    source_SB: Tensor
    """Each source sentence and its end."""
    source_lengths: tuple[int, ...]
    """Steps of each source, its end included."""
    target_TB: Tensor
    """Begin, target sentence and end; a step predicts the next."""
    target_lengths: tuple[int, ...]
    """Steps to predict of each target: its subwords and its end."""
    references: tuple[str, ...]
    """The targets as they were written."""


def batch_of(pairs: list[Pair]) -> PairBatch:
    """The batch of some pairs."""
    pairs = sorted(pairs, key=lambda pair: len(pair.source), reverse=True)
    sources = [torch.tensor([*pair.source, Subwords.END]) for pair in pairs]
    targets = [torch.tensor([Subwords.BEGIN, *pair.target, Subwords.END]) for pair in pairs]
    return PairBatch(
        pad_sequence(sources, padding_value=Subwords.PAD),
        tuple(len(source) for source in sources),
        pad_sequence(targets, padding_value=Subwords.PAD),
        tuple(len(target) - 1 for target in targets),
        tuple(pair.reference for pair in pairs),
    )


class TranslationData(TaskData):
    """A parallel corpus in batches of pairs: in random order for training, sorted by source length for evaluation."""

    EVALUATION_BATCH = 50
    """Changes memory and speed, not results."""

    def __init__(self, corpus: EncodedPairs, batch_size: int) -> None:
        """Training is shuffled by PyTorch's seed of this moment; evaluation takes ``EVALUATION_BATCH`` pairs at once."""
        super().__init__()
        self.corpus = corpus
        self.data_hash = corpus.data_hash
        self.source = corpus.source
        self._batch_size = batch_size
        self._shuffle_seed = torch.initial_seed()

    def train_dataloader(self) -> ExampleBatches[Pair, PairBatch]:
        """Batches of an epoch of training, resumable in mid-epoch."""
        return ExampleBatches(self.corpus.train, self._batch_size, batch_of, self._shuffle_seed)

    def val_dataloader(self) -> ExampleBatches[Pair, PairBatch]:
        """The whole validation split."""
        return self._evaluation(self.corpus.validation)

    def test_dataloader(self) -> ExampleBatches[Pair, PairBatch]:
        """The whole test split."""
        return self._evaluation(self.corpus.test)

    def monitored_batch(self) -> PairBatch:
        """The first pairs of the validation split."""
        return batch_of(self.corpus.validation[: self.EVALUATION_BATCH])

    def _evaluation(self, pairs: list[Pair]) -> ExampleBatches[Pair, PairBatch]:
        by_length = sorted(pairs, key=lambda pair: len(pair.source))
        return ExampleBatches(by_length, self.EVALUATION_BATCH, batch_of)
