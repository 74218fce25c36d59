"""Rows of either part that are dropped at random while they train."""

import pytest
import torch

from doping.matrices import plan_matrix
from doping.method import Method

pytestmark = pytest.mark.usefixtures("float64")


class TestRowDropout:
    P = 0.3

    def doped(self, on="both"):
        method = Method(name="doped_lmf", factor=4, cmr={"probability": self.P, "on": on})
        return plan_matrix(method, (40, 20)).initialized(1.0)

    def rows_kept(self, matrix, draws):
        """For each draw and row: the scales (b1, b2), solved from the sampled row."""
        m, s = matrix.structured.dense(), matrix.sparse.dense()
        scales = torch.zeros(draws, matrix.shape[0], 2)
        for draw in range(draws):
            w = matrix.sample()
            for row in range(matrix.shape[0]):
                basis = torch.stack([m[row], s[row]], dim=1)
                scales[draw, row] = torch.linalg.lstsq(basis, w[row, :, None]).solution.flatten()
        return scales.detach()

    def test_rows_of_both_are_dropped_independently_and_rescaled(self):
        scales = self.rows_kept(self.doped(), draws=60)
        kept = 1 / (1 - self.P)
        assert torch.all(torch.isclose(scales, torch.tensor(kept)) | scales.abs().lt(1e-9))
        dropped = scales.abs().lt(1e-9)
        rates = [dropped[..., 0].double().mean(), dropped[..., 1].double().mean(), dropped.all(-1).double().mean()]
        # 2,400 draws: four standard errors are 0.037 and 0.023.
        for rate, expected, error in zip(rates, [self.P, self.P, self.P**2], [0.037, 0.037, 0.023], strict=True):
            assert float(rate) == pytest.approx(expected, abs=error)

    def test_only_rows_of_s_where_asked(self):
        scales = self.rows_kept(self.doped(on="sparse"), draws=20)
        assert torch.allclose(scales[..., 0], torch.ones(()))
        assert 0.2 < scales[..., 1].abs().lt(1e-9).double().mean() < 0.4

    def test_the_expectation_is_the_matrix(self):
        matrix = self.doped()
        mean = sum(matrix.sample().detach() for _ in range(4000)) / 4000
        assert (mean - matrix.dense()).abs().mean() < 0.03

    def test_is_off_in_evaluation_and_at_probability_zero(self):
        matrix = self.doped()
        assert torch.equal(matrix.eval().sample(), matrix.dense())
        matrix.train().cmr_probability = 0.0
        assert torch.equal(matrix.sample(), matrix.dense())

    def test_other_matrices_have_no_noise(self):
        matrix = plan_matrix(Method(name="lmf", factor=4), (30, 20)).initialized(1.0)
        assert torch.equal(matrix.sample(), matrix.dense())
