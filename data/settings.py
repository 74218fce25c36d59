"""Where data comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from data.sources.registry import known
from doping.settings import Settings, added_later


class HubText(Settings):
    """A text data set of the Hugging Face hub, and where its text stands in it."""

    name: str
    """Its name on the hub, ``owner/name``."""
    config: str | None = None
    """Which of its configurations, where it has several."""
    column: str = "text"
    """The column with the text; a row is a line, or several."""
    train: str = "train"
    """Split to train on; parts of splits are written as ``datasets`` has them, e.g. ``train[:90%]``."""
    validation: str = "validation"
    """Split to validate on."""
    test: str = "test"
    """Split to test on."""
    revision: str = "main"
    """Branch, or better a commit: then it can never be another text."""


class Corpus(Settings):
    """Text to model."""

    corpus: Annotated[str, AfterValidator(known)] = "embedded"
    """Its name in ``data.sources.registry``: ``embedded`` comes with Python, ``ptb`` is the Penn Treebank, ``wikitext2``
    WikiText-2, ``hub`` any text data set of the Hugging Face hub, ``text`` the user's own."""
    level: Literal["character", "word"] = "character"
    """What a token is."""
    path: str | None = None
    """Folder of ``ptb.{train,valid,test}.txt`` for ``ptb``, of ``{train,valid,test}.txt`` for ``wikitext2``, of the files of
    the data set for ``hub`` (else the hub is asked); file or folder for ``text``."""
    limit: PositiveInt | None = None
    """Use only the first so many tokens of the training split."""
    hub: HubText | None = added_later(None)
    """The data set of ``hub``."""
    max_vocabulary: Annotated[int, Field(ge=2)] | None = added_later(None)
    """Keep only the most frequent so many tokens of the training split, ``<unk>`` included; by default all."""


class HubSplits(Settings):
    """A data set of the Hugging Face hub whose columns other settings name."""

    name: str
    """Its name on the hub, ``owner/name``."""
    config: str | None = None
    """Which of its configurations, where it has several."""
    train: str = "train"
    """Split to train on; a part of one is written ``train[:90%]``."""
    validation: str = "validation"
    """Split to validate on."""
    test: str = "test"
    """Split to test on."""
    revision: str | None = None
    """Branch, or better a commit: then it can never be another text."""


class FromHub(Settings):
    """Data that may come from the hub: ``hub: {name, config, train, validation, test, revision}``, as for texts to model.

    Trials keep it under the names that it had first, so that their ids stay; studies may still be written so.
    """

    dataset: str | None = None
    """``hub.name``: the data set on the hub, ``owner/name``."""
    configuration: str | None = None
    """``hub.config``: which of its configurations, where it has several."""
    revision: str | None = None
    """``hub.revision``: its branch, or better a commit: then it can never be another text."""
    splits: tuple[str, str, str] = ("train", "validation", "test")
    """``hub.train``, ``hub.validation``, ``hub.test``: its splits; a part of one is written ``train[:90%]``."""

    @model_validator(mode="before")
    @classmethod
    def _as_it_is_kept(cls, content: Any) -> Any:
        if not isinstance(content, Mapping):
            return content
        if isinstance(content.get("splits"), list):  # as JSON has them
            content = {**content, "splits": tuple(content["splits"])}
        if "hub" not in content:
            return content
        if twice := {"dataset", "configuration", "revision", "splits"} & content.keys():
            raise ValueError(f"both hub and {', '.join(sorted(twice))} were given: hub is enough")
        hub = HubSplits.model_validate(content["hub"])
        kept = {"dataset": hub.name, "configuration": hub.config, "revision": hub.revision}
        splits = (hub.train, hub.validation, hub.test)
        return {name: value for name, value in content.items() if name != "hub"} | kept | {"splits": splits}


class LabelledText(FromHub):
    """Short texts, each with a label, or several, to tell from it."""

    corpus: Literal["atis", "file", "hub"] = "atis"
    """``atis`` are requests to an airline, ``file`` is the user's own, ``hub`` any data set of the Hugging Face hub."""
    path: str | None = None
    """Folder of ATIS's files (else $LSTM_DATA/atis is read); for ``file`` a CSV or JSON lines file, or a folder of them."""
    text: str = "text"
    """Column of the text, for ``file`` and ``hub``."""
    label: str = "label"
    """Column of the label, for ``file`` and ``hub``."""


class ParallelText(FromHub):
    """Sentences and their translations."""

    corpus: Literal["multi30k", "iwslt15", "folder", "hub"] = "multi30k"
    """``multi30k`` describes pictures (English, German), ``iwslt15`` is talks (English, Vietnamese); ``folder`` and
    ``hub`` are the user's own."""
    source: str = Field(default="en", pattern=r"^[\w-]+$")
    """Language that is translated from: the ending of its files, or its column on the hub."""
    target: str = Field(default="de", pattern=r"^[\w-]+$")
    """Language that is translated into."""
    path: str | None = None
    """Folder of files such as ``train.en`` and ``train.de``; ``multi30k`` and ``iwslt15`` can also come from the hub."""
    vocabulary_size: int = Field(default=8000, ge=300)
    """Subwords of each language; 256 of them are the bytes, so that nothing is unknown."""
    max_length: PositiveInt = 100
    """Pairs with a longer sentence, counted in subwords, are left out of the training split."""
    limit: PositiveInt | None = None
    """Use only the first so many pairs of the training split."""

    @model_validator(mode="after")
    def _makes_sense(self) -> ParallelText:
        if self.source == self.target:
            raise ValueError(f"source and target are both {self.source!r}: give two languages")
        return self
