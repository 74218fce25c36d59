"""Ways to see co-matrix adaptation (CMA): what each part of a doped matrix W = M + S carries, and what each is worth alone.

Legend: T steps, B batch, M rows, N columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from doping.layers.compressed import CompressedLayer, compressed_layers
from doping.matrices import Doped

Part = Literal["structured", "sparse"]


@dataclass(frozen=True)
class Energy:
    """Mean squared lengths of what the two parts add to the pre-activations, over the inputs x that a matrix meets.

    E‖W x‖² = E‖M x‖² + E‖S x‖² + 2 E⟨M x, S x⟩.
    """

    structured: float
    """E‖M x‖²."""
    sparse: float
    """E‖S x‖²."""
    cross: float
    """2 E⟨M x, S x⟩; negative where one part undoes what the other does."""

    def __add__(self, other: Energy) -> Energy:
        """Energy of several matrices together."""
        return Energy(self.structured + other.structured, self.sparse + other.sparse, self.cross + other.cross)

    def shares(self) -> Energy:
        """All three as shares of E‖M x‖² + E‖S x‖²: those of M and S add up to 1, the cross term lies within ± 1.

        1 + cross is then the energy of W x: near 0 the parts cancel, at 1 they are independent, near 2 they are alike.
        Without any energy the shares are not a number.
        """
        total = self.structured + self.sparse
        if total == 0:
            return Energy(math.nan, math.nan, math.nan)
        return Energy(self.structured / total, self.sparse / total, self.cross / total)


def energy(matrix: Doped, x: Tensor) -> Energy:
    """Energies of the parts of a matrix over the vectors ``x``, (..., n).

    With the second moments C = E[x xᵀ], E⟨A x, B x⟩ = Σ (A C) ∘ B: one product of size (m, n, n) in place of one with
    every vector.
    """
    vectors = x.flatten(0, -2)
    moments_NN = vectors.mT @ vectors / vectors.shape[0]
    structured_MN, sparse_MN = matrix.structured.dense(), matrix.sparse.dense()
    structured_moments_MN = structured_MN @ moments_NN
    return Energy(
        float((structured_moments_MN * structured_MN).sum()),
        float((sparse_MN @ moments_NN * sparse_MN).sum()),
        2 * float((structured_moments_MN * sparse_MN).sum()),
    )


@contextmanager
def only(model: nn.Module, part: Part) -> Iterator[None]:
    """Within the context every doped matrix of a model consists of one of its parts, the other one is off."""
    kept = doped_matrices(model)
    for layer, name, matrix in kept:
        layer.matrices[name] = matrix.structured if part == "structured" else matrix.sparse
    try:
        yield
    finally:
        for layer, name, matrix in kept:
            layer.matrices[name] = matrix


def doped_matrices(model: nn.Module) -> list[tuple[CompressedLayer, str, Doped]]:
    """Every doped matrix, the layer that it is in, and its name there."""
    return [
        (layer, name, matrix)
        for _, layer in compressed_layers(model)
        for name, matrix in layer.named_matrices()
        if isinstance(matrix, Doped)
    ]


def gradient_norm(model: nn.Module, part: Part) -> float:
    """Euclidean norm of the gradient with respect to all parameters of one part of every doped matrix."""
    parts = [matrix.structured if part == "structured" else matrix.sparse for _, _, matrix in doped_matrices(model)]
    gradients = [p.grad for matrix in parts for p in matrix.parameters() if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients))
