"""Optuna's journal: its storage in a single file, for the processes of one host."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock

JOURNAL = "optuna.journal"


class _SystemLock(BaseJournalFileLock):
    """Lock of the operating system, freed when its holder is killed; Optuna's own then stalls everyone for 30 s."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def open_journal(folder: Path, notice: Callable[[str], None]) -> BaseStorage:
    """Open the journal in a folder of results; a torn end is cut off, an unreadable one is put aside.

    Raises ``OSError`` if the folder cannot be written to.
    """
    path, lock = folder / JOURNAL, folder / "optuna.lock"
    with FileLock(lock):
        _cut_torn_line(path)
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_SystemLock(lock)))
    except OSError:
        raise
    except Exception as error:  # whatever Optuna makes of garbage
        aside = path.with_name(f"{JOURNAL}.unreadable-{time.time_ns()}")
        path.rename(aside)
        notice(f"{path} is unreadable ({type(error).__name__}): put aside as {aside.name}, made anew from the results")
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_SystemLock(lock)))


def _cut_torn_line(path: Path) -> None:
    """Cut a last line without its end, left by a killed writer: what is appended to it would spoil the journal."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        position = end
        while position > 0:
            start = max(0, position - 4096)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                position = start + newline + 1
                break
            position = start
        if position < end:
            file.truncate(position)
