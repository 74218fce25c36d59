"""Where data comes from."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from lightning_modules.settings import Settings


class Corpus(Settings):
    """Text to model."""

    corpus: Literal["embedded", "ptb", "text"] = "embedded"
    """``embedded`` comes with Python, ``ptb`` is the Penn Treebank, ``text`` is the user's own."""
    level: Literal["character", "word"] = "character"
    """What a token is."""
    path: str | None = None
    """Folder of ``ptb.{train,valid,test}.txt`` for ``ptb`` (else the hub is asked), file or folder for ``text``."""
    limit: PositiveInt | None = None
    """Use only the first so many tokens of the training split."""
