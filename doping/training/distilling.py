"""Learning from the outputs of another model, such as the dense one that a compressed one comes from."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Literal

from torch import Tensor
from torch.nn import functional as F

from doping.errors import CompressionError


def distillation(
    outputs: Tensor, expected: Tensor, of: Literal["classes", "values"] = "classes", temperature: float = 1.0
) -> Tensor:
    """How far the outputs of a model are from those of its teacher, a scalar to add to the loss.

    No gradient flows to the teacher; compute its outputs in evaluation mode, under ``torch.no_grad()``.

    Args:
        outputs: logits (..., classes), or any tensor of values: a regression, hidden states, embeddings.
        expected: the same of the teacher, of the same shape.
        of: ``classes``: the divergence KL(teacher ‖ model) of the classes' probabilities at the temperature T, times T², as
            Hinton, Vinyals & Dean 2015 have it (arXiv 1503.02531), a mean over all places; ``values``: the mean squared
            difference.
        temperature: T, for classes; larger lets small probabilities count more.

    Raises:
        CompressionError: one of them is no tensor of floating-point numbers; their shapes or devices differ; the
            temperature is not positive; ``of`` is unknown.

    """
    for whose, given in (("the model", outputs), ("the teacher", expected)):
        if not isinstance(given, Tensor) or not given.is_floating_point():
            kind = f"numbers of type {given.dtype}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
            raise CompressionError(f"the outputs of {whose} are {kind}; expected a tensor of floating-point numbers")
    number: Any = temperature
    if not isinstance(number, Real):
        raise CompressionError(f"temperature is {temperature!r}; expected a positive number")
    if outputs.device != expected.device:
        raise CompressionError(
            f"the outputs are on {outputs.device}, those of the teacher on {expected.device}; bring them to one device"
        )
    if outputs.shape != expected.shape:
        raise CompressionError(
            f"the outputs have shape {tuple(outputs.shape)}, those of the teacher {tuple(expected.shape)}; expected the same"
        )
    if of == "values":
        if temperature != 1:
            raise CompressionError(f"temperature is {temperature:g}, but values have none; leave it out")
        return F.mse_loss(outputs, expected.detach())
    if of != "classes":
        raise CompressionError(f"of is {of!r}; expected 'classes' or 'values'")
    if not 0 < temperature < math.inf:
        raise CompressionError(f"temperature is {temperature:g}; expected a positive number")
    if outputs.dim() < 2:
        raise CompressionError(f"the outputs have shape {tuple(outputs.shape)}; expected logits of shape (..., classes)")
    found = (outputs.flatten(0, -2) / temperature).log_softmax(-1)
    wanted = (expected.detach().flatten(0, -2) / temperature).log_softmax(-1)
    return F.kl_div(found, wanted, log_target=True, reduction="batchmean") * temperature**2
