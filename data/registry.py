"""The corpora by name. A new one is a function that reads it, a line here, and its name in the settings."""

from __future__ import annotations

from collections.abc import Callable

from data import embedded, hub_text, published, text
from data.raw import RawCorpus
from data.settings import Corpus

READERS: dict[str, Callable[[Corpus], RawCorpus]] = {
    "embedded": embedded.read,
    "ptb": published.read_ptb,
    "wikitext2": published.read_wikitext2,
    "hub": hub_text.read_corpus,
    "text": text.read,
}
"""What reads each value of ``Corpus.corpus``."""
