"""No cell of the CSV tables is a formula to a spreadsheet."""

import pytest

from analysis.tables.csv_table import _neutral


@pytest.mark.parametrize("cell", ['=HYPERLINK("http://x")', "+1+1", "-cmd", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_looks_like_a_formula_is_text(cell):
    assert _neutral(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", "-1.5", "+2e-3", "-inf", "kp_vs_pruning-quick", "a=b", "12e456789012"])
def test_all_else_stays(cell):
    assert _neutral(cell) == cell
