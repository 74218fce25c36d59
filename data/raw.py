"""A corpus before it is cut into tokens: three texts, and where they came from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from data.errors import DataError


class RawCorpus(NamedTuple):
    """The text of the three splits, each line ended by a line feed."""

    train: str
    validation: str
    test: str
    source: str
    """One line that says where the text came from."""


def read_utf8(path: Path) -> str:
    """Read a text file strictly as UTF-8; a byte order mark is dropped and CRLF becomes LF.

    Raises:
        DataError: the file cannot be read, is empty, or has a byte that is not UTF-8 (its line and offset are named).

    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the setting path") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: byte 0x{content[error.start]:02x} at offset {error.start} (line {line}) is not UTF-8; "
            "convert the file, e.g. with iconv -f latin1 -t utf-8"
        ) from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if not text.strip():
        raise DataError(f"{path}: the file is empty; expected text to model")
    return text
