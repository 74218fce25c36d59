"""The user's own text: a UTF-8 file, or a folder of ``*.txt``.

A folder with ``train.txt``, ``valid.txt`` and ``test.txt`` is split by them. Any other folder is read in the order of
its file names, and that text, or the single file, is split by position: 90 % train, 5 % validation, 5 % test, each cut
moved to the nearest line end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data.settings import Corpus
from data.sources.raw import RawCorpus, Text, utf8_pieces
from doping.errors import DataError

SPLIT_FILES = ("train.txt", "valid.txt", "test.txt")


def read(corpus: Corpus) -> RawCorpus:
    """Read the user's text.

    Raises:
        DataError: there is no path, nothing at it, a file that is no UTF-8 text, or too few lines to split.

    """
    if corpus.path is None:
        raise DataError("the corpus text needs the setting path; give a UTF-8 file, or a folder of *.txt files")
    path = Path(corpus.path).expanduser()
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; give a UTF-8 file, or a folder of *.txt files, as path")
    if not path.is_dir():
        return _split(_text(path), source=str(path))
    present = [name for name in SPLIT_FILES if (path / name).is_file()]
    if len(present) == len(SPLIT_FILES):
        train, validation, test = (_text(path / name) for name in SPLIT_FILES)
        return RawCorpus(train, validation, test, source=f"{path}: {', '.join(SPLIT_FILES)}")
    if "train.txt" in present:
        missing = [name for name in SPLIT_FILES if name not in present]
        raise DataError(f"{path}: has train.txt but no {' and no '.join(missing)}; add it, or rename train.txt")
    files = sorted(file for file in path.glob("*.txt") if file.is_file())
    if not files:
        raise DataError(f"{path}: a folder without any *.txt file; expected UTF-8 text files of that name")
    return _split(_joined(files), source=f"{path}: {len(files)} files")


def _text(path: Path) -> Text:
    return Text(lambda: utf8_pieces(path))


def _joined(files: list[Path]) -> Text:
    """The text of files, one after the other, each of them ended by a line end."""

    def pieces() -> Iterator[str]:
        for file in files:
            piece = ""
            for piece in utf8_pieces(file):
                yield piece
            if not piece.endswith("\n"):
                yield "\n"

    return Text(pieces)


def _split(text: Text, source: str) -> RawCorpus:
    length = sum(len(piece) for piece in text.pieces())
    first, second = (_line_end_near(text, length * percent // 100, length) for percent in (90, 95))
    if not 0 < first < second < length:
        ends = sum(piece.count("\n") for piece in text.pieces())
        raise DataError(
            f"{source}: {length} characters with {ends} line ends cannot be split 90/5/5 at line ends; "
            "break the lines, add text, or give a folder with train.txt, valid.txt and test.txt"
        )
    splits = text.part(0, first), text.part(first, second), text.part(second, length)
    return RawCorpus(*splits, source=f"{source}, split 90/5/5 by position")


def _line_end_near(text: Text, position: int, length: int) -> int:
    """Index just after the line end that is nearest to a position; 0 or the whole length where there is none."""
    before, after, start = 0, length, 0
    for piece in text.pieces():
        at = max(position - start, 0)
        if (found := piece.rfind("\n", 0, at)) >= 0:
            before = start + found + 1
        if (found := piece.find("\n", at)) >= 0:
            after = start + found + 1
            break
        start += len(piece)
    return before if position - before <= after - position else after
