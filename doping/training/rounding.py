"""Weights rounded to int8 or int4, as they are deployed.

A row of values w is stored as whole numbers and one scale s: w ≈ s·q with |q| ≤ 127 or 7. With 8 bits the row's largest
magnitude becomes 127; with 4 bits s is the one of least squared error among some that clip the largest values. Scales are
bfloat16, rounded up, so that nothing is clipped by their rounding. Terms of a sum of Kronecker products share their scales.

Legend: M rows, N columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

import torch
from torch import Tensor, nn

from doping.matrices import Matrix
from doping.matrices.budget import SCALE_BYTES, VALUE_BITS, VALUE_BYTES
from doping.method import Values

LARGEST = {8: 127, 4: 7}
"""Largest whole number, by bits; symmetric, so that no value needs a zero point."""
CLIPPED = torch.linspace(0.5, 1, 21).tolist()
"""Shares of a row's largest magnitude that become the largest number of 4 bits, of which the best is taken."""


@torch.no_grad()
def row_scales(weight: Tensor, bits: int) -> Tensor:
    """The scale of each row, (rows, 1), of a weight (rows, columns) or (terms, rows, columns); 1 for a row of zeros."""
    by_row_MN = weight.movedim(-2, 0).flatten(1)
    largest_M1 = by_row_MN.abs().amax(1, keepdim=True)
    best_M1 = _scale(largest_M1, bits)
    if bits == 8:
        return best_M1
    least_M1 = torch.full_like(best_M1, torch.inf)
    for share in CLIPPED:
        tried_M1 = _scale(share * largest_M1, bits)
        squares_M1 = (rounded(by_row_MN, tried_M1, bits) - by_row_MN).square().sum(1, keepdim=True)
        best_M1 = torch.where(squares_M1 < least_M1, tried_M1, best_M1)
        least_M1 = torch.minimum(squares_M1, least_M1)
    return best_M1


def rounded(weight: Tensor, scale_M1: Tensor, bits: int) -> Tensor:
    """The nearest values of so many bits, in float, halves to even."""
    return (weight / scale_M1).round().clamp(-LARGEST[bits], LARGEST[bits]) * scale_M1


def _scale(largest_M1: Tensor, bits: int) -> Tensor:
    scale_M1 = torch.where(largest_M1 > 0, largest_M1 / LARGEST[bits], 1.0).float()
    # The upper half of a float32, rounded up.
    short_M1 = ((scale_M1.view(torch.int32) + 0xFFFF) & ~0xFFFF).view(torch.float32)
    return short_M1.to(largest_M1.dtype)


def lstm_weights(model: nn.Module, values: Values) -> Iterator[tuple[str, nn.Parameter, int]]:
    """The parameters of the weight matrices of a model that are rounded, with their names and bits."""
    from doping.layers.token_matrices import TokenMatrix

    for place, matrix in model.named_modules():
        if isinstance(matrix, Matrix) and not isinstance(matrix, TokenMatrix):
            for name, parameter in matrix.named_parameters(recurse=False):
                bits = matrix.bits_of(name, VALUE_BITS[values])
                if bits < 32 and parameter.numel():
                    yield f"{place}.{name}", parameter, bits


def other_weights(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """What is narrow beside the LSTMs where these are: matrices of two rows and more, such as embedding and softmax."""
    return ((name, parameter) for name, parameter in _others(model) if _is_matrix(parameter))


@contextmanager
def deployed(model: nn.Module, values: Values, embedding_values: Values | None = None) -> Iterator[None]:
    """Within the context, all weights are as they are deployed; with float32, as they are. Those beside the LSTMs are int8
    unless ``embedding_values`` says otherwise.
    """
    if values == "float32":
        yield
        return
    kept: list[tuple[nn.Parameter, Tensor]] = []
    weights = [(parameter, bits) for _, parameter, bits in lstm_weights(model, values)]
    try:
        others = [(parameter, VALUE_BITS[embedding_values or "int8"]) for _, parameter in other_weights(model)]
        for parameter, bits in [*weights, *others]:
            kept.append((parameter, parameter.data))
            parameter.data = rounded(parameter.data, row_scales(parameter.data, bits), bits)
        yield
    finally:
        for parameter, data in kept:
            parameter.data = data


def other_bytes(model: nn.Module, values: Values, embedding_values: Values | None = None) -> int:
    """What is stored beside the LSTMs, in bytes: embedding, softmax, and whatever else a model has; as in ``deployed``."""
    bits = VALUE_BITS[embedding_values or "int8"]
    return sum(
        ceil(parameter.numel() * bits / 8) + SCALE_BYTES * parameter.shape[-2]
        if values != "float32" and _is_matrix(parameter)
        else VALUE_BYTES * parameter.numel()
        for _, parameter in _others(model)
    )


def _others(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    from doping.layers.lstm import CompressedLSTM

    of_lstms = {id(p) for lstm in model.modules() if isinstance(lstm, CompressedLSTM) for p in lstm.parameters()}
    return ((name, parameter) for name, parameter in model.named_parameters() if id(parameter) not in of_lstms)


def _is_matrix(parameter: Tensor) -> bool:
    return parameter.dim() > 1 and parameter.shape[-2] > 1
