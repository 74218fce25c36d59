"""The user's own labelled texts: CSV with a header, or JSON lines, in UTF-8.

A folder with ``train``, ``valid`` and ``test``, each ``.csv`` or ``.jsonl``, is split by them. A single file is split by
position: of every ten texts the ninth is for validation and the tenth for the test. In JSON lines the label may be a list.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.labelled.texts import Labelled, LabelledSplits
from data.settings import LabelledText
from data.sources.raw import read_utf8
from doping.errors import DataError

ENDINGS = (".csv", ".jsonl")
SPLIT_NAMES = ("train", "valid", "test")


def read(settings: LabelledText) -> LabelledSplits:
    """Read the user's labelled texts.

    Raises:
        DataError: there is no path, nothing at it, or a line without text or label.

    """
    if settings.path is None:
        raise DataError("the corpus file needs the setting path; give a CSV or JSON lines file, or a folder of them")
    path = Path(settings.path).expanduser()
    if path.is_dir():
        train, validation, test = (_read(_split_file(path, name), settings) for name in SPLIT_NAMES)
        return LabelledSplits(train, validation, test, str(path))
    texts = _read(path, settings)
    if len(texts) < 10:
        raise DataError(f"{path}: {len(texts)} texts, expected at least 10 to split; or give a folder with {_expected()}")
    train = [text for number, text in enumerate(texts) if number % 10 < 8]
    source = f"{path}, of every ten texts the ninth to validate and the tenth to test"
    return LabelledSplits(train, texts[8::10], texts[9::10], source)


def example(row: Any, settings: LabelledText, place: str) -> Labelled:
    """The labelled text of a row with named columns. Raises ``DataError`` that names ``place``."""
    for column in (settings.text, settings.label):
        if not isinstance(row, dict) or row.get(column) is None:
            has = f"the columns {', '.join(map(str, row))}" if isinstance(row, dict) else repr(row)
            raise DataError(f"{place}: no {column!r} in it, it has {has}; name the columns with data.text and data.label")
    text, given = row[settings.text], row[settings.label]
    labels = tuple(str(label).strip() for label in (given if isinstance(given, list) else [given]))
    if not isinstance(text, str) or not text.split():
        raise DataError(f"{place}: the text is {text!r}; expected words")
    if not labels or not all(labels):
        raise DataError(f"{place}: the label is {given!r}; expected one that is not empty")
    return Labelled(tuple(text.split()), labels)


def _expected() -> str:
    return ", ".join(SPLIT_NAMES) + " as " + " or ".join(ENDINGS)


def _split_file(folder: Path, name: str) -> Path:
    present = [folder / f"{name}{ending}" for ending in ENDINGS if (folder / f"{name}{ending}").is_file()]
    if len(present) != 1:
        found = " and ".join(path.name for path in present) or f"no {name}.csv or {name}.jsonl"
        raise DataError(f"{folder}: has {found}; expected {_expected()}, one of each")
    return present[0]


def _read(path: Path, settings: LabelledText) -> list[Labelled]:
    if path.suffix not in ENDINGS:
        raise DataError(f"{path}: the name ends in {path.suffix!r}; expected {' or '.join(ENDINGS)}")
    rows = _csv_rows if path.suffix == ".csv" else _json_rows
    texts = [example(row, settings, f"{path}, line {line}") for line, row in rows(path)]
    if not texts:
        raise DataError(f"{path}: no texts below the header; expected one a line")
    return texts


def _csv_rows(path: Path) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(io.StringIO(read_utf8(path), newline=""), strict=True)
    try:
        header = next(reader)
        for cells in reader:
            if len(cells) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, expected {len(header)} as in the header"
                )
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}; expected CSV") from error


def _json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(read_utf8(path).removesuffix("\n").split("\n"), 1):
        try:
            yield number, json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not JSON ({error}); expected an object a line") from error
