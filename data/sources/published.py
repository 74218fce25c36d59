"""Corpora that everybody compares on: the Penn Treebank and WikiText-2, both at word level as their authors prepared them.

They are looked for, in this order, in the folder of the setting ``path``, in ``ptb/`` or ``wikitext2/`` of the folder named
by the environment variable ``LSTM_DATA``, and on the Hugging Face hub, whose copy stays in the cache of ``datasets``. White
space around a line is dropped, so that a folder and the hub give the same tokens.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass

from data.settings import Corpus, HubText
from data.sources import hub_text
from data.sources.folders import local_folder, where_looked
from data.sources.hub import HubError
from data.sources.raw import RawCorpus, Text, read_utf8
from doping.errors import DataError


@dataclass(frozen=True)
class Published:
    """A corpus: where it is found, and how its training text is recognized."""

    name: str
    folder: str
    """Its folder in the one named by ``LSTM_DATA``."""
    files: tuple[str, str, str]
    """Training, validation and test text."""
    hub: HubText
    train_md5: str | None = None
    """Of its training text, where a line is ``" word … word \\n"``."""
    train_words: int | None = None
    """Words of its training text, a line end being one."""


PTB = Published(
    name="Penn Treebank",
    folder="ptb",
    files=("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),
    # The hub's own conversion, which has no commit to be pinned by: the main branch holds a script, which `datasets` does
    # not run. The md5 says whether it is still the same text.
    hub=HubText(name="ptb-text-only/ptb_text_only", revision="refs/convert/parquet", column="sentence"),
    train_md5="f26c4b92c5fdc7b3f8c7cdcb991d8420",
)
"""Mikolov's preparation: 929,589 training words with line ends, 10,000 types."""

WIKITEXT2 = Published(
    name="WikiText-2",
    folder="wikitext2",
    files=("train.txt", "valid.txt", "test.txt"),
    hub=HubText(
        name="Salesforce/wikitext",
        config="wikitext-2-v1",
        revision="b08601e04326c79dfdd32d625aee71d232d685c3",
        column="text",
    ),
    train_words=2_088_628,
)
"""Merity, Xiong, Bradbury & Socher 2016 (arXiv 1609.07843), table 1: 2,088,628 training words, 33,278 types."""


def read_ptb(corpus: Corpus) -> RawCorpus:
    """Read the Penn Treebank, see :func:`read`."""
    return read(PTB, corpus)


def read_wikitext2(corpus: Corpus) -> RawCorpus:
    """Read WikiText-2, see :func:`read`."""
    return read(WIKITEXT2, corpus)


def read(published: Published, corpus: Corpus) -> RawCorpus:
    """Read a corpus; warns where the training text is not the usual one.

    Raises:
        DataError: it is found nowhere.

    """
    files = ", ".join(published.files)
    folder = local_folder(corpus.path, published.folder, files)
    if folder is None:
        try:
            raw = hub_text.read(published.hub)
        except HubError as error:
            raise DataError(
                f"no {published.name}: {where_looked(published.folder)}, and the hub ({published.hub.name}): {error}; "
                f"put {files} into a folder and name it as path (or put them into $LSTM_DATA/{published.folder}), "
                "or go online"
            ) from error
        lines, source = [str(text).removesuffix("\n").split("\n") for text in raw[:3]], raw.source
    else:
        missing = [name for name in published.files if not (folder / name).is_file()]
        if missing:
            raise DataError(f"{folder}: has no {' and no '.join(missing)}; the {published.name} is {files}")
        lines = [read_utf8(folder / name).removesuffix("\n").split("\n") for name in published.files]
        source = str(folder)
    stripped = [[line.strip() for line in split] for split in lines]
    if doubt := _doubt(published, stripped[0]):
        warnings.warn(f"{source}: {doubt}; results do not compare with published ones", stacklevel=2)
    train, validation, test = (Text.of_lines(split) for split in stripped)
    return RawCorpus(train, validation, test, source)


def _doubt(published: Published, train: list[str]) -> str | None:
    """What is unusual about a training text."""
    md5 = hashlib.md5("".join(f" {line} \n" for line in train).encode(), usedforsecurity=False).hexdigest()
    if published.train_md5 not in (None, md5):
        return f"the training text has md5 {md5}, the usual {published.name} {published.train_md5}"
    words = sum(len(line.split()) + 1 for line in train)
    if published.train_words not in (None, words):
        return f"the training text has {words} words, the usual {published.name} {published.train_words}"
    return None
