"""Several folders of results in one comparison: what is one trial, what are several, and what differs between folders."""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from synthetic_results import study, trial, tuned, write

from analysis.folders import join
from analysis.main import main
from analysis.report.take import takes
from analysis.results import load
from analysis.summary import summarize


def joined(*folders: Path):
    return join([load(folder) for folder in folders])


def test_other_settings_stand_beside_one_another_and_what_differs_is_named(tmp_path: Path):
    first, second = study([5, 20], [("pruned", 0.0), ("kp", 0.0)]), study([20], [("doped_kp", 0.3)], commit="newer")
    results = joined(write(tmp_path / "a", first), write(tmp_path / "b", second[3:]))
    (section,) = summarize(results)
    assert section.study == "a + b"
    assert [row.label for row in section.rows] == ["Dense", "Pruned", "KP", "Pruned", "KP", "Doped KP + CMR"]
    assert section.rows[-1].test_loss
    assert (
        main(["--results", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c"), "--only", "tables"]) == 0
    )
    said = (tmp_path / "c/tables.md").read_text(encoding="utf-8")
    assert "Folders compared: a (15 trials), b (3 trials). They differ in: commit (synthetic / newer)." in said


def test_the_same_trial_counts_once(tmp_path: Path):
    rows = study([20], [("pruned", 0.0)])
    results = joined(write(tmp_path / "a", rows), write(tmp_path / "b", [*rows, trial("kp", 20)]))
    (section,) = summarize(results)
    assert [(row.label, row.n) for row in section.rows] == [("Dense", 3), ("Pruned", 3), ("KP", 1)]
    assert not results.curves.duplicated().any()


def test_a_trial_trained_again_with_another_result_is_a_line_of_its_own(tmp_path: Path):
    def rows(worse: float) -> list[dict[str, Any]]:
        found = study([20], [("doped_kp", 0.0)], seeds=2)
        return [row | {"validation": row["validation"] + worse, "test": row["test"] + worse} for row in found]

    a, b = write(tmp_path / "a", rows(0.0)), write(tmp_path / "b", rows(0.5))
    results = joined(a, b)
    (section,) = summarize(results)
    labels = [row.label for row in section.rows]
    assert labels == ["Dense, in a", "Dense, in b", "Doped KP, in a", "Doped KP, in b"]
    assert section.dense
    assert section.dense.label == "Dense, in a"
    assert section.rows[3].test.mean == pytest.approx(section.rows[2].test.mean + 0.5)
    # Each line has the curve of its own folder.
    ends = results.curves.groupby("trial_id")["validation"].last()
    dense_a, dense_b, kp_a, kp_b = (ends[list(row.trials["trial_id"])].mean() for row in section.rows)
    assert (dense_b - dense_a, kp_b - kp_a) == pytest.approx((0.5, 0.5), abs=1e-5)
    own = next(row for row in section.rows if row.label == "Doped KP, in b").trials["trial_id"].iloc[0]
    assert own.endswith("@b")
    assert not any("@" in take.command for take in takes(section))


def test_other_training_makes_variants_and_other_data_sections(tmp_path: Path):
    longer = study([20], [("pruned", 0.0)], task__training__epochs=16)
    (section,) = summarize(joined(write(tmp_path / "a", study([20], [("pruned", 0.0)])), write(tmp_path / "b", longer)))
    assert [row.label for row in section.rows if row.method == "pruned"] == ["Pruned, epochs 8", "Pruned, epochs 16"]
    other = study([20], [("pruned", 0.0)], data_hash="other")
    assert len(summarize(joined(tmp_path / "a", write(tmp_path / "d", other)))) == 2


def test_budgets_of_tuning_are_those_of_the_own_folder(tmp_path: Path):
    a = write(tmp_path / "a", tuned([trial("dense"), trial("kp", 20)], 4))
    b = write(tmp_path / "b", tuned([trial("kp", 20, task__training__epochs=16)], 2))
    (section,) = summarize(joined(a, b))
    assert {row.tuning for row in section.rows} == {4, 2}


@pytest.mark.parametrize("same_name", [True, False])
def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], same_name: bool):
    a, b = write(tmp_path / "x/a", [trial("dense")]), write(tmp_path / "y" / ("a" if same_name else "b"), [trial("kp", 20)])
    out = ["--out", str(tmp_path / "c")] if same_name else []
    assert main(["--results", str(a), str(b), *out]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert ("told apart by their names" if same_name else "say with --out") in error


@pytest.mark.exhaustive(keep_every=2)
@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["tables"], {"tables.md", "tables.csv", "tables.tex", "equal_quality.csv"}),
        (["figures"], {"pareto", "cma", "equal_quality"}),
        (["report"], {"report.html", "equal_quality"}),
        (
            ["tables", "report"],
            {"tables.md", "tables.csv", "tables.tex", "equal_quality.csv", "equal_quality", "report.html"},
        ),
    ],
)
def test_only_what_is_asked_for_is_written(tmp_path: Path, only: list[str], expected: set[str]):
    write(tmp_path / "results", study([5, 20], [("pruned", 0.0), ("doped_kp", 0.0)], seeds=1))
    assert main(["--results", str(tmp_path / "results"), "--out", str(tmp_path / "out"), "--only", *only]) == 0
    names = {path.stem if path.suffix in (".png", ".svg") else path.name for path in (tmp_path / "out").iterdir()}
    assert names == expected


@pytest.mark.exhaustive
def test_tables_need_neither_figures_nor_charts(tmp_path: Path):
    write(tmp_path, study([5, 20], [("pruned", 0.0)], seeds=1))
    code = (
        "import sys\nfrom analysis.main import main\nassert main(sys.argv[1:]) == 0\n"
        "print([name for name in ('matplotlib', 'altair', 'vl_convert', 'torch') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, "--results", str(tmp_path), "--only", "tables"]
    answer = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"
    with (tmp_path / "tables.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 3
