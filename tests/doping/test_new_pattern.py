"""A sparsity pattern that is made of gates, rows, columns or groups as the others are is a line in the registry."""

import pytest
import torch
from models import trained_exported_and_run

from doping import patterns
from doping.matrices.sparse import SparsePlan
from doping.method import Method
from sweeps.study import study

N_OF_8 = patterns.Pattern("n_of_8", "N of 8", group=8, kernel=1)
TWO_ROWS = patterns.Pattern("two_rows", "2-row blocks", units=2)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for pattern in (N_OF_8, TWO_ROWS):
        monkeypatch.setitem(patterns.PATTERNS, pattern.name, pattern)


@pytest.mark.parametrize(("name", "factor"), [("pruned", 4), ("doped_kp", 24 / 7)])
def test_it_trains_in_any_loop_is_exported_and_runs_there(name, factor, tmp_path):
    trained_exported_and_run(Method(name=name, factor=factor, pattern="n_of_8"), tmp_path)


def test_what_it_keeps_and_what_that_weighs():
    plan = SparsePlan((2, 16), 8, "n_of_8")
    kept = plan.fitted(torch.arange(32.0).reshape(2, 16)).mask
    assert kept.nonzero().tolist() == [[row, column] for row in (0, 1) for column in (6, 7, 14, 15)]
    assert plan.size().bytes == 8 * 4 + 8 * 3 // 8  # values, and places of three bits
    blocks = SparsePlan((4, 3), 4, "two_rows").fitted(torch.tensor([[1.0, 0, 5], [0, 2, 5], [7, 0, 0], [0, 1, 0]])).mask
    assert blocks.int().tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0], [1, 0, 0]]


def test_its_name_is_known_wherever_patterns_are_named():
    chosen = study.with_settings(
        study.load("kp_vs_pruning"), "smoke", ["runs=[{method: pruned, factor: 4, pattern: [n_of_8, two_rows]}]"]
    )
    assert [cell.method.pattern for cell in chosen.cells("smoke")] == ["n_of_8", "two_rows"]
    with pytest.raises(ValueError, match=r"known are .*, n_of_8, two_rows"):
        Method(name="pruned", pattern="no_such")
