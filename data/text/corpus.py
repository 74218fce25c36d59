"""From the settings of a corpus to its tokens, vocabulary and hash."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np

from data import cache
from data.settings import Corpus
from data.sources.raw import RawCorpus
from data.sources.registry import read
from data.text.counts import count
from data.text.tokens import BLOCK, Ids, TokenFile, Tokens, write_tokens
from doping.errors import DataError
from doping.vocabulary import Level, Vocabulary, token_pieces

LARGE = 20_000_000
"""Characters; the tokens of a larger text are kept in the cache, not in memory."""
LARGEST_VOCABULARY = 1_000_000
"""Tokens of a vocabulary that is not told its size."""
SPLITS = ("train", "validation", "test")
CACHE_FORMAT = 1
"""Raised when the content of the cache is to be made anew."""


@dataclass(frozen=True, eq=False)
class TokenizedCorpus:
    """The splits of a corpus as token ids."""

    vocabulary: Vocabulary
    train: Tokens
    validation: Tokens
    test: Tokens
    source: str
    """One line that says where the text came from."""
    data_hash: str
    """SHA-256 in hex of level, vocabulary and all tokens: equal content gives an equal hash, wherever it lies."""


def check_lengths(corpus: TokenizedCorpus, batch_size: int, sequence_length: int) -> None:
    """Whether there is enough text for a batch. Raises ``DataError`` if a split is too short."""
    needed = batch_size * sequence_length + 1
    if len(corpus.train) < needed:
        raise DataError(
            f"{corpus.source}: {len(corpus.train)} training tokens, but one batch (batch_size "
            f"{batch_size} × sequence_length {sequence_length} + 1) takes {needed}; "
            "give more text or a larger limit, or make these smaller"
        )
    for name, tokens in (("validation", corpus.validation), ("test", corpus.test)):
        if len(tokens) < 2:
            raise DataError(f"{corpus.source}: the {name} split has {len(tokens)} tokens, expected at least 2")


def load(corpus: Corpus) -> TokenizedCorpus:
    """Read and tokenize a corpus; a process does so once and keeps the result, even if the files change.

    The vocabulary is that of the whole training split, also under a ``limit``: so results with different limits are
    over the same tokens. The tokens of a large text are read from the cache where they are wanted, never all at once.

    Raises:
        DataError: the corpus is missing or cannot be used.

    """
    return _load(corpus, os.environ.get("LSTM_DATA"))


@lru_cache(maxsize=4)
def _load(corpus: Corpus, _folder_of_corpora: str | None) -> TokenizedCorpus:
    raw = read(corpus)
    fingerprint, characters = _fingerprint(raw)
    if characters > LARGE:
        return _from_cache(raw, corpus, fingerprint)
    return _tokenized(raw, corpus, lambda name, pieces, vocabulary: np.concatenate([_NONE, *pieces]))


_NONE: Ids = np.empty(0, np.int64)
_Keep = Callable[[str, Iterable[Ids], Vocabulary], Tokens]
"""Keeps the ids of a split of this name."""


def _tokenized(raw: RawCorpus, corpus: Corpus, keep: _Keep) -> TokenizedCorpus:
    vocabulary = _vocabulary(raw, corpus)

    def ids(split: str) -> Iterator[Ids]:
        return (vocabulary.encode(tokens) for tokens in _tokens(raw, split, corpus.level))

    train = keep("train", _first(ids("train"), corpus.limit), vocabulary)
    validation, test = (keep(split, ids(split), vocabulary) for split in SPLITS[1:])
    return TokenizedCorpus(vocabulary, train, validation, test, raw.source, _hash(vocabulary, train, validation, test))


def _tokens(raw: RawCorpus, split: str, level: Level) -> Iterator[Sequence[str]]:
    try:
        yield from token_pieces(getattr(raw, split).pieces(), level)
    except DataError as error:
        raise DataError(f"{raw.source}, {split} split: {error}") from error


def _vocabulary(raw: RawCorpus, corpus: Corpus) -> Vocabulary:
    counts = count(_tokens(raw, "train", corpus.level))
    if corpus.max_vocabulary is None:
        counts = iter(list(islice(counts, LARGEST_VOCABULARY + 1)))
    vocabulary = Vocabulary.of_counts(counts, corpus.level, corpus.max_vocabulary)
    if corpus.max_vocabulary is None and len(vocabulary) > LARGEST_VOCABULARY:
        raise DataError(
            f"{raw.source}: the training text has more than {LARGEST_VOCABULARY:,} different tokens; "
            "say how many to keep with max_vocabulary, e.g. --set task.data.max_vocabulary=50000"
        )
    return vocabulary


def _from_cache(raw: RawCorpus, corpus: Corpus, fingerprint: str) -> TokenizedCorpus:
    """The same from files in the cache, which are made if they are not there."""
    identity = [CACHE_FORMAT, fingerprint, corpus.level, corpus.max_vocabulary, corpus.limit]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]

    def fill(folder: Path) -> None:
        print(f"Cutting {raw.source} into tokens, to be kept in {folder.parent}", file=sys.stderr)
        made = _tokenized(
            raw, corpus, lambda name, pieces, vocabulary: write_tokens(folder / name, pieces, _smallest_type(vocabulary))
        )
        lengths = [len(made.train), len(made.validation), len(made.test)]
        about = {"data_hash": made.data_hash, "lengths": lengths, "vocabulary": made.vocabulary.to_json()}
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")

    folder = cache.kept(key, f"the tokens of {raw.source}", fill)
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        vocabulary = Vocabulary.from_json(about["vocabulary"])
        train, validation, test = splits = [TokenFile(folder / name, _smallest_type(vocabulary)) for name in SPLITS]
        if [len(split) for split in splits] != about["lengths"]:
            raise ValueError("a file is not whole")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} in the cache is damaged ({error}); delete it") from error
    return TokenizedCorpus(vocabulary, train, validation, test, raw.source, about["data_hash"])


def _smallest_type(vocabulary: Vocabulary) -> str:
    return np.min_scalar_type(len(vocabulary) - 1).name


def _first(pieces: Iterable[Ids], limit: int | None) -> Iterator[Ids]:
    """The first so many ids of a stream; all of them without a limit."""
    for ids in pieces:
        yield ids[:limit]
        if limit is not None:
            limit -= min(limit, len(ids))
            if limit == 0:
                return


def _fingerprint(raw: RawCorpus) -> tuple[str, int]:
    """A hash of the text of all splits, and how many characters they have."""
    digests, characters = hashlib.sha256(), 0
    for split in SPLITS:
        digest = hashlib.sha256()
        for piece in getattr(raw, split).pieces():
            digest.update(piece.encode())
            characters += len(piece)
        digests.update(digest.digest())
    return digests.hexdigest(), characters


def _hash(vocabulary: Vocabulary, *splits: Tokens) -> str:
    digest = hashlib.sha256()
    written = vocabulary.to_json().encode()
    digest.update(len(written).to_bytes(8, "little") + written)
    for split in splits:
        digest.update((8 * len(split)).to_bytes(8, "little"))
        for start in range(0, len(split), BLOCK):
            digest.update(split[start : start + BLOCK].astype("<i8").tobytes())
    return digest.hexdigest()
