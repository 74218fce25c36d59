"""From the settings of labelled texts to numbers: words, labels and hash."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
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
    counts: tuple[int, ...]
    """Texts of the training split of each of those, by their first labels."""
    train: list[Example]
    validation: list[Example]
    test: list[Example]
    source: str
    """One line that says where they came from."""
    data_hash: str
    """SHA-256 in hex of vocabulary, labels and splits."""


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
    _look_at_labels(splits[1:], set(learned), source)
    labels = (*learned, *others)
    ids = {label: number for number, label in enumerate(labels)}

    def encoded(text: Labelled) -> Example:
        return Example(tuple(vocabulary.encode(text.words).tolist()), tuple(ids[label] for label in text.labels))

    train, validation, test = ([encoded(text) for text in split] for split in splits)
    content = json.dumps([vocabulary.to_json(), labels, len(learned), train, validation, test], separators=(",", ":"))
    data_hash = hashlib.sha256(content.encode()).hexdigest()
    first = Counter(text.labels[0] for text in train)
    counts = tuple(first[label] for label in range(len(learned)))
    return LabelledCorpus(vocabulary, labels, len(learned), counts, train, validation, test, source, data_hash)


def _look_at_labels(held_out: Sequence[Sequence[Labelled]], learned: set[str], source: str) -> None:
    """Name the labels that no text to train on has: whatever is said of their texts is wrong.

    Raises:
        DataError: no text of a split has a label that can be learned.

    """
    for name, texts in zip(("validate", "test"), held_out, strict=True):
        never = [text.labels[0] for text in texts if not learned & set(text.labels)]
        if texts and len(never) == len(texts):
            raise DataError(
                f"{source}: every text to {name} has a label that no text to train on has first ({_some(set(never))}); "
                "shuffle the texts, or split them in another way"
            )
        if never:
            print(
                f"note: {source}: {len(never)} of {len(texts)} texts to {name} have labels not in training, and count as "
                f"wrong: {_some(set(never))}",
                file=sys.stderr,
            )
    spellings = Counter(label.casefold() for label in learned)
    alike = sorted(label for label in learned if spellings[label.casefold()] > 1)
    if alike:
        print(f"note: {source}: labels that differ in upper and lower case only: {_some(alike)}", file=sys.stderr)


def _some(labels: Collection[str]) -> str:
    shown = ", ".join(repr(label) for label in sorted(labels)[:10])
    return f"{shown} and {len(labels) - 10} more" if len(labels) > 10 else shown
