"""The words beside the curves: where they turn, what the end has lost, and which part carries the model."""

from pathlib import Path

import pytest
from synthetic_results import CURVE_COLUMNS, WATCHED, trial, write

from analysis.report.degradation import reading
from analysis.results import load
from analysis.summary import summarize


def said(folder: Path, row: dict[str, object], courses: list[dict[str, float]]) -> list[str]:
    """What is said of a curve with these points."""
    write(folder, [trial("dense"), row])
    columns = [*CURVE_COLUMNS, *WATCHED]
    lines = [{"trial_id": row["trial_id"], "step": 10 * i, **point} for i, point in enumerate(courses)]
    text = [",".join(columns), *(",".join(str(line.get(name, "")) for name in columns) for line in lines)]
    (folder / "curves.csv").write_text("\n".join(text) + "\n", encoding="utf-8")
    results = load(folder)
    (section,) = summarize(results)
    return reading(section, results.curves)


def course(*values: float, **last: float) -> list[dict[str, float]]:
    sparsity = (0.0, 0.5, 0.9, 0.95)
    return [{"sparsity": s, "validation": v, **last} for s, v in zip(sparsity, values, strict=True)]


def test_a_hump_and_who_carries(tmp_path: Path):
    watched = {"energy_sparse": 0.9, "validation_without_sparse": 5.0, "validation_without_structured": 3.0}
    (text,) = said(tmp_path, trial("doped_kp", 20, validation=2.65), course(2.8, 2.6, 2.7, 2.75, **watched))
    assert text == (
        "Doped KP at 20×: its validation falls to 2.600 at a sparsity of 50.0 % and then rises by 0.150 until 95.0 %: "
        "values of S go on which M has leaned. It ends with 2.650, 0.050 above that lowest point: that is what pruning cost."
        " S x carries 90.0 % of the energy at the end of the annealing; on the monitored batch validation is 5.000 with S "
        "switched off and 3.000 with M off, so S does more of the work."
    )


def test_no_hump(tmp_path: Path):
    (text,) = said(tmp_path, trial("doped_kp", 20, validation=2.4), course(2.8, 2.7, 2.6, 2.5))
    assert "falls to 2.500 at a sparsity of 95.0 %, the last of the annealing, and never rises" in text
    assert "0.100 below it" in text
    assert "were not measured" in text


def test_pruning_has_no_parts(tmp_path: Path):
    (text,) = said(tmp_path, trial("pruned", 20, validation=2.65), course(2.8, 2.6, 2.7, 2.75))
    assert "values go that the others lean on" in text
    assert " M " not in text


@pytest.mark.parametrize("method", ["kp", "dense"])
def test_nothing_is_said_where_nothing_is_pruned(tmp_path: Path, method: str):
    assert said(tmp_path, trial(method, 20, 7), course(2.8, 2.6, 2.7, 2.75)) == []


def test_a_rise_within_the_spread_of_the_seeds_is_no_hump(tmp_path: Path):
    rows = [trial("doped_kp", 20, seed, validation=2.65) for seed in (1, 2)]
    write(tmp_path, [trial("dense"), *rows])
    lines = [",".join(CURVE_COLUMNS)]
    for row, offset in zip(rows, (0.0, 0.1), strict=True):
        for i, point in enumerate(course(2.8, 2.6, 2.62, 2.65)):
            lines.append(f"{row['trial_id']},{10 * i},,{point['sparsity']},,,{point['validation'] + offset}")
    (tmp_path / "curves.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    results = load(tmp_path)
    (section,) = summarize(results)
    (text,) = reading(section, results.curves)
    assert "rises by 0.050, no more than its seeds differ" in text
