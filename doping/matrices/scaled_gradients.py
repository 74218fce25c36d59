"""Scaled gradient descent for matrices made of factors (Tong, Ma & Chi, JMLR 2021, arXiv 2005.08898).

A step of plain gradient descent on the factors of Lᵀ R moves the product by the gradient times R Rᵀ and L Lᵀ: as far as the
factors are large, which has nothing to do with the learning rate that suits the other weights. Divided by these, the step is
that of the product itself, along the directions its factors can give it, however the scale is shared between them.

Legend: K terms of the product (a rank); A and B the other dimensions of its factors.
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
    ridge = RIDGE * gram_KK.trace() / len(gram_KK) + torch.finfo(gram_KK.dtype).tiny
    # Does not look at the result for errors, which would wait for the GPU; with the ridge there are none.
    quotient_KA: Tensor = torch.linalg.solve_ex(gram_KK + ridge * torch.eye(len(gram_KK)).to(gram_KK), gradient_KA).result
    return quotient_KA
