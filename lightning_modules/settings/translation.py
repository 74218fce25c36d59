"""Shape, decoding and training of a translator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from doping.settings import Settings
from lightning_modules.settings.limits import Depth, Width
from lightning_modules.settings.training import Training


class BeamSearch(Settings):
    """How a translation is searched for."""

    width: PositiveInt = 5
    """Hypotheses that are followed at once; 1 takes the most likely subword at every step."""
    length_penalty: float = Field(default=1.0, ge=0)
    """Exponent α of the length by which a log-probability is divided (Wu et al. 2016, arXiv 1609.08144, equation 14)."""


class TranslationModel(Settings):
    """Shape of a translator: a bidirectional encoder, a decoder, and attention between them."""

    embedding: Width = 256
    """Width of the embeddings of both languages, and of what the softmax reads."""
    hidden: Width = Field(default=256, multiple_of=2)
    """Units of each layer of the decoder; each direction of the encoder has half of them."""
    layers: Depth = 1
    """LSTM layers of the encoder, and of the decoder."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on embeddings, between layers, and before the softmax."""
    attention: Literal["general", "dot"] = "general"
    """Score of a decoder state hₜ and an encoder state h̄ₛ: hₜᵀ W h̄ₛ or hₜᵀ h̄ₛ (Luong et al. 2015, equation 8)."""
    compressed: Literal["encoder", "decoder", "both"] = "both"
    """Whose LSTM the method compresses; the other one stays dense, and its size counts in the size of the model."""
    search: BeamSearch = BeamSearch()
    """How the test split is translated."""


class TranslationTraining(Training):
    """Training on pairs of sentences; ``batch_size`` counts pairs, the loss is the mean over the target's subwords."""

    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Share of the target's probability that is spread evenly over all subwords (Szegedy et al. 2016, section 7)."""
