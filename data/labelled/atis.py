"""ATIS, the Air Travel Information System: spoken requests to an airline, each labelled with its intent.

A file has an utterance a line, ``BOS word … word EOS <tab> slot … slot intent``, with a slot for each word and for BOS.
Of an utterance with several intents (``atis_flight#atis_airfare``) all are read, in their order.

The usual split has 4,478 utterances to train on, 500 to validate and 893 to test (atis-2.train, atis-2.dev, atis.test).
Where there is atis.train alone, which holds the first two, every tenth utterance of it is taken to validate.
"""

from __future__ import annotations

from pathlib import Path

from data.labelled.texts import Labelled, LabelledSplits
from data.settings import LabelledText
from data.sources.folders import local_folder
from data.sources.raw import read_utf8
from doping.errors import DataError

TRAIN, VALIDATION, TEST = (f"{name}.w-intent.iob" for name in ("atis-2.train", "atis-2.dev", "atis.test"))
TRAIN_AND_VALIDATION = "atis.train.w-intent.iob"

_FILES = f"{TRAIN}, {VALIDATION} (or {TRAIN_AND_VALIDATION} in place of these two) and {TEST}"
_LINE = "BOS, words, EOS, a tab, a slot for each word and for BOS, and the intent"


def read(settings: LabelledText) -> LabelledSplits:
    """Read ATIS.

    Raises:
        DataError: it is found nowhere, or a line is not as it should be.

    """
    folder = local_folder(settings.path, "atis", _FILES)
    if folder is None:
        raise DataError(
            f"no ATIS: neither path nor LSTM_DATA names a folder of it; put {_FILES} into one (or into $LSTM_DATA/atis)"
        )
    present = {name for name in (TRAIN, VALIDATION, TRAIN_AND_VALIDATION, TEST) if (folder / name).is_file()}
    if present >= {TRAIN, VALIDATION, TEST}:
        train, validation, test = (_read(folder / name) for name in (TRAIN, VALIDATION, TEST))
        return LabelledSplits(train, validation, test, str(folder))
    if present >= {TRAIN_AND_VALIDATION, TEST}:
        both = _read(folder / TRAIN_AND_VALIDATION)
        train = [utterance for number, utterance in enumerate(both, 1) if number % 10]
        source = f"{folder}, every tenth utterance of {TRAIN_AND_VALIDATION} to validate"
        return LabelledSplits(train, both[9::10], _read(folder / TEST), source)
    raise DataError(f"{folder}: has {', '.join(sorted(present)) or 'none of the files of ATIS'}; expected {_FILES}")


def _read(path: Path) -> list[Labelled]:
    lines = read_utf8(path).removesuffix("\n").split("\n")
    return [_utterance(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]


def _utterance(line: str, place: str) -> Labelled:
    utterance, tab, tags = line.partition("\t")
    words, slots = utterance.split(), tags.split()
    if not tab or "\t" in tags:
        raise DataError(f"{place}: {line.count(chr(9))} tabs, expected one; a line is {_LINE}")
    if len(words) < 3 or (words[0], words[-1]) != ("BOS", "EOS"):
        raise DataError(f"{place}: {utterance!r} is not BOS, words, EOS; a line is {_LINE}")
    if len(slots) != len(words):
        raise DataError(f"{place}: {len(words) - 2} words, and {len(slots)} slots with the intent; a line is {_LINE}")
    *slots, intent = slots
    labels = tuple(intent.split("#"))
    if intent == "O" or intent.startswith(("B-", "I-")) or not all(labels):
        raise DataError(f"{place}: {intent!r} is no intent; a line is {_LINE}")
    return Labelled(tuple(words[1:-1]), labels)
