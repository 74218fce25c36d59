"""From the settings of a corpus to its tokens, vocabulary and hash."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from data.registry import READERS
from data.settings import Corpus
from data.vocabulary import Vocabulary, tokenize

Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TokenizedCorpus:
    """The splits of a corpus as token ids, each of shape (tokens,)."""

    vocabulary: Vocabulary
    train: Tokens
    validation: Tokens
    test: Tokens
    source: str
    """One line that says where the text came from."""
    data_hash: str
    """SHA-256 in hex of level, vocabulary and all tokens: equal content gives an equal hash, wherever it lies."""


def load(corpus: Corpus) -> TokenizedCorpus:
    """Read and tokenize a corpus; a process does so once and keeps the result, even if the files change.

    The vocabulary is that of the whole training split, also under a ``limit``: so results with different limits are
    over the same tokens.

    Raises:
        DataError: the corpus is missing or cannot be used.

    """
    return _load(corpus, os.environ.get("LSTM_DATA"))


@lru_cache(maxsize=4)
def _load(corpus: Corpus, _folder_of_corpora: str | None) -> TokenizedCorpus:
    raw = READERS[corpus.corpus](corpus)
    train_tokens = tokenize(raw.train, corpus.level)
    vocabulary = Vocabulary.of(train_tokens, corpus.level)
    train = vocabulary.encode(train_tokens[: corpus.limit])
    validation, test = (vocabulary.encode(tokenize(text, corpus.level)) for text in (raw.validation, raw.test))
    return TokenizedCorpus(vocabulary, train, validation, test, raw.source, _hash(vocabulary, train, validation, test))


def _hash(vocabulary: Vocabulary, *splits: Tokens) -> str:
    digest = hashlib.sha256()
    for part in (vocabulary.to_json().encode(), *(split.astype("<i8").tobytes() for split in splits)):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
