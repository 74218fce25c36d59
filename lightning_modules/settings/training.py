"""How a model is trained, whatever its task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat

from doping.settings import Settings, added_later
from lightning_modules.settings.limits import Count

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


class StartFrom(Settings):
    """A trained dense model of the same task: where the training of a compressed one starts, and what it learns from."""

    path: str
    """Folder of its trial; or a folder of results, whose dense model with the best validation is meant."""
    distillation: float = Field(default=0.5, ge=0, le=1)
    """Share of the loss that is the divergence from its predictions, at temperature 1 (Hinton, Vinyals & Dean 2015, arXiv
    1503.02531); the rest is that of the data. 0 only starts from its weights."""
    trial: str | None = None
    """Id of its trial; filled in when a study is planned."""


class Training(Settings):
    """How a model is trained."""

    epochs: Count = 10
    """Passes over the training split."""
    batch_size: Count = 20
    """Examples a step."""
    optimizer: Literal["sgd", "scaled_sgd", "adamw"] = "adamw"
    """Plain SGD as in Zaremba et al.; SGD whose steps do not depend on the scale of the factors of a structured matrix, so
    that one learning rate suits all weights (scaled gradient descent, Tong, Ma & Chi 2021); or AdamW."""
    learning_rate: PositiveFloat = 2e-3
    """Learning rate at the start."""
    decay: float = Field(default=1.0, ge=1)
    """Divide the learning rate by this after each epoch ..."""
    decay_after: int = Field(default=0, ge=0)
    """... once so many epochs have passed."""
    cooldown: float = Field(default=0.0, ge=0, le=1)
    """Let the learning rate fall linearly to zero over this last share of the training."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay of AdamW."""
    clip: PositiveFloat = 5.0
    """Largest norm of the whole gradient."""
    validations: Count = 10
    """How often the validation loss is measured in the course of the training, evenly spaced."""
    precision: Precision = added_later("32-true")
    """Lightning's name of the number format; mixed ones keep the weights in float32."""
    start_from: StartFrom | None = added_later(None)
    """A trained dense model to start from and to distil; by default weights are drawn at random."""
