"""Writing files so that they are either whole or not there."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, durable: bool = False, alone: bool = False) -> Iterator[Path]:
    """Write a file under the name that this gives, which is then renamed, so that nobody ever sees half of it.

    ``durable``: the old or the new file is whole even after a power cut. ``alone``: nobody else writes this file meanwhile,
    so a large draft that a killed process left is written over. Raises ``OSError``; the old file then stands.
    """
    # The process and the time make the name unique among processes and their threads.
    draft = path.with_name(f".{path.name}.{'unfinished' if alone else f'{os.getpid()}-{time.monotonic_ns()}'}")
    try:
        yield draft
        if durable:
            with draft.open("rb") as file:
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power cut, where its file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems sync files only.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
