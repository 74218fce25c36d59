"""From the settings of labelled texts to numbers: words, labels and hash."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from data.labelled import atis
from data.labelled import files as labelled_files
from data.labelled import hub as labelled_hub
from data.labelled.texts import Labelled, LabelledSplits
from data.settings import LabelledText
from doping.errors import DataError
from doping.vocabulary import Vocabulary

READERS: dict[str, Callable[[LabelledText], LabelledSplits]] = {
    "atis": atis.read,
    "file": labelled_files.read,
    "hub": labelled_hub.read,
}
"""What reads each value of ``LabelledText.corpus``."""


class Example(NamedTuple):
    """A text as ids of its words and of its labels."""

    words: tuple[int, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class LabelledCorpus:
    """The splits of labelled texts as ids."""

    vocabulary: Vocabulary
    """Words of the training split, and ``<unk>``."""
    labels: tuple[str, ...]
    """All labels, those that can be learned first."""
    classes: int
    """How many can be learned, because a text of the training split has it as its first label."""
    train: list[Example]
    validation: list[Example]
    test: list[Example]
    source: str
    """One line that says where they came from."""
    data_hash: str
    """SHA-256 in hex of all of the above but the source."""


def load(settings: LabelledText) -> LabelledCorpus:
    """Read labelled texts; a process does so once and keeps the result, even if the files change.

    Raises:
        DataError: they are missing or cannot be used.

    """
    return _load(settings, os.environ.get("LSTM_DATA"))


@lru_cache(maxsize=4)
def _load(settings: LabelledText, _folder_of_corpora: str | None) -> LabelledCorpus:
    *splits, source = READERS[settings.corpus](settings)
    vocabulary = Vocabulary.of((word for text in splits[0] for word in text.words), "word")
    learned = sorted({text.labels[0] for text in splits[0]})
    if len(learned) < 2:
        raise DataError(f"{source}: all texts to train on are labelled {learned[0]!r}; expected at least two labels")
    others = sorted({label for text in chain(*splits) for label in text.labels} - set(learned))
    labels = (*learned, *others)
    ids = {label: number for number, label in enumerate(labels)}

    def encoded(text: Labelled) -> Example:
        return Example(tuple(vocabulary.encode(text.words).tolist()), tuple(ids[label] for label in text.labels))

    train, validation, test = ([encoded(text) for text in split] for split in splits)
    content = json.dumps([vocabulary.to_json(), labels, len(learned), train, validation, test], separators=(",", ":"))
    data_hash = hashlib.sha256(content.encode()).hexdigest()
    return LabelledCorpus(vocabulary, labels, len(learned), train, validation, test, source, data_hash)
