"""Shape and training of an intent classifier."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from doping.settings import Settings, added_later
from lightning_modules.settings.limits import Depth, Width
from lightning_modules.settings.training import Training


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


class IntentTraining(Training):
    """How an intent classifier is trained."""

    class_weights: Literal["none", "balanced"] = added_later("none")
    """Weight of a text in the loss. ``balanced``: n / (C·n_c) for n texts to train on, n_c of them of its label, and C
    labels, so that each label weighs the same however rare it is."""
    metric: Literal["error_rate", "macro_f1"] = added_later("error_rate")
    """What methods are compared and tuned by: the error rate, or 100 % minus the macro-averaged F1, where a rare label
    counts as much as a frequent one."""
