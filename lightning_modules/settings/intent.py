"""Shape of an intent classifier."""

from __future__ import annotations

from pydantic import Field

from doping.settings import Settings, added_later
from lightning_modules.settings.limits import Depth, Width


class IntentModel(Settings):
    """Shape of an intent classifier: embedding, bidirectional LSTM layers, attention, softmax."""

    layers: Depth = 1
    """Number of LSTM layers."""
    hidden: Width = 99
    """Width of every LSTM layer in each direction, and of the embedding if that has none of its own."""
    embedding: Width | None = added_later(None)
    """Width of the embedding; by default that of a layer in one direction."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Dropout on the embeddings, between layers, and before the softmax."""
    word_dropout: float = Field(default=0.05, ge=0, lt=1)
    """Probability that a word is replaced by ``<unk>`` while training, so that the model learns to read unknown words."""
