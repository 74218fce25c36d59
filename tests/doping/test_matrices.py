"""One suite that every family passes: written out, multiplied, differentiated, sized, saved, started and fitted."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from references.matrices import (
    COARSE,
    ENTRIES,
    METHODS,
    STRUCTURED,
    blocks_of,
    factors,
    method_of,
    named_factors,
    plan_near,
    pruned_halfway,
    reference,
    shapes,
    stored_in,
)
from torch.utils.flop_counter import FlopCounterMode

from doping.matrices import BudgetError, Sparse, plan_matrix
from doping.matrices.doped import Doped, DopedPlan
from doping.matrices.hybrid import HybridPlan
from doping.matrices.kronecker import KroneckerPlan
from doping.matrices.low_rank import LowRankPlan
from doping.matrices.sparse import SparsePlan
from doping.method import Method

pytestmark = pytest.mark.usefixtures("float64")
some = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
every_method = pytest.mark.parametrize("name", [*METHODS, *COARSE])


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


@every_method
@some
@given(shape=shapes, factor=factors)
def test_size_counts_what_is_stored(name, shape, factor):
    plan = plan_near(name, shape, factor)
    assume(plan is not None)
    matrix = plan.initialized(0.1)
    for module in matrix.modules():
        if isinstance(module, Sparse):
            module.prune(module.planned_nonzeros)
    assert matrix.size() == plan.size()
    values, stored_bytes, narrow = 0, 0, {8: 0.0, 4: 0.0}
    sparse = [module for module in matrix.modules() if isinstance(module, Sparse)]
    for module in sparse:
        stored, indices, lines = stored_in(module.dense().detach().numpy(), module.pattern)
        values += stored
        stored_bytes += 4 * stored + indices + (4 * (lines + 1) if lines else 0)
        for bits in narrow:
            narrow[bits] += math.ceil(bits * stored / 8) + indices + 2 * lines + 2 * shape[0]
    pruned_parameters = {id(module.weight) for module in sparse}
    for parameter_name, parameter in matrix.named_parameters():
        if id(parameter) in pruned_parameters:
            continue
        values += parameter.numel()
        stored_bytes += 4 * parameter.numel()
        last = parameter_name.rpartition(".")[2]
        for bits in narrow:
            kept = 32 if "hmd" in name and last in ("u", "v") else 8 if last == "b" else bits
            narrow[bits] += math.ceil(parameter.numel() * kept / 8) + (0 if kept == 32 else 2 * parameter.shape[-2])
    assert matrix.size().values == values
    assert matrix.size().bytes == stored_bytes
    assert (matrix.size().bytes_int8, matrix.size().bytes_int4) == (narrow[8], pytest.approx(narrow[4], abs=1))


def test_column_indices_take_four_bytes_in_very_wide_matrices():
    wide = plan_matrix(Method(name="pruned", factor=100), (2, 70_000))
    assert wide.size().bytes == 1400 * (4 + 4) + 3 * 4


@pytest.mark.parametrize("name", ["dense", "lmf", "kp"])
@some
@given(shape=shapes, factor=factors)
def test_multiply_adds_are_those_that_matmul_does(name, shape, factor):
    plan = plan_near(name, shape, factor)
    assume(plan is not None)
    matrix = plan.initialized(0.1)
    with FlopCounterMode(display=False) as counter:
        matrix.matmul(torch.randn(1, shape[1]))
    assert matrix.size().multiply_adds == counter.get_total_flops() / 2


def test_multiply_adds_of_hybrid_and_sparse_matrices():
    assert HybridPlan((20, 8), rows=5).size().multiply_adds == 5 * 8 + 8 + 2 * 15
    assert plan_matrix(Method(name="pruned", factor=4), (20, 8)).size().multiply_adds == 40
    doped = plan_matrix(Method(name="doped_kp", factor=4), (20, 8))
    assert doped.size().multiply_adds == doped.structured.size().multiply_adds + doped.sparse.size().multiply_adds


@pytest.mark.parametrize("unit", ["values", "bytes"])
@pytest.mark.parametrize("name", METHODS[1:])
@some
@given(shape=shapes, factor=factors)
def test_the_factor_is_met_within_one_percent_or_refused_with_nearest_ones_that_work(name, unit, shape, factor):
    method = method_of(name, factor, unit=unit)
    assume(method.pattern not in ("gates", "tiles") or shape[0] % 4 == 0)
    try:
        size = plan_matrix(method, shape).size()
    except BudgetError as error:
        refusal = str(error)
    else:
        dense = shape[0] * shape[1]
        reached = dense / size.values if unit == "values" else 4 * dense / size.bytes
        assert reached == pytest.approx(factor, rel=0.01 + 1e-9)
        return
    assert "\n" not in refusal
    assert f"{shape[0]} x {shape[1]}" in refusal
    if not method.doped:
        for nearest in named_factors(refusal):
            if nearest >= 1:
                offered = plan_matrix(method.model_copy(update={"factor": nearest}), shape).size()
                reached = shape[0] * shape[1] / (offered.values if unit == "values" else offered.bytes / 4)
                assert reached == pytest.approx(nearest, rel=0.01)


def test_a_refusal_says_what_was_asked_and_what_there_is():
    with pytest.raises(BudgetError) as refusal:
        plan_matrix(Method(name="lmf", factor=20), (512, 128))
    assert str(refusal.value) == (
        "factor 20 in values is impossible for a 512 x 128 matrix as lmf: nearest possible 17.07 (rank 6) and "
        "20.48 (rank 5); choose such a factor, or another width of the model"
    )


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


class TestPruning:
    def test_keeps_the_largest_and_never_revives(self):
        matrix = plan_matrix(Method(name="pruned", factor=10), (10, 10)).initialized(1.0)
        before = matrix.weight.detach().abs().flatten()
        matrix.prune(30)
        assert set(matrix.mask.flatten().nonzero().flatten().tolist()) == set(before.topk(30).indices.tolist())
        with torch.no_grad():
            matrix.weight.fill_(5.0)
        matrix.prune(20)
        assert matrix.nonzeros() == 20
        matrix.prune(50)
        assert matrix.nonzeros() == 20

    def test_is_exact_among_equal_magnitudes(self):
        matrix = plan_matrix(Method(name="pruned", factor=2), (6, 6)).fitted(torch.ones(6, 6))
        assert matrix.mask.flatten().tolist() == [True] * 18 + [False] * 18

    def test_can_take_everything(self):
        matrix = plan_matrix(Method(name="pruned", factor=2), (6, 6)).initialized(1.0)
        matrix.prune(0)
        assert matrix.nonzeros() == 0
        assert not matrix.weight.any()

    def test_no_gradient_reaches_what_was_pruned(self):
        matrix = plan_matrix(Method(name="pruned", factor=4), (6, 6)).initialized(1.0)
        matrix.prune(9)
        matrix.dense().sum().backward()
        assert torch.equal(matrix.weight.grad != 0, matrix.mask)


class TestBlocks:
    """Blocks of the four gates of a unit, of eight rows, or tiles, are pruned as a whole."""

    every_pattern = pytest.mark.parametrize("pattern", [name for name in ENTRIES if not name.startswith("n_of")])

    @every_pattern
    @some
    @given(shape=shapes, share=st.floats(0, 1), again=st.floats(0, 1))
    def test_those_of_largest_norm_are_kept_and_none_comes_back(self, pattern, shape, share, again):
        assume(pattern not in ("gates", "tiles") or shape[0] % 4 == 0)
        matrix = SparsePlan(shape, ENTRIES[pattern], pattern).initialized(1.0)
        blocks = blocks_of(pattern, shape)
        alive = blocks
        for keep in (round(share * len(blocks)), round(again * len(blocks))):
            with torch.no_grad():
                # What was pruned grows largest of all: it must stay away nonetheless.
                matrix.weight.copy_(torch.where(matrix.mask, torch.randn(shape), 100.0))
            weight = matrix.weight.detach().numpy()
            alive = sorted(alive, key=lambda block: -np.linalg.norm(weight[np.ix_(*block)]))[:keep]
            matrix.prune(keep * ENTRIES[pattern])
            expected = np.zeros(shape)
            for block in alive:
                expected[np.ix_(*block)] = weight[np.ix_(*block)]
            np.testing.assert_array_equal(matrix.dense().detach().numpy(), expected)
            np.testing.assert_array_equal(matrix.mask.numpy(), expected != 0)

    def test_an_example_of_each(self):
        weight = torch.tensor([[1.0, 2], [3, 4], [5, 6], [7, 8], [1, 1], [0, 9], [1, 1], [1, 1]])
        by_gates = SparsePlan((8, 2), 4, "gates").fitted(weight).dense()
        assert by_gates[:, 1].tolist() == [0, 4, 0, 8, 0, 9, 0, 1]
        assert not by_gates[:, 0].any()
        by_rows = SparsePlan((8, 2), 8, "rows").fitted(weight).dense()
        assert by_rows[:, 1].tolist() == weight[:, 1].tolist()
        assert not by_rows[:, 0].any()

    def test_a_tile_has_four_units_of_every_gate_in_four_columns(self):
        weight = torch.ones(4 * 6, 6)
        weight[6 * 2 + 5, 5] = 9  # gate 2, unit 5, column 5: the tile of the last units and columns
        kept = SparsePlan((24, 6), 64, "tiles").fitted(weight).mask
        expected = [[gate * 6 + unit, column] for gate in range(4) for unit in (4, 5) for column in (4, 5)]
        assert kept.nonzero().tolist() == expected

    def test_equal_norms_are_kept_in_row_order(self):
        matrix = SparsePlan((16, 3), 32, "rows").fitted(torch.ones(16, 3))
        assert matrix.mask[::8].tolist() == [[True, True, True], [True, False, False]]

    @every_pattern
    def test_the_size_of_a_layer(self, pattern):
        plan = plan_matrix(Method(name="pruned", factor=20, pattern=pattern), (2600, 650))
        blocks, block_rows = {
            "unstructured": (84_500, 2600),
            "gates": (21_125, 650),
            "rows": (10_562, 325),
            "tiles": (1320, 163),  # 650 units are 162 and a half groups of four
        }[pattern]
        assert plan.nonzeros == blocks * ENTRIES[pattern]
        assert plan.size().values == plan.size().multiply_adds == plan.nonzeros
        assert plan.size().bytes == 4 * plan.nonzeros + 2 * blocks + 4 * (block_rows + 1)
        # Narrow: 16 bits of an index a block, of a number of blocks a row of blocks, and of a scale a row.
        assert plan.size().bytes_int8 == plan.nonzeros + 2 * blocks + 2 * block_rows + 2 * 2600
        assert plan.size().bytes_int4 == plan.nonzeros / 2 + 2 * blocks + 2 * block_rows + 2 * 2600

    def test_blocks_that_reach_beyond_the_matrix_are_stored_whole(self):
        weight = torch.ones(500, 125)
        weight[496:, :10] = 2
        matrix = SparsePlan((500, 125), 80, "rows").fitted(weight)
        assert matrix.mask.nonzero().tolist() == [[row, column] for row in range(496, 500) for column in range(10)]
        assert (matrix.nonzeros(), matrix.size().values) == (40, 80)

    def test_gates_need_four_of_them(self):
        with pytest.raises(
            ValueError, match="pattern gates needs a matrix of 4·H rows, four gates of H; this one has 10 rows"
        ):
            plan_matrix(Method(name="pruned", factor=5, pattern="gates"), (10, 10))

    def test_a_refusal_names_the_blocks(self):
        with pytest.raises(BudgetError) as refusal:
            plan_matrix(Method(name="pruned", factor=11, pattern="rows"), (16, 8))
        assert str(refusal.value) == (
            "factor 11 in values is impossible for a 16 x 8 matrix with a sparse matrix in rows: nearest possible "
            "16 (8 nonzeros); choose such a factor, or another width of the model"
        )


class TestNOfM:
    """Equally many values in every group of columns of a row."""

    @some
    @given(shape=st.tuples(st.integers(1, 6), st.integers(1, 70)), width=st.sampled_from([16, 32]), seed=st.integers(0, 99))
    def test_the_largest_of_every_group_are_kept_and_none_comes_back(self, shape, width, seed):
        torch.manual_seed(seed)
        (rows, columns), groups = shape, math.ceil(shape[1] / width)
        matrix = SparsePlan(shape, rows * groups, f"n_of_{width}").initialized(1.0)
        weight = matrix.weight.detach().clone().numpy()
        for n in (9, 4, 6, 1):
            matrix.prune(n * rows * groups)
            n = min(n, 4) if n != 9 else 9
            expected = np.zeros(shape, bool)
            for row in range(rows):
                for first in range(0, columns, width):
                    group = np.abs(weight[row, first : first + width])
                    expected[row, first + np.argsort(-group)[:n]] = True
            np.testing.assert_array_equal(matrix.mask.numpy(), expected)
            assert matrix.size().values == min(n, width, columns) * rows * groups

    def test_between_two_n_the_largest_of_what_the_larger_would_keep_stay(self):
        weight = torch.arange(64.0).view(2, 32) + 1  # two groups of 16 a row, the largest last
        matrix = SparsePlan((2, 32), 4, "n_of_16").unpruned(weight)
        matrix.prune(4 * 1 + 3)
        # The largest of each group, and of the four that come second the three largest.
        assert matrix.mask.nonzero().tolist() == [[0, 15], [0, 30], [0, 31], [1, 14], [1, 15], [1, 30], [1, 31]]

    def test_the_size_of_a_layer(self):
        plan = plan_matrix(Method(name="pruned", factor=16, pattern="n_of_16"), (2600, 640))
        assert (plan.nonzeros, str(plan)) == (2600 * 40, "1 of 16 columns")
        assert plan.size().bytes == 4 * 104_000 + 104_000 // 2  # no offsets
        assert plan.size().bytes_int8 == 104_000 + 104_000 // 2 + 2 * 2600
        assert plan_matrix(Method(name="pruned", factor=16, pattern="n_of_32"), (2600, 640)).size().bytes == (
            4 * 104_000 + 104_000 * 5 // 8
        )


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
