"""Writing in a folder of results, and telling a full disk from other troubles."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

from filelock import FileLock, Timeout

from doping.errors import UserError, one_line
from doping.files import replacing, sync_folder

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
_FAILING = (errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENOTCONN, errno.EREMOTEIO, errno.ETIMEDOUT)
_NEARLY_FULL = 64 << 20


class FolderError(UserError, OSError):
    """The folder of results cannot be written to; the message is one line. Nothing that stood in it is lost."""


def write_whole(path: Path, text: str, durable: bool = False) -> None:
    """Write a text as ``replacing`` does."""
    with replacing(path, durable) as draft:
        draft.write_text(text, encoding="utf-8", newline="")


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, so that their names outlast a power cut. Raises ``OSError``.

    A file that is synced does not outlast one if the name of its folder does not. The name of ``path`` is synced also where
    it is there: whoever made it may have been killed before it could sync.
    """
    missing = [parent for parent in path.parents if not parent.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in (path, *missing):
        sync_folder(made.parent)


def set_aside(path: Path) -> Path:
    """Rename what cannot be read, so that it is in nobody's way and not lost; returns where it is now."""
    aside = path.with_name(f"{path.name}.unreadable-{time.time_ns()}")
    path.rename(aside)
    return aside


def try_lock(path: Path) -> FileLock | None:
    """Lock a file for this process, or None where another process has it.

    The operating system frees the lock when its holder ends, however it ends.
    """
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def trouble(error: BaseException, folder: Path, hidden: bool = False) -> FolderError | None:
    """What is wrong with the disk, if that is what made ``error``; None for any other error.

    ``hidden``: libraries hide a full disk behind errors of their own (``torch.save`` raises ``RuntimeError``), so on a
    disk that is nearly full take any error for its fault.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, FolderError):
            return cause
        if isinstance(cause, OSError) and (
            cause.errno in _NO_ROOM or (cause.errno in _FORBIDDEN and _inside(cause, folder))
        ):
            full = cause.errno in _NO_ROOM
            advice = "make room, then the same command goes on" if full else "give another folder with --out"
            room = _free(folder) if full else ""
            return FolderError(f"cannot write in {shown(folder)}: {os.strerror(cause.errno or 0)}{room}; {advice}")
        if isinstance(cause, OSError) and cause.errno in _FAILING and _inside(cause, folder):
            where = shown(Path(os.fsdecode(cause.filename)))
            return FolderError(f"{where}: {cause.strerror}: the disk or the network fails; later the same command goes on")
        if isinstance(cause, FileNotFoundError) and not folder.is_dir() and _inside(cause, folder):
            return FolderError(f"{shown(folder)} was removed while it was in use; the same command begins anew there")
        cause = cause.__cause__ or cause.__context__
    if hidden and isinstance(error, Exception) and _free_bytes(folder) < _NEARLY_FULL:
        return FolderError(f"the disk of {shown(folder)} seems to be full{_free(folder)}: {one_line(error)}")
    return None


def shown(path: Path) -> str:
    """A path as messages show it: relative where it lies below the current folder."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)


def _inside(error: OSError, folder: Path) -> bool:
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str | os.PathLike)]
    return any(Path(name).absolute().is_relative_to(folder.absolute()) for name in names)


def _free_bytes(folder: Path) -> int:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def _free(folder: Path) -> str:
    free = _free_bytes(folder)
    return f" ({free / (1 << 20):.1f} MiB free)" if free < _NEARLY_FULL else ""
