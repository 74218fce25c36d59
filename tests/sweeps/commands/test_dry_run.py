"""A dry run says what would run, how large it is, how long it takes and what the disk must hold; and runs nothing."""

import csv
from pathlib import Path
from statistics import fmean

import pytest

from runs import STUDY, TUNED, run
from sweeps.commands import dry_run
from sweeps.commands.main import main


@pytest.fixture
def study(tmp_path):
    def write(content):
        path = tmp_path / "tiny.yaml"
        path.write_text(content)
        return path

    return write


def test_it_lists_every_cell_with_its_sizes(study, tmp_path):
    code, said, _ = run("instant", study(STUDY % "1, 2"), tmp_path / "out", "--dry-run")
    assert code == 0
    lines = said.splitlines()
    assert lines[0] == "tiny-quick: 6 trials of embedded-character, 0 of them finished"
    assert [line.split()[0] for line in lines[2:5]] == ["dense", "pruned", "doped_kp"]
    assert lines[2].split()[1:4] == ["3,200", "12,800", "3,200"], "two matrices of 80 x 20"
    assert not (tmp_path / "out").exists()


LOW_RANK = """\
description: tiny
presets:
  quick:
    task: {model: {hidden: 20, layers: 1}}
    seeds: [1]
    runs: [{method: kp, factor: 20, left_shape: [40, 1]}, {method: kp, factor: 16, left_shape: [4, 20]}]
"""


def test_a_kronecker_product_of_low_rank_is_said(study, tmp_path):
    """(40 x 1) ⊗ (2 x 20) has rank 1 · 2, (4 x 20) ⊗ (20 x 1) has rank 4 · 1."""
    _, said, _ = run("instant", study(LOW_RANK), tmp_path / "out", "--dry-run")
    assert [line.partition(": (")[2] for line in said.splitlines() if line.startswith("note: kp")] == [
        "40 x 1) ⊗ (2 x 20) has rank 2 of 20; another size or width may have more",
        "4 x 20) ⊗ (20 x 1) has rank 4 of 20; another size or width may have more",
    ]


def test_time_and_disk_are_known_before_anything_has_run(study, tmp_path):
    """Ten seconds a trial, four workers; a model of 2 MB, a checkpoint of 6 MB, and 0.6 MB of logs a trial."""
    _, said, _ = run("instant", study(STUDY % "1, 2, 3, 4"), tmp_path / "out", "--dry-run", "--workers", "4")
    assert "time: about 30 s for the 12 left with 4 workers, by steps of the dense model timed now" in said
    assert f"disk: at most about {3 * 2 + 4 * (6 + 2) + 12 * 0.6:.0f} MB" in said


def test_what_is_finished_is_counted_and_timed(study, tmp_path):
    out = tmp_path / "out"
    assert run("instant", study(STUDY % "1"), out)[0] == 0
    _, said, _ = run("instant", study(STUDY % "1, 2"), out, "--dry-run")
    assert "6 trials of embedded-character, 3 of them finished" in said
    assert "by those that are finished" in said


def test_the_budget_of_a_tuned_study_is_stated(study, tmp_path):
    _, said, _ = run("bowl", study(TUNED), tmp_path / "out", "--dry-run")
    assert "tiny-quick: 40 trials" in said
    assert "tuned: 8 settings a cell, of task.training.learning_rate, task.model.dropout, cmr.probability" in said
    assert said.count("0 of  8") == 4


def test_missing_data_is_no_error(tmp_path, monkeypatch):
    """A study can be looked at where its corpus is not at hand."""
    import contextlib
    import io

    said = io.StringIO()
    arguments = ["--study", "kp_vs_pruning", "--dry-run", "--out", str(tmp_path / "out"), "--set", "task.data.corpus=text"]
    with contextlib.redirect_stdout(said):
        assert main([*arguments, "--set", f"task.data.path={tmp_path / 'novel.txt'}"]) == 0
    assert "time and disk: unknown, because the data cannot be read" in said.getvalue()
    assert "doped_kp + cmr 20x" in said.getvalue()


@pytest.mark.exhaustive
def test_a_list_may_say_how_long_each_study_takes_here(monkeypatch, capsys):
    from sweeps.planning.estimate import Estimate

    seen = []

    def estimate(task, threads):
        seen.append(task.label)
        if task.name != "language_model":
            raise ValueError("no data")
        return Estimate(seconds=60.0, model_bytes=1, checkpoint_bytes=1)

    monkeypatch.setattr("sweeps.planning.estimate.estimate", estimate)
    assert main(["--list", "--times", "--workers", "2"]) == 0
    said = capsys.readouterr().out.splitlines()
    times = dict(
        line.strip().split(": ", 1) for line in said[next(k for k, line in enumerate(said) if "takes here" in line) + 1 :]
    )
    assert times["kp_vs_pruning"] == "about 11 min 30 s", "23 trials of a minute, two at a time"
    assert times["pareto"] == "about 56 min 0 s", "112 trials"
    assert times["atis"] == "not known, for its data are not here: docs/tasks.md"
    assert len(seen) < len(times), "a task that several studies share is timed once"


@pytest.mark.exhaustive
def test_a_list_says_how_to_learn_the_times(capsys):
    assert main(["--list"]) == 0
    assert "how long quick of each takes on this machine: --list --times" in capsys.readouterr().out.splitlines()[-1]


def test_what_is_said_of_doped_trials_was_measured():
    with (Path(__file__).parents[3] / "results/step_time.csv").open(newline="", encoding="utf-8") as file:
        ratios = [float(row["time_ratio"]) for row in csv.DictReader(file) if row["method"].startswith("doped")]
    assert pytest.approx(fmean(ratios), abs=0.01) == dry_run.DOPED_TIME
