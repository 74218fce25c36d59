"""The Lightning data module of every text corpus."""

from __future__ import annotations

from typing import Any

from data.task_data import TaskData
from data.text.batches import StreamBatches, TextBatch
from data.text.corpus import TokenizedCorpus, check_lengths
from lightning_modules.settings import StreamTraining


class TextDataModule(TaskData):
    """A tokenized corpus, served for training in parallel lanes and for evaluation as one stream.

    Its vocabulary is saved in every checkpoint, so that a trained model can be used without its corpus.

    Attributes:
        vocabulary: tokens and their ids.
        data_hash: SHA-256 of the content, see :class:`data.corpus.TokenizedCorpus`.
        source: one line that says where the text came from.
        train_tokens, validation_tokens, test_tokens: their ids, in memory or in a file.

    """

    def __init__(self, corpus: TokenizedCorpus, training: StreamTraining, evaluation_length: int = 512) -> None:
        """Serve a corpus in batches of ``training.batch_size`` lanes by ``training.sequence_length`` time steps.

        Validation and test run over the whole stream in one lane, ``evaluation_length`` time steps at once; that
        number changes memory and speed, not the result. So they do in each of several processes that train together.

        Raises:
            DataError: a split is too short.

        """
        super().__init__()
        self.vocabulary = corpus.vocabulary
        self.data_hash = corpus.data_hash
        self.source = corpus.source
        self.train_tokens, self.validation_tokens, self.test_tokens = corpus.train, corpus.validation, corpus.test
        check_lengths(corpus, training.batch_size, training.sequence_length)
        self._training = training
        self._evaluation_length = evaluation_length

    def train_dataloader(self) -> StreamBatches:
        """Batches of an epoch of training, resumable in mid-epoch."""
        return StreamBatches(self.train_tokens, self._training.batch_size, self._training.sequence_length, shared=True)

    def val_dataloader(self) -> StreamBatches:
        """The whole validation split as one stream."""
        return StreamBatches(self.validation_tokens, 1, self._evaluation_length)

    def test_dataloader(self) -> StreamBatches:
        """The whole test split as one stream."""
        return StreamBatches(self.test_tokens, 1, self._evaluation_length)

    def monitored_batch(self) -> TextBatch:
        """A small sample of the validation split, always the same: the first batch when it is cut into lanes like training.

        Its lanes start at even distances in the split, each ``training.sequence_length`` time steps long (or less, where
        the split is short).
        """
        lanes = min(self._training.batch_size, len(self.validation_tokens) - 1)
        return next(iter(StreamBatches(self.validation_tokens, lanes, self._training.sequence_length)))

    def state_dict(self) -> dict[str, Any]:
        """What is saved in checkpoints, under the name of this class."""
        return {"vocabulary": self.vocabulary.to_json()}
