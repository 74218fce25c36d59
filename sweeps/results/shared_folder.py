"""Whether another process, maybe on another host, sees a folder of results as this one does: its files and its locks."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

from sweeps.results.files import try_lock, write_whole

_PATTERN = ".shared-*.lock"
_STALE_SECONDS = 60.0


class Token:
    """A file in the folder, new and locked for as long as this process wants others to look at it."""

    def __init__(self, folder: Path) -> None:
        """Raises ``OSError`` if the folder cannot be written to."""
        _sweep(folder)
        self._path = folder / _PATTERN.replace("*", uuid4().hex)
        self._lock = FileLock(self._path)
        self._lock.acquire()

    @property
    def path(self) -> str:
        """What ``trouble_with`` wants to know."""
        return str(self._path)

    def remove(self) -> None:
        """Delete the file."""
        self._path.unlink(missing_ok=True)
        self._lock.release()


def trouble_with(token: str) -> str:
    """What keeps this process from sharing the folder with the holder of a token, in a few words; empty if nothing does."""
    path = Path(token)
    folder = path.parent
    try:
        if not path.exists():
            seen = "another folder there" if folder.is_dir() else "no such folder"
            return f"it does not share {folder} with this machine ({seen}): both must see it under this path"
        lock = try_lock(path)
        if lock is not None:
            lock.release()
            return f"it does not see this machine's file locks in {folder}: mount it with locks that all hosts share"
        probe = folder / f".probe-{uuid4().hex}"
        write_whole(probe, "")
        probe.unlink()
    except NotImplementedError:
        return f"the file system of {folder} has no file locks there: mount it with them (flock)"
    except OSError as error:
        return f"it cannot write in {folder}: {error.strerror}"
    return ""


def _sweep(folder: Path) -> None:
    """Delete what killed holders left behind."""
    for path in folder.glob(_PATTERN):
        try:
            lock = try_lock(path) if time.time() - path.stat().st_mtime > _STALE_SECONDS else None
        except FileNotFoundError:
            continue  # its holder was faster
        if lock is not None:
            path.unlink(missing_ok=True)
            lock.release()
