"""The command: what it writes, that it writes the same again, and how it answers mistakes."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic_results import COLUMNS, study, trial, write

from analysis.main import main

ROOT = Path(__file__).parents[2]
METHODS = [("pruned", 0.0), ("lmf", 0.0), ("doped_kp", 0.0), ("doped_kp", 0.3)]


def edit(folder: Path, **changes: str) -> None:
    """Overwrite columns of the second row of results, or drop them where the value is ``DROP``."""
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [name for name in (*COLUMNS, *changes.keys() - {*COLUMNS}) if changes.get(name) != "DROP"]
    rows[1] |= changes
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, kept, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.exhaustive
def test_writes_all_files_and_the_same_again(tmp_path: Path):
    write(tmp_path / "results", study([5, 20], METHODS, seeds=2))
    for name in ("first", "second"):
        assert main(["--results", str(tmp_path / "results"), "--out", str(tmp_path / name)]) == 0
    names = {"tables.md", "tables.csv", "tables.tex", "equal_quality.csv", "report.html"}
    names |= {f"{figure}.{kind}" for figure in ("pareto", "cma", "equal_quality") for kind in ("png", "svg")}
    assert {path.name for path in (tmp_path / "first").iterdir()} == names
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name


def test_out_is_the_results_folder_by_default(tmp_path: Path):
    write(tmp_path, [trial("dense"), trial("lmf", 5)])
    assert main(["--results", str(tmp_path), "--only", "tables"]) == 0
    assert (tmp_path / "tables.md").is_file()


def test_no_cma_figure_without_a_sparse_part_and_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(tmp_path, study([5, 20], [("lmf", 0.0)], seeds=1))
    assert main(["--results", str(tmp_path), "--only", "figures"]) == 0
    assert "no cma figure for synthetic" in capsys.readouterr().out
    assert not (tmp_path / "cma.png").exists()


def test_study_restricts_tables_and_figures(tmp_path: Path):
    write(tmp_path, [*study([5], METHODS, seeds=1), trial("dense", study="other"), trial("kp", 9, study="other")])
    assert main(["--results", str(tmp_path), "--study", "other"]) == 0
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "# Study other" in text
    assert "# Study synthetic" not in text
    assert (tmp_path / "pareto.svg").is_file()


def test_help_from_another_folder(tmp_path: Path):
    command = [sys.executable, str(ROOT / "analysis/make_tables.py"), "--help"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert answer.returncode == 0
    assert "--results DIR" in answer.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--results", "nowhere"]])
def test_help_and_a_missing_folder_need_no_heavy_import(arguments: list[str]):
    code = (
        "import sys\nfrom analysis.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = ('pandas', 'matplotlib', 'numpy', 'yaml', 'scipy', 'altair', 'torch')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "[]", answer.stdout


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What was written on stderr, which has to be one line and no traceback."""
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.startswith("error: ")
    return text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"validation": "DROP", "settings": "DROP"}, "lacks the column(s) settings, validation"),
        ({"validation": "good"}, "row 3: validation is 'good', expected a number"),
        ({"validation": ""}, "row 3: validation is nan, expected a number (finished)"),
        ({"test": "inf"}, "row 3: test is inf"),
        ({"values": ""}, "row 3: values is nan"),
        ({"seed": ""}, "row 3: seed is nan"),
        ({"stage": "rehearsal"}, "row 3: stage is 'rehearsal', expected tuning or final"),
        ({"settings": "{"}, "row 3: settings is not the JSON of a trial"),
        ({"settings": "[1]"}, "row 3: settings is not the JSON of a trial"),
        ({"metric": "perplexity"}, "has several metrics (bits_per_character, perplexity)"),
    ],
)
def test_mistakes_in_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], expected: str):
    write(tmp_path, study([5], METHODS, seeds=2))
    edit(tmp_path, **changes)
    assert main(["--results", str(tmp_path)]) == 2
    assert expected in one_line(capsys)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("results.csv", None, "no file"),
        ("curves.csv", None, "no file"),
        ("results.csv", b"", "results.csv is empty"),
        ("curves.csv", b"", "curves.csv is empty"),
        ("results.csv", (",".join(COLUMNS) + "\n").encode(), "has no rows"),
        ("curves.csv", b"trial_id,step\n", "lacks the column(s) sparsity, validation"),
        ("results.csv", b"a,b\n1,2,3\n4,5,6,7\n", "is not a CSV file"),
        ("results.csv", b"\xff\xfe\x00", "is not a CSV file"),
    ],
)
def test_mistakes_in_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, expected: str
):
    write(tmp_path, study([5], METHODS, seeds=1))
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    assert main(["--results", str(tmp_path)]) == 2
    assert expected in one_line(capsys)


def test_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--results", str(tmp_path / "nowhere")]) == 2
    assert "no folder" in one_line(capsys)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dense", [[], [trial("dense", status="diverged")], [trial("dense", status="failed")]])
def test_without_dense_all_is_written_but_the_loss_against_it(tmp_path: Path, dense: list[dict[str, str]]):
    compressed = [("pruned", 0.0), *(("doped_kp", p) for p in (0.0, 0.1, 0.3))]
    write(tmp_path, [*dense, *(row for row in study([5, 20], compressed) if row["method"] != "dense")], closely=True)
    assert main(["--results", str(tmp_path)]) == 0
    figures = {f"{name}.png" for name in ("pareto", "equal_quality", "cma", "cmr", "parts")}
    assert figures <= {path.name for path in tmp_path.iterdir()}
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "Loss: none, as no dense trial of this task has finished" in text
    assert "| Loss" not in text
    assert "Against Dense" not in text
    with (tmp_path / "tables.csv").open(encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["method"] != "dense"]
    assert all(float(line["test_mean"]) > 0 and line["test_loss_percent_mean"] == "" for line in lines)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No dense trial of this task has finished" in page
    assert "is ahead" in page


def test_no_finished_trial_at_all_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(tmp_path, [trial("kp", 20, status="failed"), trial("kp", 10, status="diverged")])
    assert main(["--results", str(tmp_path)]) == 2
    assert "has no finished trial: 1 diverged, 1 failed" in one_line(capsys)


def test_a_trial_that_stands_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(tmp_path, [trial("dense"), trial("dense")])
    assert main(["--results", str(tmp_path)]) == 2
    assert "stands twice in study synthetic" in one_line(capsys)


def test_unknown_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(tmp_path, [trial("dense")])
    assert main(["--results", str(tmp_path), "--study", "syntetic"]) == 2
    assert "did you mean 'synthetic'?" in one_line(capsys)


def test_out_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(tmp_path, [trial("dense"), trial("kp", 20)])
    assert main(["--results", str(tmp_path), "--out", str(tmp_path / "results.csv" / "below")]) == 2
    assert "cannot write to" in one_line(capsys)


def test_unknown_flag(capsys: pytest.CaptureFixture[str]):
    assert main(["--result-folder", "x"]) == 2
    assert "--result-folder" in one_line(capsys)
