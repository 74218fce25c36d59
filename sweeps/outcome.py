"""What the training of a trial tells: its progress while it runs, and its outcome at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


class Stopped(Exception):  # noqa: N818 - not an error: a request from outside
    """Raised by a report: the trial is to end now. Training lets it through and keeps its last checkpoint."""


@dataclass(frozen=True)
class Progress:
    """Where a training is."""

    share: float
    """Share of the training that is done, 0 to 1."""
    step: int
    """Optimizer steps done."""
    metric: float | None = None
    """Latest validation, in the trial's metric; None before the first one."""
    message: str = ""
    """What happens now, in a word or two, e.g. ``pruning`` or ``test``."""


Report = Callable[[Progress], None]
"""Called by the training about twice a second; may raise ``Stopped``."""


@dataclass(frozen=True)
class Outcome:
    """Result of a training that came to its end. Sizes count the weight matrices of the LSTM only, without biases."""

    status: Literal["finished", "diverged"]
    """``diverged``: the loss became infinite or not a number."""
    metric: str
    """What validation and test measure, e.g. ``perplexity``; lower is better."""
    validation: float
    """Metric on the validation split at the end."""
    test: float
    """Metric on the test split at the end."""
    best_validation: float | None
    """Lowest validation on the way."""
    steps: int
    """Optimizer steps done."""
    values: int
    """Values that remain."""
    bytes: int
    """Their bytes in the deployed format, indices included."""
    multiply_adds: int
    """Multiply–adds of one time step."""
    dense_values: int
    """Values of the uncompressed model."""
    dense_bytes: int
    """Bytes of the uncompressed model."""
    dense_multiply_adds: int
    """Multiply–adds of the uncompressed model."""
    device: str = "cpu"
    """``cpu``, or the name of the GPU."""
