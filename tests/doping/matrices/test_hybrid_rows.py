"""Which rows of a hybrid matrix are free."""

import pytest
import torch

from doping.matrices import plan_matrix
from doping.matrices.hybrid import HybridPlan
from doping.method import Method

pytestmark = pytest.mark.usefixtures("float64")


class TestHybridRows:
    def test_free_rows_come_first_in_every_gate(self):
        weight = torch.randn(24, 10)
        matrix = HybridPlan((24, 10), rows=6).fitted(weight)
        free = (matrix.dense() == weight).all(dim=1).nonzero().flatten().tolist()
        assert free == [0, 1, 6, 7, 12, 18]  # two in the first two gates, one in the others

    def test_stacked_as_old_trials_have_them(self):
        weight = torch.randn(24, 10)
        stacked = plan_matrix(Method(name="hmd", factor=240 / 114, free_rows="stacked"), (24, 10))
        free = (stacked.fitted(weight).dense() == weight).all(dim=1).nonzero().flatten().tolist()
        assert free == list(range(stacked.rows)) != []
        assert plan_matrix(Method(name="hmd", factor=240 / 114), (24, 10)) == HybridPlan((24, 10), stacked.rows, gates=4)

    def test_a_matrix_without_four_gates_has_them_first(self):
        weight = torch.randn(10, 8)
        matrix = HybridPlan((10, 8), rows=3).fitted(weight)
        assert (matrix.dense() == weight).all(dim=1).nonzero().flatten().tolist() == [0, 1, 2]
