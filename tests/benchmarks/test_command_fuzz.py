"""Studies and damaged files of any shape, a few of those of ``python -m benchmarks.command_fuzz``; and that it sees harm."""

import csv
import json

import pytest

from benchmarks.command_fuzz import command, runner
from sweeps.optuna_view.journal import JOURNAL


def test_studies_end_as_a_command_may(tmp_path):
    run = command.Studies(tmp_path / "studies")
    endings = {run(seed) for seed in range(20)}
    assert {about for about, _ in endings} == {"studies", "altered studies"}
    assert {ending for _, ending in endings} >= {"exit code 0", "exit code 2"}


@pytest.mark.exhaustive
def test_damaged_files_harm_nothing_else(tmp_path):
    run = command.Files(tmp_path / "files")
    endings = {run(seed) for seed in range(60)}
    assert {"row.json", "trial.json", "studies/*.json", "the study's file"} <= {about for about, _ in endings}


@pytest.mark.parametrize(
    ("broken", "words"),
    {
        "a defect": (lambda: [][0], "IndexError"),
        "another code": (lambda: 3, "exit code 3"),
        "no line": (lambda: 2, "not one line"),
        "a traceback": (lambda: print("Traceback (most recent call last)") or 0, "a traceback"),
    }.values(),
)
def test_harm_is_seen(broken, words):
    with pytest.raises(runner.Harm, match=words):
        runner.checked(broken, "nothing")


def test_a_row_that_a_command_spoils_is_seen(tmp_path, monkeypatch):
    run = command.Files(tmp_path / "files")
    out = tmp_path / "files" / "out"

    def spoils_rows(*given):
        for row in out.glob("trials/*/row.json"):
            row.write_text("{}")
        return runner.Said(1, "", "")

    monkeypatch.setattr(runner, "study", spoils_rows)
    monkeypatch.setattr(runner, "checked", spoils_rows)
    with pytest.raises(runner.Harm, match=r"^rows of .* are not what they were"):
        run(3)


def test_a_journal_whose_last_line_is_damaged_is_repaired_and_the_run_goes_on(tmp_path):
    run = command.Files(tmp_path / "files")
    out = tmp_path / "files" / "whole"
    entries = (out / JOURNAL).read_bytes()
    for end in (b'{"op": \n', b"3\n", b"\0\0\0\n", b'{"op"'):
        (out / JOURNAL).write_bytes(entries + end)
        with runner.without_workers():
            assert runner.study(run.arguments(out), "fake_training:bowl").code == 0
        # Optuna notes that the study was opened once more; nothing stands between.
        repaired = (out / JOURNAL).read_bytes()
        assert repaired.startswith(entries)
        assert all(isinstance(json.loads(line), dict) for line in repaired.splitlines())


@pytest.mark.parametrize("name", ["optuna.lock", "views.lock", JOURNAL])
def test_a_folder_in_place_of_a_file_is_named_or_put_aside(name, tmp_path):
    run = command.Files(tmp_path / "files")
    out = tmp_path / "files" / "whole"
    (out / name).unlink()
    (out / name).mkdir()
    with runner.without_workers():
        said = runner.study(run.arguments(out), "fake_training:bowl")
    if name == JOURNAL:
        assert (said.code, (out / name).is_file()) == (0, True)
    else:
        assert said.code == 2
        assert f"{out / name} is a folder where a file belongs" in said.error


def test_the_table_says_what_came_of_it(tmp_path):
    assert command.main(["--studies", "2", "--files", "2", "--out", str(tmp_path / "fuzz.csv")]) == 0
    with (tmp_path / "fuzz.csv").open(newline="") as file:
        assert sum(int(row["count"]) for row in csv.DictReader(file)) == 4
