"""The Lightning data module of labelled texts.

Legend: T words of the longest text, B batch, L labels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from data.example_batches import ExampleBatches
from data.labelled.corpus import Example, LabelledCorpus
from data.task_data import TaskData
from lightning_modules.settings import Training

EVALUATION_BATCH = 128
"""Texts that are evaluated at once: it changes memory and speed, not the result."""


class IntentBatch(NamedTuple):
    """Texts, the longest first."""

    words_TB: Tensor
    """Ids of words; zeros after the end of a text."""
    lengths_B: Tensor
    """Words of each text, descending."""
    first_B: Tensor
    """The first label of each."""
    labels_BL: Tensor
    """Whether a label is one of a text's."""


class IntentData(TaskData):
    """Labelled texts, served in batches sorted by length."""

    def __init__(self, corpus: LabelledCorpus, training: Training) -> None:
        """Serve a corpus in batches of ``training.batch_size``; the order to train in follows from the seed in force."""
        super().__init__()
        self.corpus = corpus
        self.data_hash = corpus.data_hash
        self.source = corpus.source
        self._batch_size = training.batch_size
        self._shuffle_seed = torch.initial_seed()

    def train_dataloader(self) -> ExampleBatches[Example, IntentBatch]:
        """Batches of an epoch of training, resumable in mid-epoch."""
        return ExampleBatches(self.corpus.train, self._batch_size, self._collate, self._shuffle_seed)

    def val_dataloader(self) -> ExampleBatches[Example, IntentBatch]:
        """The validation split."""
        return ExampleBatches(self.corpus.validation, EVALUATION_BATCH, self._collate)

    def test_dataloader(self) -> ExampleBatches[Example, IntentBatch]:
        """The test split."""
        return ExampleBatches(self.corpus.test, EVALUATION_BATCH, self._collate)

    def monitored_batch(self) -> IntentBatch:
        """Texts at even distances in the validation split."""
        examples = self.corpus.validation
        return self._collate(examples[:: -(-len(examples) // EVALUATION_BATCH)])

    def state_dict(self) -> dict[str, Any]:
        """What the numbers of the model mean: goes into its checkpoints."""
        return {
            "vocabulary": self.corpus.vocabulary.to_json(),
            "labels": list(self.corpus.labels[: self.corpus.classes]),
        }

    def _collate(self, examples: list[Example]) -> IntentBatch:
        ordered = sorted(examples, key=lambda example: -len(example.words))
        labels_BL = torch.zeros(len(ordered), len(self.corpus.labels), dtype=torch.bool)
        for row, example in enumerate(ordered):
            labels_BL[row, list(example.labels)] = True
        return IntentBatch(
            words_TB=pad_sequence([torch.tensor(example.words) for example in ordered]),
            lengths_B=torch.tensor([len(example.words) for example in ordered]),
            first_B=torch.tensor([example.labels[0] for example in ordered]),
            labels_BL=labels_BL,
        )
