"""The user's own text: a UTF-8 file, or a folder of ``*.txt``.

A folder with ``train.txt``, ``valid.txt`` and ``test.txt`` is split by them. Any other folder is read in the order of
its file names, and that text, or the single file, is split by position: 90 % train, 5 % validation, 5 % test, each cut
moved to the nearest line end.
"""

from __future__ import annotations

from pathlib import Path

from data.errors import DataError
from data.raw import RawCorpus, read_utf8
from data.settings import Corpus

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
        return _split(read_utf8(path), source=str(path))
    present = [name for name in SPLIT_FILES if (path / name).is_file()]
    if len(present) == len(SPLIT_FILES):
        train, validation, test = (read_utf8(path / name) for name in SPLIT_FILES)
        return RawCorpus(train, validation, test, source=f"{path}: {', '.join(SPLIT_FILES)}")
    if "train.txt" in present:
        missing = [name for name in SPLIT_FILES if name not in present]
        raise DataError(f"{path}: has train.txt but no {' and no '.join(missing)}; add it, or rename train.txt")
    files = sorted(file for file in path.glob("*.txt") if file.is_file())
    if not files:
        raise DataError(f"{path}: a folder without any *.txt file; expected UTF-8 text files of that name")
    return _split("".join(_ended(read_utf8(file)) for file in files), source=f"{path}: {len(files)} files")


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _split(text: str, source: str) -> RawCorpus:
    first, second = (_line_end_near(text, len(text) * percent // 100) for percent in (90, 95))
    if not 0 < first < second < len(text):
        lines = len(text.splitlines())
        raise DataError(
            f"{source}: {lines} lines cannot be split 90/5/5 at line ends; "
            "break the lines, add text, or give a folder with train.txt, valid.txt and test.txt"
        )
    return RawCorpus(text[:first], text[first:second], text[second:], source=f"{source}, split 90/5/5 by position")


def _line_end_near(text: str, position: int) -> int:
    """Index just after the line end that is nearest to a position; 0 or the whole length where there is none."""
    before = text.rfind("\n", 0, position) + 1
    after = text.find("\n", position) + 1 or len(text)
    return before if position - before <= after - position else after
