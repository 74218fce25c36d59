"""The corpora by name. A new one is one file with a function that reads it, and a line here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data.settings import Corpus
    from data.sources.raw import RawCorpus

READERS = {
    "embedded": "data.sources.embedded:read",
    "ptb": "data.sources.published:read_ptb",
    "wikitext2": "data.sources.published:read_wikitext2",
    "hub": "data.sources.hub_text:read_corpus",
    "text": "data.sources.text:read",
}
"""Place of the function that reads each value of ``Corpus.corpus``: from the settings to a text in three splits."""


def known(name: str) -> str:
    """The name of a corpus. Raises ``ValueError`` if there is none of this name."""
    if name not in READERS:
        raise ValueError(f"no corpus {name!r}; expected one of {', '.join(READERS)}")
    return name


def read(corpus: Corpus) -> RawCorpus:
    """The text of a corpus. Raises ``DataError`` if it cannot be had."""
    module, _, function = READERS[corpus.corpus].partition(":")
    reader: Callable[[Corpus], RawCorpus] = getattr(importlib.import_module(module), function)
    return reader(corpus)
