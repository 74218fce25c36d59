"""Sentences and their translations, as files or on the hub, before they are cut into subwords.

A split is a file for each language, such as ``train.en`` and ``train.de``; a line is a sentence, and the same line of the
other file its translation. The files are looked for in the folder of the setting ``path``, for the known corpora also in
a folder of ``LSTM_DATA`` and then on the Hugging Face hub.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from data.settings import ParallelText
from data.sources import hub
from data.sources.folders import local_folder
from data.sources.raw import read_utf8
from doping.errors import DataError

LONGEST_LINE = 10_000
"""Characters of a line; a longer one is not a sentence."""


class Sentences(NamedTuple):
    """A split: sentences and their translations, as many of each."""

    source: tuple[str, ...]
    target: tuple[str, ...]


class ParallelCorpus(NamedTuple):
    """The splits of a corpus."""

    train: Sentences
    validation: Sentences
    test: Sentences
    source: str
    """One line that says where the sentences came from."""


@dataclass(frozen=True)
class Known:
    """Where the splits of a corpus are: training, validation and test."""

    folder: str
    """Its folder in ``LSTM_DATA``."""
    stems: tuple[str, str, str]
    """Names of the files, without the language."""
    dataset: str
    """Name on the hub."""
    revision: str = "refs/convert/parquet"
    """The hub's own conversion; it is a branch, so the hash of the data says what came."""


KNOWN = {
    # Elliott et al. 2016 (arXiv 1605.00459): 29,000 / 1,014 / 1,000 pairs, the test split is that of Flickr, 2016.
    "multi30k": Known("multi30k_en_de", ("train", "val", "test_2016_flickr"), "bentrevett/multi30k"),
    # As Luong & Manning 2015 prepared it, already cut into words: 133,317 / 1,553 / 1,268 pairs.
    "iwslt15": Known("iwslt15_en_vi", ("train", "tst2012", "tst2013"), "thainq107/iwslt2015-en-vi"),
}
"""The corpora with a name."""

OWN_STEMS = ("train", "valid", "test")
"""Names of the files of a user's own folder, without the language."""


def read(settings: ParallelText) -> ParallelCorpus:
    """Read a parallel corpus.

    A pair without a word on one of its sides is left out of the training split, with a warning; elsewhere it is an error.

    Raises:
        DataError: files are missing, unreadable or not parallel, or the hub does not have them.

    """
    if settings.corpus == "folder":
        if settings.path is None:
            raise DataError(f"the corpus folder needs the setting path; give a folder with {_files(settings, OWN_STEMS)}")
        folder = local_folder(settings.path, "", _files(settings, OWN_STEMS))
        assert folder is not None
        return _from_folder(folder, settings, OWN_STEMS)
    if settings.corpus == "hub":
        return _from_hub(settings, "no parallel text", "check its name, revision and splits, or go online")
    known = KNOWN[settings.corpus]
    files = _files(settings, known.stems)
    folder = local_folder(settings.path, known.folder, files)
    if folder is not None:
        return _from_folder(folder, settings, known.stems)
    root = os.environ.get("LSTM_DATA")
    local = f"{root} (LSTM_DATA) has no {known.folder}/" if root else "neither path nor LSTM_DATA names a folder"
    missing = f"no {settings.corpus}: {local}"
    how_to_get = f"put {files} into a folder and name it as path (or put them into $LSTM_DATA/{known.folder}), or go online"
    return _from_hub(settings.model_copy(update={"dataset": known.dataset, "revision": known.revision}), missing, how_to_get)


def _from_folder(folder: Path, settings: ParallelText, stems: Sequence[str]) -> ParallelCorpus:
    files = [[folder / f"{stem}.{language}" for language in (settings.source, settings.target)] for stem in stems]
    absent = [file.name for pair in files for file in pair if not file.is_file()]
    if absent:
        raise DataError(f"{folder}: has no {' and no '.join(absent)}; expected {_files(settings, stems)}")
    lines = [[read_utf8(file).removesuffix("\n").split("\n") for file in pair] for pair in files]
    return _checked(lines, [[str(file) for file in pair] for pair in files], str(folder))


def _from_hub(settings: ParallelText, missing: str, how_to_get: str) -> ParallelCorpus:
    dataset, splits, languages = settings.dataset, settings.splits, (settings.source, settings.target)
    if dataset is None:
        raise DataError("the corpus hub needs the setting dataset; give a name such as Helsinki-NLP/opus-100")
    try:
        parts = hub.load(dataset, settings.revision, name=settings.configuration, split=list(splits))
    except hub.HubError as error:
        raise DataError(f"{missing}, and the hub ({dataset}): {error}; {how_to_get}") from error
    lines = [[_column(part, language, dataset) for language in languages] for part in parts]
    places = [[f"{dataset}, {split}.{language}" for language in languages] for split in splits]
    return _checked(lines, places, f"{dataset} ({settings.revision or 'newest revision'}) on the Hugging Face hub")


def _column(split: Any, language: str, dataset: str) -> list[str]:
    """Sentences in one language: of a column with its name, or of the dictionaries in the column ``translation``."""
    columns = split.column_names
    if language in columns:
        return list(split[language])
    if "translation" in columns:
        pairs = split["translation"]
        if language in pairs[0]:
            return [pair[language] for pair in pairs]
        columns = list(pairs[0])
    raise DataError(f"{dataset} has no {language!r}, only {', '.join(columns)}; set source and target to two of them")


def _checked(lines: Sequence[Sequence[Sequence[str]]], places: Sequence[Sequence[str]], source: str) -> ParallelCorpus:
    """The splits, once their lines are found to be sentences and their translations."""
    train, validation, test = (
        _parallel(sides, names, may_be_empty=split == 0)
        for split, (sides, names) in enumerate(zip(lines, places, strict=True))
    )
    return ParallelCorpus(train, validation, test, source)


def _parallel(sides: Sequence[Sequence[str]], places: Sequence[str], may_be_empty: bool) -> Sentences:
    """A split of the lines of both languages; ``places`` names them in messages."""
    counts = [len(side) for side in sides]
    if counts[0] != counts[1]:
        raise DataError(
            f"{places[0]} has {counts[0]} lines, {places[1]} has {counts[1]}; "
            "a line of one must be the translation of the same line of the other"
        )
    stripped = [[line.strip() for line in side] for side in sides]
    empty = []
    for place, side in zip(places, stripped, strict=True):
        for number, line in enumerate(side, 1):
            if len(line) > LONGEST_LINE:
                raise DataError(
                    f"{place}, line {number}: {len(line)} characters; expected a sentence of {LONGEST_LINE} at most"
                )
            if not line:
                empty.append(f"{place}, line {number}: an empty line")
    if empty:
        found = empty[0] + (f", one of {len(empty)}" if len(empty) > 1 else "")
        if not may_be_empty:
            raise DataError(f"{found}; write the sentence, or delete the line in both languages")
        warnings.warn(f"{found}; what has no translation is not trained on", stacklevel=2)
    pairs = [pair for pair in zip(*stripped, strict=True) if all(pair)]
    if not pairs:
        raise DataError(f"{places[0]}: no line has a sentence both here and in {places[1]}")
    return Sentences(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def _files(settings: ParallelText, stems: Sequence[str]) -> str:
    return ", ".join(f"{stem}.{{{settings.source},{settings.target}}}" for stem in stems)
