"""A corpus before it is cut into tokens: three texts, read in pieces, and where they came from."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from doping.errors import DataError

PIECE = 1 << 20
"""Bytes of a file that are read at once."""


@dataclass(frozen=True)
class Text:
    """A text that may be larger than the memory: whoever reads it asks for its pieces, as often as needed."""

    pieces: Callable[[], Iterator[str]]
    """Gives the text from its start, in pieces that may end anywhere; none is empty."""

    @classmethod
    def of(cls, text: str) -> Text:
        """A text in memory."""
        return cls(lambda: iter([text] if text else []))

    @classmethod
    def of_lines(cls, lines: Iterable[str]) -> Text:
        """Lines in memory, each to be ended by a line feed."""
        return cls.of("".join(f"{line}\n" for line in lines))

    def __str__(self) -> str:
        return "".join(self.pieces())

    def part(self, start: int, stop: int) -> Text:
        """The characters from ``start`` up to ``stop``."""

        def pieces() -> Iterator[str]:
            at = 0
            for piece in self.pieces():
                if wanted := piece[max(start - at, 0) : stop - at]:
                    yield wanted
                at += len(piece)
                if at >= stop:
                    return

        return Text(pieces)


class RawCorpus(NamedTuple):
    """The text of the three splits, each line ended by a line feed."""

    train: Text
    validation: Text
    test: Text
    source: str
    """One line that says where the text came from."""


def read_utf8(path: Path) -> str:
    """The whole text of a file, see :func:`utf8_pieces`."""
    return "".join(utf8_pieces(path))


def utf8_pieces(path: Path) -> Iterator[str]:
    """Read a text file strictly as UTF-8, piece by piece; a byte order mark is dropped and CRLF becomes LF.

    Raises:
        DataError: the file cannot be read, is empty, or has a byte that is not of a UTF-8 text (its line and offset are
            named).

    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = lines = 0
    begun, blank, held = False, True, ""
    for block in _blocks(path):
        if (zero := block.find(b"\0")) >= 0:
            line = lines + block.count(b"\n", 0, zero) + 1
            raise DataError(
                f"{path}: byte 0x00 at offset {offset + zero} (line {line}) is no UTF-8 text; expected text, not a binary "
                "file (UTF-16 is converted by iconv -f utf-16 -t utf-8)"
            )
        try:
            decoded = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise _not_utf8(path, error, offset + len(block) - len(error.object), lines) from None
        offset += len(block)
        lines += block.count(b"\n")
        if decoded and not begun:
            decoded, begun = decoded.removeprefix("\ufeff"), True
        text = held + decoded
        # The line feed that makes a carriage return part of a line end may be in the next block.
        held = "\r" if block and text.endswith("\r") else ""
        text = text.removesuffix(held).replace("\r\n", "\n")
        blank = blank and not text.strip()
        if text:
            yield text
    if blank:
        raise DataError(f"{path}: the file is empty; expected text to model")


def _blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in blocks, the last of them empty."""
    try:
        with path.open("rb") as file:
            while block := file.read(PIECE):
                yield block
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the setting path") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
    yield b""


def _not_utf8(path: Path, error: UnicodeDecodeError, offset: int, lines: int) -> DataError:
    """Where in a file an error in ``error.object`` is, which begins at that offset, after so many line ends."""
    line = lines + error.object.count(b"\n", 0, error.start) + 1
    place = f"offset {offset + error.start} (line {line})"
    if error.reason == "unexpected end of data":
        return DataError(f"{path}: ends in the middle of a character at {place}; the file is truncated, bring the whole one")
    return DataError(
        f"{path}: byte 0x{error.object[error.start]:02x} at {place} is not UTF-8; "
        "convert the file, e.g. with iconv -f latin1 -t utf-8"
    )
