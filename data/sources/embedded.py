"""English text that every Python carries: the help pages of its language reference, ``pydoc_data.topics``.

About a fifth of that text stands in several topics (``specialnames`` contains all of ``attribute-access``), so a split
of the topics as they are would let a model train on its test text. Therefore each paragraph is kept once, in the
longest topic that has it, and topics of which less than 200 characters remain are left out.

The split goes by whole topics, named below: about 20,000 characters each for validation and test, of the kinds that
the rest has too (statements, expressions, data model; prose, grammar and code), and about as hard to predict as the
average topic. Names of topics stay while their text grows with each version of Python, so sizes differ a little, and
numbers are comparable where the data hash is the same. Characters of train / validation / test with Python 3.11:
332,020 / 19,957 / 19,742.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping

from data.settings import Corpus
from data.sources.raw import RawCorpus, Text
from doping.errors import DataError

VALIDATION_TOPICS = ("booleans", "comparisons", "objects", "raise")
TEST_TOPICS = ("binary", "identifiers", "import", "subscriptions")

SHORTEST_TOPIC = 200
"""Characters; what remains of a topic below this is a heading and a sentence."""
SHORTEST_SPLIT = 10_000
"""Characters; shorter means that this Python's topics are not those that the split was made for."""


def read(corpus: Corpus) -> RawCorpus:
    """Read the embedded text.

    Raises:
        DataError: a path was given, or this Python has no such text or quite another one.

    """
    if corpus.path is not None:
        raise DataError(f"path is {corpus.path!r}, but the embedded corpus has no file; leave path out or use text")
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError(
            "the embedded corpus is Python's own pydoc_data.topics, which this Python lacks; "
            "install the full standard library (on some systems a package of its own), or use the corpus text"
        ) from None
    unique = deduplicate(topics)
    held_out = {*VALIDATION_TOPICS, *TEST_TOPICS}
    train = _join(unique, [name for name in sorted(unique) if name not in held_out])
    validation, test = _join(unique, VALIDATION_TOPICS), _join(unique, TEST_TOPICS)
    version = platform.python_version()
    if min(len(train), len(validation), len(test)) < SHORTEST_SPLIT:
        raise DataError(
            f"pydoc_data.topics of Python {version} splits into {len(train)} / {len(validation)} / {len(test)} "
            f"characters, expected {SHORTEST_SPLIT} or more each; use another Python, or the corpus text"
        )
    return RawCorpus(Text.of(train), Text.of(validation), Text.of(test), source=f"pydoc_data.topics of Python {version}")


def deduplicate(topics: Mapping[str, str]) -> dict[str, str]:
    """Keep each paragraph once, in the longest topic that has it; drop topics of which hardly anything remains."""
    seen = set()
    unique = {}
    for name in sorted(topics, key=lambda name: (-len(topics[name]), name)):
        kept = []
        for paragraph in topics[name].split("\n\n"):
            content = paragraph.strip()
            if content and content not in seen:
                seen.add(content)
                kept.append(paragraph.strip("\n"))
        text = "\n\n".join(kept)
        if len(text) >= SHORTEST_TOPIC:
            unique[name] = text
    return unique


def _join(topics: Mapping[str, str], names: list[str] | tuple[str, ...]) -> str:
    return "".join(f"{topics[name]}\n\n" for name in names if name in topics)
