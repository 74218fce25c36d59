"""Shape and training of a language model."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from doping.settings import Settings, added_later
from lightning_modules.settings.limits import Count, Depth, Width
from lightning_modules.settings.training import Training


class Model(Settings):
    """Shape of a language model: embedding, LSTM layers, softmax."""

    layers: Depth = 1
    """Number of LSTM layers."""
    hidden: Width = 125
    """Width of every LSTM layer, and of the embedding if that has none of its own."""
    embedding: Width | None = added_later(None)
    """Width of the embedding; by default that of the layers."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the non-recurrent connections (Zaremba et al. 2014, section 3.1)."""
    uniform_init: PositiveFloat | None = None
    """Start all weights uniformly in ± this (0.05 for Zaremba's medium); by default PyTorch's own ranges."""


class StreamTraining(Training):
    """Training on a stream of text, by truncated back-propagation through time; ``batch_size`` is its parallel streams.

    The loss is summed over the steps of a sequence and averaged over the batch; learning rate and clipping refer to that.
    """

    sequence_length: Count = 35
    """Tokens of a stream a step; the state is carried on, its gradient is cut."""
