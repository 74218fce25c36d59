"""Texts with labels, before words become numbers."""

from __future__ import annotations

from typing import NamedTuple


class Labelled(NamedTuple):
    """A text, cut into words, and what it is labelled with: the first label is the one that a model learns."""

    words: tuple[str, ...]
    labels: tuple[str, ...]


class LabelledSplits(NamedTuple):
    """The three splits."""

    train: list[Labelled]
    validation: list[Labelled]
    test: list[Labelled]
    source: str
    """One line that says where they came from."""
