"""Sizes at equal quality: where the answer is known in closed form, and what must hold of any fronts."""

import csv
import io
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_results import trial, write

from analysis.results import load
from analysis.section import Section
from analysis.stats.equal_quality import EqualQuality, Front, compare
from analysis.summary import summarize
from analysis.tables import csv_table


def point(method: str, values: float, test: float, factor: float, cmr: float = 0.0, **columns: Any) -> dict[str, Any]:
    return trial(method, factor, 1, cmr, values=values, bytes=2 * values, test=test, validation=test, **columns)


def section_of(folder: Path, rows: list[dict[str, Any]]) -> Section:
    (section,) = summarize(load(write(folder, [trial("dense", test=1.0), *rows])))
    return section


def ratios(section: Section, size: str = "values") -> dict[tuple[str, str], EqualQuality]:
    return {(known.row.method, known.baseline): known for known in compare(section, size)}


def test_a_method_that_is_three_times_smaller_everywhere(tmp_path: Path):
    # Test metric linear in the logarithm of the size: interpolation is exact.
    rows = [point("pruned", size, 3 - math.log10(size) / 5, factor) for factor, size in ((2, 1e5), (20, 1e4), (200, 1e3))]
    rows += [point("doped_kp", size / 3, 3 - math.log10(size) / 5, f) for f, size in ((6, 8e4), (60, 9e3), (90, 2e3))]
    known = ratios(section_of(tmp_path, rows))["doped_kp", "pruned"]
    assert known.ratios == pytest.approx([3.0] * len(known.ratios))
    assert (known.mean, known.lowest, known.highest) == pytest.approx((3, 3, 3))
    assert known.qualities[0] == pytest.approx(3 - math.log10(8e4) / 5)
    assert known.qualities[-1] == pytest.approx(3 - math.log10(2e3) / 5)


def test_by_hand(tmp_path: Path):
    rows = [point("pruned", 1000, 1.0, 2), point("pruned", 250, 2.0, 8)]
    rows += [point("doped_kp", 800, 1.5, 3), point("doped_kp", 100, 2.5, 20)]
    known = ratios(section_of(tmp_path, rows))["doped_kp", "pruned"]
    # At 1.5 pruning needs √(1000·250) = 500; at 2.0 doping needs √(800·100) = 282.84.
    assert known.qualities == [1.5, 2.0]
    assert known.ratios == pytest.approx([500 / 800, 250 / 282.842712])
    assert known.mean == pytest.approx(math.sqrt(500 / 800 * 250 / 282.842712))


def test_nothing_is_extrapolated(tmp_path: Path):
    rows = [point("pruned", 1000, 1.0, 2), point("pruned", 250, 1.4, 8), point("lmf", 500, 1.2, 4)]
    rows += [point("doped_kp", 100, 1.5, 20), point("doped_kp", 50, 1.9, 40)]
    # Doping starts where pruning ends, and a single point has no range.
    assert ratios(section_of(tmp_path, rows)) == {}


def test_points_behind_the_front_do_not_count(tmp_path: Path):
    rows = [point("pruned", 1000, 1.0, 2), point("pruned", 900, 3.0, 3), point("pruned", 250, 2.0, 8)]
    (section,) = summarize(load(write(tmp_path, [trial("dense", test=0.9), *rows])))
    front = Front.of(section.rows[1:], "values")
    assert front.qualities == [1.0, 2.0]
    assert front.log_size(1.5) == pytest.approx(math.log(500))


def test_of_a_baseline_in_several_settings_the_best_counts(tmp_path: Path):
    rows = [point("pruned", 1000, 1.0, 2), point("pruned", 250, 2.0, 8)]
    rows += [point("pruned", 100, 2.0, 8, method__annealing__length=0.3)]
    rows += [point("doped_kp", 1000, 1.0, 2), point("doped_kp", 100, 2.0, 8)]
    assert ratios(section_of(tmp_path, rows))["doped_kp", "pruned"].mean == pytest.approx(1)


SIZES = st.lists(
    st.tuples(st.integers(10, 100_000), st.integers(100, 300)), min_size=2, max_size=5, unique_by=lambda p: p[0]
)


@pytest.mark.exhaustive
@settings(max_examples=20, deadline=None)
@given(SIZES, SIZES)
def test_what_is_smaller_one_way_is_larger_the_other_way(tmp_path_factory: pytest.TempPathFactory, a: Any, b: Any):
    def rows(kp: Any, lmf: Any) -> list[dict[str, Any]]:
        both = (("kp", kp), ("lmf", lmf))
        return [point(name, size, test / 100, 2 + i) for name, of in both for i, (size, test) in enumerate(of)]

    found = ratios(section_of(tmp_path_factory.mktemp("pair"), rows(a, b)))
    assert (("kp", "lmf") in found) == (("lmf", "kp") in found)
    if found:
        one, other = found["kp", "lmf"], found["lmf", "kp"]
        assert one.qualities == other.qualities
        assert one.mean == pytest.approx(1 / other.mean)
        assert one.lowest - 1e-9 <= one.mean <= one.highest + 1e-9


def test_the_points_of_the_figure_are_written_as_csv(tmp_path: Path):
    rows = [point("pruned", 1000, 1.0, 2), point("pruned", 250, 2.0, 8)]
    rows += [point("doped_kp", 800, 1.5, 3), point("doped_kp", 100, 2.5, 20)]
    lines = list(csv.DictReader(io.StringIO(csv_table.render_equal_quality([section_of(tmp_path, rows)]))))
    doped = [line for line in lines if (line["method"], line["size"]) == ("doped_kp", "bytes")]
    assert [float(line["loss_percent"]) for line in doped] == pytest.approx([50, 100])
    assert float(doped[0]["times_smaller"]) == pytest.approx(500 / 800)
    assert {line["baseline"] for line in lines} == {"pruned"}
