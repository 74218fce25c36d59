"""From the settings of a parallel corpus to its vocabularies, encoded pairs and hash."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from data.parallel import sentences as parallel
from data.parallel.sentences import Sentences
from data.parallel.subwords import Subwords
from data.settings import ParallelText
from doping.errors import DataError


class Pair(NamedTuple):
    """A sentence and its translation as ids of subwords, and the translation as it was written."""

    source: list[int]
    target: list[int]
    reference: str


@dataclass(frozen=True, eq=False)
class EncodedPairs:
    """The splits of a parallel corpus."""

    source_vocabulary: Subwords
    target_vocabulary: Subwords
    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]
    source: str
    """One line that says where the sentences came from."""
    data_hash: str
    """SHA-256 in hex of vocabularies and pairs: equal content gives an equal hash, wherever it lies."""


def load(settings: ParallelText) -> EncodedPairs:
    """Read and encode a parallel corpus; a process does so once and keeps the result, even if the files change.

    The vocabularies are those of the whole training split, also under a ``limit``. No pair of the validation and test split
    is left out for its length.

    Raises:
        DataError: the corpus is missing or cannot be used.

    """
    return _load(settings, os.environ.get("LSTM_DATA"))


@lru_cache(maxsize=2)
def _load(settings: ParallelText, _folder_of_corpora: str | None) -> EncodedPairs:
    raw = parallel.read(settings)
    vocabularies = (
        Subwords.of(raw.train.source, settings.vocabulary_size),
        Subwords.of(raw.train.target, settings.vocabulary_size),
    )
    limited = Sentences(raw.train.source[: settings.limit], raw.train.target[: settings.limit])
    train, validation, test = (_encoded(split, *vocabularies) for split in (limited, raw.validation, raw.test))
    short = [pair for pair in train if max(len(pair.source), len(pair.target)) <= settings.max_length]
    if not short:
        raise DataError(f"{raw.source}: no training pair has at most {settings.max_length} subwords; raise max_length")
    return EncodedPairs(*vocabularies, short, validation, test, raw.source, _hash(*vocabularies, short, validation, test))


def _encoded(split: Sentences, source: Subwords, target: Subwords) -> list[Pair]:
    return [Pair(*pair) for pair in zip(source.encode(split.source), target.encode(split.target), split.target, strict=True)]


def _hash(source: Subwords, target: Subwords, *splits: list[Pair]) -> str:
    content = [source.to_json(), target.to_json(), splits]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()
