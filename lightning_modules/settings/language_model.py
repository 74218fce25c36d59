"""Shape and training of a language model."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from doping.settings import Settings
from lightning_modules.settings.limits import Count, Depth, Width
from lightning_modules.settings.training import Training


class Model(Settings):
    """Shape of a language model: embedding, LSTM layers, softmax; all of the same width."""

    layers: Depth = 1
    """Number of LSTM layers."""
    hidden: Width = 125
    """Width of the embedding and of every LSTM layer."""
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
