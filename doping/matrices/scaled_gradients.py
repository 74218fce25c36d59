"""Scaled gradient descent for matrices made of factors (Tong, Ma & Chi, JMLR 2021, arXiv 2005.08898).

A step of plain gradient descent on the factors of Lᵀ R moves the product by the gradient times R Rᵀ and L Lᵀ: as far as the
factors are large, which has nothing to do with the learning rate that suits the other weights. Divided by these, the step is
that of the product itself, along the directions its factors can give it, however the scale is shared between them.

Legend: K terms of the product (a rank); A and B the other dimensions of its factors. Dimensions
before these are of several products.
"""

from __future__ import annotations

import torch
from torch import Tensor

RIDGE = 1e-6
"""Added to the eigenvalues of R Rᵀ, as a share of their mean, so that a factor without full rank has a gradient, too."""


@torch.no_grad()
def scale_gradients(left_KA: Tensor, left_gradient_KA: Tensor, right_KB: Tensor, right_gradient_KB: Tensor) -> None:
    """Multiply the gradient of L by (R Rᵀ)⁻¹ and that of R by (L Lᵀ)⁻¹, both in place, for a product Lᵀ R."""
    scaled_left_KA = _divided(left_gradient_KA, right_KB)
    right_gradient_KB.copy_(_divided(right_gradient_KB, left_KA))
    left_gradient_KA.copy_(scaled_left_KA)


def _divided(gradient_KA: Tensor, other_KB: Tensor) -> Tensor:
    gram_KK = other_KB @ other_KB.mT
    trace = gram_KK.trace() if gram_KK.dim() == 2 else gram_KK.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    ridge = RIDGE * trace / gram_KK.shape[-1] + torch.finfo(gram_KK.dtype).tiny
    # Does not look at the result for errors, which would wait for the GPU; with the ridge there are none.
    unit_KK = torch.eye(gram_KK.shape[-1]).to(gram_KK)
    quotient_KA: Tensor = torch.linalg.solve_ex(gram_KK + ridge * unit_KK, gradient_KA).result
    return quotient_KA
