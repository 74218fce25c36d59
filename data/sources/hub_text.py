"""Texts of any data set on the Hugging Face hub, or of a folder with the files of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.settings import Corpus, HubText
from data.sources import hub
from data.sources.folders import local_folder, where_looked
from data.sources.raw import RawCorpus, Text
from doping.errors import DataError

ROWS = 1000
"""Rows that are read at once."""


def read_corpus(corpus: Corpus) -> RawCorpus:
    """Read the data set that a corpus names as ``hub``; from a folder if it is in ``path`` or in ``$LSTM_DATA/NAME``.

    Raises:
        DataError: none is named, it is found nowhere, or it is no text.

    """
    if corpus.hub is None:
        raise DataError("the corpus hub needs the name of a data set; give one, e.g. --set task.data.hub.name=owner/name")
    name = corpus.hub.name
    folder = local_folder(corpus.path, name, f"the files of {name}")
    try:
        return read(corpus.hub, folder)
    except hub.HubError as error:
        if folder:
            raise DataError(f"{folder}: datasets cannot read it: {error}") from error
        raise DataError(
            f"no {name}: {where_looked(name)}, and the hub ({name}): {error}; go online, or give a folder with its files"
        ) from error


def read(wanted: HubText, folder: Path | None = None) -> RawCorpus:
    """Read a data set: every row of its column is a line, or several.

    Raises:
        HubError: it cannot be had.
        DataError: the column is not there or holds something else than text.

    """
    names = [wanted.train, wanted.validation, wanted.test]
    splits, place = hub.found(str(folder or wanted.name), wanted.revision, name=wanted.config, split=names)
    version = ", ".join(part for part in (wanted.config, wanted.revision) if part)
    source = str(folder) if folder else f"{wanted.name} ({version}) {place}"
    for split in splits:
        if wanted.column not in split.column_names:
            raise DataError(f"{source}: no column {wanted.column!r}; it has {', '.join(split.column_names)}")
    train, validation, test = (
        _text(split, wanted.column, f"{source}, split {name}") for split, name in zip(splits, names, strict=True)
    )
    return RawCorpus(train, validation, test, source)


def _text(split: Any, column: str, source: str) -> Text:
    def pieces() -> Iterator[str]:
        for start in range(0, len(split), ROWS):
            rows = split[start : start + ROWS][column]
            for number, row in enumerate(rows, start=start + 1):
                if not isinstance(row, str):
                    raise DataError(f"{source}, row {number}: {column} is {row!r}, expected text")
            yield "".join(row if row.endswith("\n") else f"{row}\n" for row in rows)

    return Text(pieces)
