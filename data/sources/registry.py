"""The corpora by name. A new one is a function that reads it, a line here, and its name in the settings."""

from __future__ import annotations

from collections.abc import Callable

from data.settings import Corpus
from data.sources import embedded, hub_text, published, text
from data.sources.raw import RawCorpus

READERS: dict[str, Callable[[Corpus], RawCorpus]] = {
    "embedded": embedded.read,
    "ptb": published.read_ptb,
    "wikitext2": published.read_wikitext2,
    "hub": hub_text.read_corpus,
    "text": text.read,
}
"""What reads each value of ``Corpus.corpus``."""
