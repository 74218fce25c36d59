"""What the training of a trial tells: its progress while it runs, and its outcome at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["finished", "diverged", "stopped"]


class Interrupted(Exception):  # noqa: N818 - not an error: a request from outside
    """Raised by a report: the trial is to end now. Training lets it through and keeps its last checkpoint."""


class Hopeless(Exception):  # noqa: N818 - not an error: a judgement
    """Raised by the report of a validation: the training is to end with the outcome ``stopped``."""


class TimeIsUp(Exception):  # noqa: N818 - the name says it
    """Raised by a report: the attempt has taken longer than it may."""


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
    validation: int | None = None
    """Number, from 1, of the validation that has just given ``metric``; None at other times."""
    notice: str = ""
    """Something that the user should know, once for all trials that say it."""


Report = Callable[[Progress], None]
"""Called by the training about twice a second, after every validation, and with the latest validation when it goes on from a
checkpoint; may raise ``Interrupted``, ``Hopeless`` or ``TimeIsUp``."""


@dataclass(frozen=True)
class Outcome:
    """Result of a training that came to its end. Sizes count the weight matrices of the LSTM only, without biases."""

    status: Status
    """``diverged``: the loss became infinite or not a number; ``stopped``: early, since it was ``Hopeless``."""
    metric: str
    """What validation and test measure, e.g. ``perplexity``; lower is better."""
    validation: float
    """Metric on the validation split at the end, of the model as it is deployed: rounded, if the method's values are."""
    test: float | None
    """Metric on the test split at the end; None if it was stopped early."""
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
    measures: dict[str, float | str] = field(default_factory=dict)
    """Other qualities on the test split, by their names, e.g. ``macro_f1``; a text says how one was measured."""
    deployed_bytes: int | None = None
    """Bytes of the LSTM's layers as deployed in the precision of the method: indices, scales and biases included."""
    model_bytes: int | None = None
    """Bytes of all weights of the model as deployed: embedding and softmax, too. A file also has a header, with its
    vocabulary."""
    validation_int8: float | None = None
    """Metric on the validation split after rounding to int8."""
    test_int8: float | None = None
    """The same on the test split."""
    bytes_int8: int | None = None
    """Bytes of the LSTM's layers in int8: indices, scales and biases included."""
    model_bytes_int8: int | None = None
    """Bytes of all weights of the model in int8."""
    validation_int4: float | None = None
    """Metric on the validation split after rounding to int4 (embedding, softmax and left Kronecker factors to int8)."""
    test_int4: float | None = None
    """The same on the test split."""
    bytes_int4: int | None = None
    """Bytes of the LSTM's layers in int4."""
    model_bytes_int4: int | None = None
    """Bytes of all weights of the model in int4."""
    device: str = "cpu"
    """``cpu``, or the name of the GPU."""
