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


class LabelledText(Settings):
    """Short texts, each with a label, or several, to tell from it."""

    corpus: Literal["atis", "file", "hub"] = "atis"
    """``atis`` are requests to an airline, ``file`` is the user's own, ``hub`` any data set of the Hugging Face hub."""
    path: str | None = None
    """Folder of ATIS's files (else $LSTM_DATA/atis is read); for ``file`` a CSV or JSON lines file, or a folder of them."""
    text: str = "text"
    """Column of the text, for ``file`` and ``hub``."""
    label: str = "label"
    """Column of the label, for ``file`` and ``hub``."""
    dataset: str | None = None
    """Name of the data set on the hub, e.g. ``PolyAI/banking77``."""
    configuration: str | None = None
    """Which part of the data set, where the hub has several under one name."""
    revision: str | None = None
    """Commit, tag or branch of the data set; a commit never changes."""
    splits: tuple[str, str, str] = ("train", "validation", "test")
    """Splits of the data set to train, validate and test on; a part of one is written ``train[:90%]``."""
