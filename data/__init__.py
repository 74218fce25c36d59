"""Corpora: text that ships with Python, published ones, those of the hub, or the user's own, as Lightning data modules.

``build(Corpus(corpus="embedded", level="character"), StreamTraining(batch_size=32))`` gives what ``Trainer.fit`` takes as
its ``datamodule``, with ``vocabulary``, ``data_hash`` and ``source`` for whoever builds a model or writes a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.settings import Corpus
from doping.errors import DataError
from lightning_modules.settings import StreamTraining

if TYPE_CHECKING:
    from data.text.datamodule import TextDataModule

__all__ = ["DataError", "build", "data_hash"]


def build(corpus: Corpus, training: StreamTraining, evaluation_length: int = 512) -> TextDataModule:
    """Make the data module of a corpus; validation and test run ``evaluation_length`` time steps at once.

    Raises:
        DataError: the corpus is missing, cannot be read, or is too short for one batch.

    """
    from data.text.corpus import load

    tokenized = load(corpus)  # before the heavy imports: a mistake is answered at once
    from data.text.datamodule import TextDataModule

    return TextDataModule(tokenized, training, evaluation_length)


def data_hash(corpus: Corpus) -> str:
    """SHA-256 in hex of the content of a corpus: level, vocabulary and tokens. Needs neither PyTorch nor Lightning.

    Raises:
        DataError: the corpus is missing or cannot be read.

    """
    from data.text.corpus import load

    return load(corpus).data_hash
