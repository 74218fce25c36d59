"""Measurements while other trials train: those on the same machine stand still meanwhile.

A trial holds a lock together with the others, and lets go of it for a moment whenever it reports; who measures takes the
lock alone. That is a matter between the processes of one user on one machine, whatever their folders of results.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self


class Pauses:
    """A context in which a process trains: others may measure while it pauses."""

    def __enter__(self) -> Self:
        self._turn, self._work = (_opened(name) for name in ("turn", "work"))
        self._begin()
        return self

    def pause(self) -> None:
        """Stand still while another process waits to measure, or measures."""
        fcntl.flock(self._work, fcntl.LOCK_UN)
        self._begin()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A context in which all others stand still; it begins when the last of them has paused."""
        fcntl.flock(self._work, fcntl.LOCK_UN)
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        fcntl.flock(self._work, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._work, fcntl.LOCK_UN)
            fcntl.flock(self._turn, fcntl.LOCK_UN)
            self._begin()

    def _begin(self) -> None:
        # Who wants to measure holds the turn while it waits for the work to stop: nobody begins before it has measured.
        fcntl.flock(self._turn, fcntl.LOCK_SH)
        fcntl.flock(self._work, fcntl.LOCK_SH)
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def __exit__(self, *error: object) -> None:
        os.close(self._turn)
        os.close(self._work)


def _opened(name: str) -> int:
    path = Path(tempfile.gettempdir()) / f"lstm-doping-{os.getuid()}.{name}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
