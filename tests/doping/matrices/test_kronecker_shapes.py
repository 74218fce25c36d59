"""Which factors a Kronecker product has, and which shapes have none."""

import re

import numpy as np
import pytest

from doping.matrices import BudgetError, plan_matrix
from doping.method import Method

pytestmark = pytest.mark.usefixtures("float64")


class TestKroneckerShapes:
    @pytest.mark.parametrize("shape", [(2600, 650), (6000, 1500), (800, 200), (512, 128)])
    def test_doping_takes_the_smallest_product_of_full_rank(self, shape):
        chosen = plan_matrix(Method(name="doped_kp", factor=10), shape).structured
        assert chosen.rank == min(shape)
        by_hand = [
            a * b + (shape[0] // a) * (shape[1] // b)
            for a in range(1, shape[0] + 1)
            for b in range(1, shape[1] + 1)
            if shape[0] % a == 0 and shape[1] % b == 0 and 1 < a * b < shape[0] * shape[1]
            if min(a, b) * min(shape[0] // a, shape[1] // b) == min(shape)
        ]
        assert chosen.size().values == min(by_hand)

    def test_the_paper_size_of_one_product_over_300_times_smaller(self):
        chosen = plan_matrix(Method(name="doped_kp", factor=25), (2600, 650)).structured
        assert 2600 * 650 / chosen.size().values > 300

    def test_the_chosen_rank_is_the_rank_of_the_matrix(self):
        plan = plan_matrix(Method(name="kp", factor=5), (60, 30))
        assert np.linalg.matrix_rank(plan.initialized(1.0).dense().detach().numpy()) == plan.rank

    def test_shapes_and_terms_can_be_given(self):
        method = Method(name="doped_kp", factor=5, left_shape=(4, 5), terms=2)
        structured = plan_matrix(method, (40, 20)).structured
        assert (structured.left, structured.right, structured.terms) == ((4, 5), (10, 4), 2)

    def test_a_given_shape_must_divide(self):
        message = "left_shape 7 x 5 does not divide a 40 x 20 matrix: take divisors of 40 and of 20, the nearest are 8 x 5"
        with pytest.raises(ValueError, match=re.escape(message)):
            plan_matrix(Method(name="kp", factor=5, left_shape=(7, 5)), (40, 20))

    def test_a_prime_width_is_refused_with_a_way_out(self):
        with pytest.raises(BudgetError, match="structured_share"):
            plan_matrix(Method(name="doped_kp", factor=20), (508, 127))
        plan = plan_matrix(Method(name="doped_kp", factor=20, structured_share=0.5), (508, 127))
        assert 508 * 127 / plan.size().values == pytest.approx(20, rel=0.01)

    def test_a_matrix_that_is_no_product_is_refused(self):
        with pytest.raises(BudgetError, match="1 x 7 matrix is no Kronecker product"):
            plan_matrix(Method(name="kp", factor=2), (1, 7))
