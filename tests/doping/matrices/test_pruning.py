"""What is pruned of a sparse matrix of every pattern, and what it weighs then."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from references.matrices import (
    ENTRIES,
    blocks_of,
    shapes,
    some,
)

from doping.matrices import BudgetError, plan_matrix
from doping.matrices.sparse import SparsePlan
from doping.method import Method

pytestmark = pytest.mark.usefixtures("float64")


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
