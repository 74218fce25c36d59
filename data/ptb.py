"""The Penn Treebank as Mikolov prepared it: 929,589 training words with line ends, 10,000 types.

It is looked for, in this order, in the folder of the setting ``path``, in ``ptb/`` of the folder named by the
environment variable ``LSTM_DATA``, and on the Hugging Face hub, whose copy stays in the cache of ``datasets``. White
space around a line is dropped, so that a folder and the hub give the same tokens.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

from data import hub
from data.errors import DataError
from data.folders import local_folder
from data.raw import RawCorpus, read_utf8
from data.settings import Corpus

FILES = ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")
TRAIN_MD5 = "f26c4b92c5fdc7b3f8c7cdcb991d8420"
"""Of the usual ``ptb.train.txt``, in which a line is `` word … word \\n``."""

HUB_ID = "ptb-text-only/ptb_text_only"
HUB_REVISION = "refs/convert/parquet"
"""The hub's own conversion: the main branch holds a script, which ``datasets`` no longer runs."""

_HOW_TO_GET = f"put {', '.join(FILES)} into a folder and name it as path (or put them into $LSTM_DATA/ptb), or go online"


def read(corpus: Corpus) -> RawCorpus:
    """Read the Penn Treebank; warns where the training text is not the usual one.

    Raises:
        DataError: it is found nowhere.

    """
    folder = _folder(corpus.path)
    if folder is None:
        lines = _from_hub()
        source = f"{HUB_ID} ({HUB_REVISION}) on the Hugging Face hub"
    else:
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise DataError(f"{folder}: has no {' and no '.join(missing)}; the Penn Treebank is {', '.join(FILES)}")
        lines = [read_utf8(folder / name).removesuffix("\n").split("\n") for name in FILES]
        source = str(folder)
    stripped = [[line.strip() for line in split] for split in lines]
    md5 = hashlib.md5("".join(f" {line} \n" for line in stripped[0]).encode(), usedforsecurity=False).hexdigest()
    if md5 != TRAIN_MD5:
        warnings.warn(
            f"{source}: the training text has md5 {md5}, the usual Penn Treebank {TRAIN_MD5}; "
            "results do not compare with published ones",
            stacklevel=2,
        )
    train, validation, test = ("".join(f"{line}\n" for line in split) for split in stripped)
    return RawCorpus(train, validation, test, source)


def _folder(path: str | None) -> Path | None:
    """The local folder to read, or None for the hub."""
    return local_folder(path, "ptb", ", ".join(FILES))


def _from_hub() -> list[list[str]]:
    """Lines of train, validation and test."""
    try:
        treebank = hub.load(HUB_ID, HUB_REVISION)
    except hub.HubError as error:
        root = os.environ.get("LSTM_DATA")
        local = f"{root} (LSTM_DATA) has no ptb/" if root else "neither path nor LSTM_DATA names a folder"
        raise DataError(f"no Penn Treebank: {local}, and the hub ({HUB_ID}): {error}; {_HOW_TO_GET}") from error
    return [list(treebank[split]["sentence"]) for split in ("train", "validation", "test")]
