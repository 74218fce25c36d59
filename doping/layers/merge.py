"""Plain dense weights again."""

from __future__ import annotations

import warnings
from typing import TypeVar

import torch
from torch import nn

from doping.layers.compressed import compressed_layers
from doping.layers.report import report

Model = TypeVar("Model", bound=nn.Module)


@torch.no_grad()
def merge_(model: Model) -> Model:
    """Make every compressed layer of a model what it was, with the composed weights as parameters, in place.

    The outputs stay the same; the names in ``state_dict()`` are those of the original model again. Warns if the pruning is
    not over.

    Returns:
        The model.

    Raises:
        CompressionError: no layer of the model is compressed.

    """
    if unfinished := report(model).unfinished():
        warnings.warn(f"merged before the pruning is over: {unfinished}", stacklevel=2)
    for _, layer in list(compressed_layers(model)):
        layer.become_plain_()
    return model
