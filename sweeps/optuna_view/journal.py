"""Optuna's journal: its storage in a single file, for the processes of one host."""

from __future__ import annotations

import json
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
        _cut_torn_end(path)
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_SystemLock(lock)))
    except Exception as error:  # whatever Optuna makes of garbage
        if isinstance(error, OSError) and not path.is_dir():
            raise
        aside = path.with_name(f"{JOURNAL}.unreadable-{time.time_ns()}")
        path.rename(aside)
        notice(f"{path} is unreadable ({type(error).__name__}): put aside as {aside.name}, made anew from the results")
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_SystemLock(lock)))


def _cut_torn_end(path: Path) -> None:
    """Cut last lines that are not whole, left by a killed writer or a fault.

    Optuna forgives such a line while nothing follows it; what is appended to it would spoil the journal.
    """
    if not path.is_file():
        return
    data = path.read_bytes()
    end = len(data)
    while end and not _is_entry(data[(start := data.rfind(b"\n", 0, end - 1) + 1) : end]):
        end = start
    if end < len(data):
        os.truncate(path, end)


def _is_entry(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False
