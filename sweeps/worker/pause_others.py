"""Measurements while other trials train: those on the same machine stand still meanwhile.

A trial holds a lock together with the others, and lets go of it for a moment whenever it reports; who measures takes the
lock alone. That is a matter between the processes of one user on one machine, whatever their folders of results. One that
is stopped (Ctrl-Z) stands still already: nobody waits for what it holds.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
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
        _take(self._turn, fcntl.LOCK_EX)
        _take(self._work, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._work, fcntl.LOCK_UN)
            fcntl.flock(self._turn, fcntl.LOCK_UN)
            self._begin()

    def _begin(self) -> None:
        # Who wants to measure holds the turn while it waits for the work to stop: nobody begins before it has measured.
        _take(self._turn, fcntl.LOCK_SH)
        _take(self._work, fcntl.LOCK_SH)
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def __exit__(self, *error: object) -> None:
        os.close(self._turn)
        os.close(self._work)


def _opened(name: str) -> int:
    path = Path(tempfile.gettempdir()) / f"lstm-doping-{os.getuid()}.{name}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(file: int, kind: int) -> None:
    """Wait for a lock until it is free, or all that hold it are stopped: then it is as good as taken."""
    while True:
        try:
            return fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if _are_stopped(_holders(file)):
                return None
        time.sleep(0.02)


def _holders(file: int) -> list[int]:
    """The other processes that hold a lock on the file, where the kernel tells (Linux); else none."""
    try:
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return []
    inode = str(os.fstat(file).st_ino)
    # 1: FLOCK  ADVISORY  READ 8368 fe:00:2146354 0 EOF; of those that wait, the second word is an arrow.
    found = {int(words[4]) for words in lines if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode}
    return sorted(found - {os.getpid()})


def _are_stopped(processes: list[int]) -> bool:
    """Whether there are such processes and all of them are stopped by a signal."""
    try:
        states = [Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] for process in processes]
    except OSError:
        return False
    return bool(states) and {*states} <= {"T", "t"}
