"""The matrix of a family that is nearest to a given one, by the theorem that says which it is."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from references.matrices import (
    STRUCTURED,
    blocks_of,
    factors,
    plan_near,
    shapes,
    some,
)

from doping.matrices import plan_matrix
from doping.matrices.doped import DopedPlan
from doping.matrices.hybrid import HybridPlan
from doping.matrices.kronecker import KroneckerPlan
from doping.matrices.low_rank import LowRankPlan
from doping.method import Method

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("name", STRUCTURED)
@some
@given(shape=shapes, factor=factors)
def test_a_fit_finds_a_matrix_that_is_of_the_family(name, shape, factor):
    plan = plan_near(name, shape, factor)
    assume(plan is not None)
    weight = plan.initialized(1.0).dense().detach()
    np.testing.assert_allclose(plan.fitted(weight).dense().detach(), weight, atol=1e-9)


def test_low_rank_fit_is_the_truncated_singular_value_decomposition():
    weight = torch.randn(20, 12)
    fitted = LowRankPlan((20, 12), rank=4).fitted(weight).dense().detach().numpy()
    u, s, v = np.linalg.svd(weight.numpy())
    np.testing.assert_allclose(fitted, (u[:, :4] * s[:4]) @ v[:4], atol=1e-10)


@pytest.mark.parametrize(("left", "terms"), [((4, 3), 1), ((5, 2), 1), ((5, 2), 3), ((1, 6), 2), ((20, 1), 2)])
def test_kronecker_fit_is_optimal_after_van_loan_and_pitsianis(left, terms):
    """The error is what the singular values of the rearranged matrix leave; rearranged here by a plain loop."""
    weight = torch.randn(20, 12)
    m2, n2 = 20 // left[0], 12 // left[1]
    rows = [weight[i * m2 : (i + 1) * m2, j * n2 : (j + 1) * n2].flatten() for i in range(left[0]) for j in range(left[1])]
    left_over = np.linalg.svd(torch.stack(rows).numpy(), compute_uv=False)[terms:]
    fitted = KroneckerPlan((20, 12), left, terms).fitted(weight)
    error = torch.linalg.matrix_norm(weight - fitted.dense()).item()
    assert error == pytest.approx(np.sqrt((left_over**2).sum()), abs=1e-9)


def test_enough_kronecker_terms_make_any_matrix():
    weight = torch.randn(20, 12)
    plan = KroneckerPlan((20, 12), (4, 3), KroneckerPlan((20, 12), (4, 3)).most_terms)
    np.testing.assert_allclose(plan.fitted(weight).dense().detach(), weight, atol=1e-10)


def test_hybrid_fit_keeps_the_free_rows_and_fits_each_block_best():
    weight = torch.randn(20, 7)
    fitted = HybridPlan((20, 7), rows=6).fitted(weight).dense().detach()
    free = [0, 1, 5, 6, 10, 15]
    others = [row for row in range(20) if row not in free]
    assert torch.equal(fitted[free], weight[free])
    for columns in (slice(0, 3), slice(3, 7)):
        left_over = np.linalg.svd(weight[others, columns].numpy(), compute_uv=False)[1:]
        error = torch.linalg.matrix_norm(weight[others, columns] - fitted[others, columns]).item()
        assert error == pytest.approx(np.sqrt((left_over**2).sum()), abs=1e-9)


def test_pruned_fit_keeps_the_largest_magnitudes():
    weight = torch.randn(20, 12)
    fitted = plan_matrix(Method(name="pruned", factor=6), (20, 12)).fitted(weight)
    largest = np.argsort(-weight.abs().numpy(), axis=None)[:40]
    expected = np.zeros(240)
    expected[largest] = weight.numpy().flatten()[largest]
    np.testing.assert_array_equal(fitted.dense().detach().numpy(), expected.reshape(20, 12))


@pytest.mark.parametrize("name", ["doped_lmf", "doped_hmd", "doped_kp", "doped_kp, gates", "doped_lmf, rows"])
def test_doped_fit_is_the_structured_fit_plus_the_largest_residuals(name):
    weight = torch.randn(40, 20)
    plan = plan_near(name, (40, 20), 4)
    assert isinstance(plan, DopedPlan)
    fitted = plan.fitted(weight)
    residual = (weight - plan.structured.fitted(weight).dense()).detach().numpy()
    kept = fitted.sparse.dense().detach().numpy()
    assert (kept != 0).sum() == plan.sparse.nonzeros
    np.testing.assert_allclose(kept[kept != 0], residual[kept != 0])
    kept_norms, left_out = [], []
    for block in blocks_of(plan.sparse.pattern, (40, 20)):
        norms = kept_norms if kept[np.ix_(*block)].any() else left_out
        norms.append(np.linalg.norm(residual[np.ix_(*block)]))
    assert max(left_out) <= min(kept_norms)
