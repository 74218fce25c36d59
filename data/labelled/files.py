"""The user's own labelled texts: CSV with a header, or JSON lines, in UTF-8.

Cells are separated by commas, semicolons or tabs. Blank lines, blanks around the names of columns and a byte order mark
mean nothing.

A folder with ``train``, ``valid`` and ``test``, each a file of such an ending, is split by them. A single file is split by
label: of every ten texts of a label the ninth is for validation and the tenth for the test, and training sees every label.
In JSON lines the label may be a list, of which the first one counts here.
"""

from __future__ import annotations

import csv
import io
import json
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from data.labelled.texts import Labelled, LabelledSplits
from data.settings import LabelledText
from data.sources.raw import read_utf8
from doping.errors import DataError

ENDINGS = (".csv", ".tsv", ".jsonl")
DELIMITERS = ",;\t"
MOST_COLUMNS = 10_000
"""Beyond that, a file is something else than a table of texts."""
LONGEST_CELL = 100_000_000
"""Characters of a cell; Python's own limit of 131,072 is less than a long text."""
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
    train, validation, test = split_by_label(texts)
    return LabelledSplits(train, validation, test, f"{path}, of every ten texts of a label one to validate and one to test")


def split_by_label(texts: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled], list[Labelled]]:
    """Eight of ten texts to train on, one to validate and one to test, in every label as far as it has so many.

    The only texts of a label are trained on, unless nothing would be left to validate or to test.
    """
    by_label = sorted(range(len(texts)), key=lambda number: texts[number].labels[0])
    splits = [set(by_label) - set(by_label[8::10]) - set(by_label[9::10]), set(by_label[8::10]), set(by_label[9::10])]
    learned = {texts[number].labels[0] for number in splits[0]}
    for number in by_label:
        label = texts[number].labels[0]
        held_out = next((split for split in splits[1:] if number in split), None)
        if label not in learned and held_out is not None and len(held_out) > 1:
            held_out.remove(number)
            splits[0].add(number)
            learned.add(label)
    train, validation, test = ([texts[number] for number in sorted(split)] for split in splits)
    return train, validation, test


def example(row: Any, settings: LabelledText, place: str) -> Labelled:
    """The labelled text of a row with named columns. Raises ``DataError`` that names ``place``."""
    for column in (settings.text, settings.label):
        if not isinstance(row, dict) or row.get(column) is None:
            has = f"the columns {_some(row)}" if isinstance(row, dict) else reprlib.repr(row)
            raise DataError(f"{place}: no {column!r} in it, it has {has}; name the columns with data.text and data.label")
    text, given = row[settings.text], row[settings.label]
    labels = tuple(str(label).strip() for label in (given if isinstance(given, list) else [given]))
    if not isinstance(text, str) or not text.split():
        raise DataError(f"{place}: the text is {text!r}; expected words")
    if not labels or not all(labels):
        raise DataError(f"{place}: the label is {given!r}; expected one that is not empty")
    return Labelled(tuple(text.split()), labels)


def _some(names: Iterable[Any]) -> str:
    first = [str(name) for name in islice(names, 11)]
    return ", ".join(first[:10]) + (", …" if len(first) > 10 else "")


def _expected() -> str:
    return ", ".join(SPLIT_NAMES) + " as " + ", ".join(ENDINGS)


def _split_file(folder: Path, name: str) -> Path:
    present = [path for path in sorted(folder.iterdir()) if path.stem.lower() == name and _ending(path) in ENDINGS]
    if len(present) != 1:
        found = " and ".join(path.name for path in present) or ", ".join(f"{name}{ending}" for ending in ENDINGS)
        raise DataError(f"{folder}: has {'' if present else 'no '}{found}; expected {_expected()}, one of each")
    return present[0]


def _ending(path: Path) -> str:
    return path.suffix.lower()


def _read(path: Path, settings: LabelledText) -> list[Labelled]:
    if _ending(path) not in ENDINGS:
        raise DataError(f"{path}: the name ends in {path.suffix!r}; expected {', '.join(ENDINGS)}")
    content = read_utf8(path)
    rows = _json_rows(path, content) if _ending(path) == ".jsonl" else _csv_rows(path, content, settings)
    texts = [example(row, settings, f"{path}, line {line}") for line, row in rows]
    if not texts:
        raise DataError(f"{path}: no texts below the header; expected one a line")
    return texts


def _csv_rows(path: Path, content: str, settings: LabelledText) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(LONGEST_CELL)
    delimiter = _delimiter(content, {settings.text, settings.label})
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(header) > MOST_COLUMNS:
            raise DataError(
                f"{path}: {len(header):,} columns, expected a text and a label; at most {MOST_COLUMNS:,} are read"
            )
        for name in (settings.text, settings.label):
            if header.count(name) > 1:
                raise DataError(f"{path}: the column {name!r} is there {header.count(name)} times, expected once")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, expected {len(header)} as in the header"
                )
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}; expected CSV") from error


def _delimiter(content: str, wanted: set[str]) -> str:
    """What separates the cells: what makes most of the wanted columns of the first line, the comma if in doubt."""
    first = content.lstrip("\r\n").partition("\n")[0]

    def found(delimiter: str) -> int:
        try:
            header = next(csv.reader([first], delimiter=delimiter), [])
        except csv.Error:
            return 0
        return len(wanted & {name.strip() for name in header})

    return max(DELIMITERS, key=found)


def _json_rows(path: Path, content: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: not JSON ({error}); expected an object a line") from error
