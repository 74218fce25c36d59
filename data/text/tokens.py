"""Streams of token ids: in memory, or in a file where they are too many."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

BLOCK = 1 << 20
"""Tokens of a long stream that are looked at together."""


class Tokens(Protocol):
    """A stream of token ids of which parts can be taken; an array is one."""

    def __len__(self) -> int:
        """Tokens in it."""
        ...

    def __getitem__(self, part: slice, /) -> Ids:
        """Some of its tokens, (stop - start,)."""
        ...


class TokenFile:
    """A stream of token ids in a file, little-endian integers of one type, of which only what is asked for is read.

    The file is not mapped into memory: every page of a mapped file that was looked at would count as memory of the process.
    """

    def __init__(self, path: Path, dtype: str):
        """``dtype`` is numpy's name of the type, e.g. ``uint16``."""
        self.path = path
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self._length = path.stat().st_size // self.dtype.itemsize

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> Ids:
        start, stop, step = part.indices(self._length)
        assert step == 1, "only parts without gaps"
        self._file.seek(start * self.dtype.itemsize)
        content = self._file.read(max(stop - start, 0) * self.dtype.itemsize)
        return np.frombuffer(content, self.dtype).astype(np.int64)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the file for itself."""
        return TokenFile, (self.path, self.dtype.name)

    @cached_property
    def _file(self) -> FileIO:
        return self.path.open("rb", buffering=0)


def write_tokens(path: Path, pieces: Iterable[Ids], dtype: str) -> TokenFile:
    """Write a stream of token ids to a file; the ids must fit into ``dtype``."""
    with path.open("wb") as file:
        for ids in pieces:
            file.write(ids.astype(np.dtype(dtype).newbyteorder("<")).tobytes())
    return TokenFile(path, dtype)
