"""Comparisons paired by seed, against scipy's own test, and Holm's correction against its definition by closed testing."""

import itertools
import math
from pathlib import Path

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from synthetic_results import study, trial, write

from analysis.results import load
from analysis.section import TableRow
from analysis.stats import significance
from analysis.stats.significance import Differences
from analysis.summary import summarize


def compared(folder: Path, rows: list[dict[str, object]]) -> dict[tuple[str, float], tuple[TableRow, Differences]]:
    (section,) = summarize(load(write(folder, rows)))
    found = zip(section.rows, significance.compare(section), strict=True)
    return {(row.label, row.factor): (row, of_row) for row, of_row in found}


def by_holm(p: list[float]) -> list[float]:
    """Closed testing: the largest Bonferroni p-value of all sets of hypotheses that hold this one."""
    sets = [chosen for size in range(1, len(p) + 1) for chosen in itertools.combinations(range(len(p)), size)]
    return [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(len(p))]


@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p: list[float]):
    assert significance.holm(p) == pytest.approx(by_holm(p))


def test_differences_and_p_values_are_those_of_a_paired_t_test(tmp_path: Path):
    found = compared(tmp_path, study([5, 20], [("pruned", 0.0), ("kp", 0.0), ("doped_kp", 0.0)], seeds=4))
    _, of_kp = found["KP", 20]
    kp, pruned = (list(found[label, 20][0].trials.sort_values("seed")["test"]) for label in ("KP", "Pruned"))
    expected = scipy.stats.ttest_rel(kp, pruned)
    known = of_kp["pruned"]
    assert known.statistic.mean == pytest.approx(sum(kp) / 4 - sum(pruned) / 4)
    assert known.p == pytest.approx(expected.pvalue)
    assert known.statistic.interval is not None
    low, high = expected.confidence_interval(0.95)
    assert known.statistic.mean + known.statistic.interval == pytest.approx(high)
    assert known.statistic.mean - known.statistic.interval == pytest.approx(low)


def test_the_correction_is_over_all_comparisons_with_one_kind_of_reference(tmp_path: Path):
    found = compared(tmp_path, study([5, 20], [("pruned", 0.0), ("kp", 0.0), ("doped_kp", 0.0)], seeds=3))
    for kind in ("best", "pruned", "dense"):
        known = [of_row[kind] for _, of_row in found.values() if kind in of_row]
        assert len(known) >= 4
        assert [one.p_corrected for one in known] == pytest.approx(by_holm([one.p for one in known if one.p is not None]))


def test_what_a_row_is_compared_with(tmp_path: Path):
    rows = study([10], [("pruned", 0.0), ("doped_kp", 0.0), ("doped_kp", 0.3)], seeds=2)
    rows += [trial("doped_kp", 10, seed, 0.3, method__annealing__length=0.3) for seed in (1, 2)]
    references = {
        label: {kind: known.reference.label for kind, known in of_row.items()}
        for (label, _), (_, of_row) in compared(tmp_path, rows).items()
    }
    plain, short = (f"Doped KP + CMR, annealing length {length}" for length in (0.55, 0.3))
    assert references["Dense"] == {}
    best = next(reference["best"] for reference in references.values() if "best" in reference)
    assert references["Pruned"] == {"dense": "Dense", "best": best}
    assert references[plain]["without_cmr"] == "Doped KP"
    # Trained otherwise, it has no counterpart without CMR.
    assert "without_cmr" not in references[short]
    assert "best" not in references[best]


def test_only_seeds_in_common_are_compared_and_one_pair_proves_nothing(tmp_path: Path):
    rows = [trial("dense", seed=seed, test=2.0 + seed) for seed in (1, 2, 3)]
    rows += [trial("kp", 10, seed, test=2.5 + 1.5 * seed) for seed in (2, 3, 4)]
    rows += [trial("lmf", 10, 1, test=5.0), trial("hmd", 10, 9), trial("pruned", 10, 1, status="diverged")]
    found = compared(tmp_path, rows)
    kp = found["KP", 10][1]["dense"]
    assert (kp.statistic.n, kp.statistic.mean) == (2, pytest.approx(1.75))
    lmf = found["LMF", 10][1]["dense"]
    assert (lmf.statistic.mean, lmf.p, lmf.p_corrected, lmf.significant) == (pytest.approx(2), None, None, False)
    assert found["HMD", 10][1] == {}
    assert "pruned" not in found["KP", 10][1]


def test_differences_without_any_spread(tmp_path: Path):
    rows = [trial("dense", seed=seed, test=2.0) for seed in (1, 2)]
    rows += [trial("kp", 10, seed, test=2.0) for seed in (1, 2)] + [trial("lmf", 10, seed, test=3.0) for seed in (1, 2)]
    found = compared(tmp_path, rows)
    assert (found["KP", 10][1]["dense"].p, found["LMF", 10][1]["dense"].p) == (1.0, 0.0)


def test_two_seeds_can_be_significant_only_if_they_agree(tmp_path: Path):
    rows = [trial("dense", seed=seed, test=2.0) for seed in (1, 2)]
    rows += [trial("kp", 10, 1, test=2.1), trial("kp", 10, 2, test=2.5)]
    known = compared(tmp_path, rows)["KP", 10][1]["dense"]
    # One degree of freedom: Student's t is Cauchy's distribution, whose tail is an arc tangent.
    t = 0.3 / (math.sqrt(0.08) / math.sqrt(2))
    assert known.p == pytest.approx(1 - 2 * math.atan(t) / math.pi)
    assert not known.significant
