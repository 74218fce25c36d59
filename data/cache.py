"""A folder for what takes long to make from data, kept from one process to the next.

It is the folder named by the environment variable ``LSTM_CACHE``, or a folder of the user's cache. It can be deleted at any
time while nothing runs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import platformdirs
from filelock import FileLock

from doping.errors import DataError


def folder() -> Path:
    """The folder of the cache, made if it is not there. Raises ``OSError`` if it cannot be made."""
    named = os.environ.get("LSTM_CACHE")
    path = Path(named).expanduser() if named else platformdirs.user_cache_path("lstm-doping") / "data"
    path.mkdir(parents=True, exist_ok=True)
    return path


def kept(key: str, what: str, fill: Callable[[Path], None]) -> Path:
    """The folder in the cache that ``fill`` has filled under this key.

    It is filled once: of several processes that want it at the same time the others wait. It appears when it is complete;
    what a killed process leaves is cleared away by the next one.

    Args:
        key: what identifies the content.
        what: what it is, for messages.
        fill: fills an empty folder.

    Raises:
        DataError: the cache cannot be written.

    """
    try:
        entry = folder() / key
        if entry.is_dir():
            return entry
        with FileLock(f"{entry}.lock"):
            if not entry.is_dir():
                _fill(entry, fill)
    except OSError as error:
        raise cannot_write(what, error) from error
    return entry


def cannot_write(what: str, error: OSError) -> DataError:
    """What a user is told where the cache has no room, or may not be written."""
    return DataError(
        f"{what} cannot be kept in the cache: {error.filename or 'its folder'}: {error.strerror or error}; "
        "make room there, or name another folder in the environment variable LSTM_CACHE"
    )


def _fill(entry: Path, fill: Callable[[Path], None]) -> None:
    draft = entry.with_suffix(".part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        fill(draft)
        draft.rename(entry)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
