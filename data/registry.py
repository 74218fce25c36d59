"""The corpora by name. A new one is a module with a ``read``, a line here, and its name in the settings."""

from __future__ import annotations

from collections.abc import Callable

from data import embedded, ptb, text
from data.raw import RawCorpus
from data.settings import Corpus

READERS: dict[str, Callable[[Corpus], RawCorpus]] = {
    "embedded": embedded.read,
    "ptb": ptb.read,
    "text": text.read,
}
"""What reads each value of ``Corpus.corpus``."""
