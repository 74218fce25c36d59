"""Where a user's copy of a known corpus lies."""

from __future__ import annotations

import os
from pathlib import Path

from doping.errors import DataError


def where_looked(name: str) -> str:
    """In words, that ``local_folder`` has found no folder of this name."""
    root = os.environ.get("LSTM_DATA")
    return f"{root} (LSTM_DATA) has no {name}/" if root else "neither path nor LSTM_DATA names a folder"


def local_folder(path: str | None, name: str, files: str) -> Path | None:
    """The folder ``path``, or else the one called ``name`` in $LSTM_DATA; None if there is neither.

    Raises:
        DataError: ``path`` or LSTM_DATA names something that is no folder; ``files`` says what is to be in it.

    """
    if path is not None:
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; give one with {files} as path")
        return folder
    root = os.environ.get("LSTM_DATA")
    if not root:
        return None
    if not Path(root).is_dir():
        raise DataError(f"LSTM_DATA is {root}: no such folder; name one that has {name}/ in it, or unset LSTM_DATA")
    folder = Path(root) / name
    return folder if folder.is_dir() else None
