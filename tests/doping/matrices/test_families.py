"""A matrix of any family, written out, multiplied, differentiated, started and saved."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from references.matrices import (
    METHODS,
    every_method,
    factors,
    method_of,
    plan_near,
    pruned_halfway,
    reference,
    shapes,
    some,
)

from doping.matrices import plan_matrix
from doping.matrices.doped import Doped

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.exhaustive(keep_every=2)
@every_method
@some
@given(shape=shapes, factor=factors)
def test_dense_and_matmul_agree_with_the_reference(name, shape, factor):
    plan = plan_near(name, shape, factor)
    assume(plan is not None)
    matrix = pruned_halfway(plan.initialized(0.1))
    expected = reference(matrix)
    assert matrix.dense().shape == shape
    np.testing.assert_allclose(matrix.dense().detach().numpy(), expected, atol=1e-12)
    for batch in [(), (3,), (2, 3)]:
        x = torch.randn(*batch, shape[1])
        np.testing.assert_allclose(matrix.matmul(x).detach().numpy(), x.numpy() @ expected.T, atol=1e-12)


@pytest.mark.exhaustive(keep_every=5)
@every_method
@pytest.mark.parametrize("shape", [(12, 6), (8, 12), (8, 9)])
def test_gradients_of_dense_and_matmul(name, shape):
    plan = plan_near(name, shape, 2.2)
    if plan is None:
        pytest.skip("no place for a tile beside a structured part")
    matrix = pruned_halfway(plan.initialized(0.5))
    names, parameters = zip(*matrix.named_parameters(), strict=True)
    x = torch.randn(2, shape[1])

    def dense(*values):
        return torch.func.functional_call(_Call(matrix, "dense"), _prefixed(names, values), ())

    def matmul(x, *values):
        return torch.func.functional_call(_Call(matrix, "matmul"), _prefixed(names, values), (x,))

    values = [p.detach().clone().requires_grad_() for p in parameters]
    assert torch.autograd.gradcheck(dense, values)
    assert torch.autograd.gradcheck(matmul, [x.requires_grad_(), *values])


class _Call(torch.nn.Module):
    def __init__(self, matrix, method):
        super().__init__()
        self.matrix, self.method = matrix, method

    def forward(self, *arguments):
        return getattr(self.matrix, self.method)(*arguments)


def _prefixed(names, values):
    return {f"matrix.{name}": value for name, value in zip(names, values, strict=True)}


@pytest.mark.exhaustive(keep_every=4)
@every_method
@some
@given(shape=shapes, factor=factors)
def test_initial_entries_have_the_standard_deviation_of_the_dense_layer(name, shape, factor):
    plan = plan_near(name, shape, factor)
    assume(plan is not None)
    matrix = plan.initialized(0.05)
    # Two independent parts of few entries are never quite uncorrelated; the next test has those of a real layer.
    tolerance = 0.4 if isinstance(matrix, Doped) else 0.01
    assert float(matrix.dense().detach().square().mean().sqrt()) == pytest.approx(0.05, rel=tolerance)


@pytest.mark.exhaustive(keep_every=7)
@pytest.mark.parametrize("factor", [2, 5, 10, 20, 40])
@pytest.mark.parametrize("name", METHODS[1:])
def test_initial_standard_deviation_at_every_budget_of_a_real_layer(name, factor):
    matrix = plan_matrix(method_of(name, factor), (800, 200)).initialized(0.04)
    assert float(matrix.dense().detach().std()) == pytest.approx(0.04, rel=0.10)


@every_method
def test_state_dict_and_to_carry_everything(name, tmp_path):
    plan = plan_near(name, (24, 12), 3)
    matrix = pruned_halfway(plan.initialized(0.1))
    torch.save(matrix.state_dict(), tmp_path / "matrix.pt")
    other = plan.initialized(0.1)
    assert not torch.equal(other.dense(), matrix.dense())
    other.load_state_dict(torch.load(tmp_path / "matrix.pt", weights_only=True))
    assert torch.equal(other.dense(), matrix.dense())
    assert other.size() == matrix.size()
    assert matrix.to(torch.float32).dense().dtype == torch.float32
