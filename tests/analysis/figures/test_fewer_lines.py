"""Studies of very many settings: figures on paper show the best of them, and say so."""

import struct
from pathlib import Path

import pytest
from synthetic_results import study, trial, write

from analysis.figures.fewer import MOST, fewer
from analysis.main import main
from analysis.results import load
from analysis.summary import summarize

MANY = [("pruned", 0.0), ("kp", 0.0), ("doped_kp", 0.0), *(("doped_kp", p / 100) for p in range(1, 41))]


@pytest.mark.exhaustive
def test_the_best_line_of_each_method_and_then_the_best_are_kept(tmp_path: Path):
    rows = study([5, 20], MANY, seeds=1)
    rows += [trial("doped_kp", 20, 1, 0.5, validation=1.0, test=1.0), trial("kp", 20, 2, validation=9.0, test=9.0)]
    (section,) = summarize(load(write(tmp_path, rows)))
    found = fewer(section)
    lines = found.lines()
    assert len(lines) == MOST
    assert {("pruned", False), ("kp", False), ("doped_kp", False), ("doped_kp", True)} <= {key[:2] for key in lines}
    assert "p = 0.5" in {key.variant for key in lines}
    assert found.title == f"embedded-character (the best {MOST} of {len(section.lines())} settings)"
    assert found.dense is section.dense
    assert any(row.whole for row in found.rows)


def test_a_section_of_few_lines_is_left_as_it_is(tmp_path: Path):
    (section,) = summarize(load(write(tmp_path, study([5], MANY[:MOST], seeds=1))))
    assert fewer(section) is section


@pytest.mark.exhaustive
def test_figures_of_many_settings_fit_a_page(tmp_path: Path):
    write(tmp_path, study([5, 20], MANY, seeds=1))
    assert main(["--results", str(tmp_path), "--only", "figures"]) == 0
    for name in ("pareto", "cma", "cmr"):
        head = (tmp_path / f"{name}.png").read_bytes()[:24]
        _, height = struct.unpack(">II", head[16:])
        assert height < 11 * 300, name
