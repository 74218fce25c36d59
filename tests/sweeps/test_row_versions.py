"""A finished trial is kept, whichever version of the program wrote its row; what cannot be read is named and kept aside."""

import json
from pathlib import Path

import fake_training
import pytest
from fake_training import STUDY

from doping.method import Method
from sweeps.commands.main import main
from sweeps.results.rows import VERSION, NewerRow, Row, TornRow, read_row, row_of, write_row
from sweeps.trials.dotted_names import Functions
from sweeps.trials.trial import Trial
from tasks.language_model import LanguageModelTask

FUNCTIONS = Functions(train="fake_training:instant", data_hash="fake_training:data_hash")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A function that runs a study of two trials in ``tmp_path/out``, and returns its exit code."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))  # where workers find ``fake_training``
    file = tmp_path / "tiny.yaml"
    file.write_text(STUDY)
    runs = "runs=[{method: dense}, {method: doped_kp, factor: 5}]"
    arguments = ["--study", str(file), "--out", str(tmp_path / "out"), "--set", "seeds=[1]", "--set", runs]
    return lambda *more: main([*arguments, "--wandb", "off", "--workers", "1", *more], FUNCTIONS)


@pytest.fixture
def finished():
    """A row of doped Kronecker products."""
    method = Method(name="doped_kp", factor=7, cmr={"probability": 0.3})
    trial = Trial(task=LanguageModelTask(), method=method, seed=3, data_hash="d" * 64)
    return row_of(trial, fake_training.outcome(trial, 2.5), seconds=1.5, started="2026-01-01T00:00:00+00:00")


def rows(folder: Path) -> list[Path]:
    return sorted(folder.glob("out/trials/*/row.json"))


def altered(path: Path, **fields: object) -> bytes:
    """Rewrite a row with other fields; None takes one out. Returns the new content."""
    content = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
    return path.read_bytes()


def test_a_row_says_its_version(study, tmp_path):
    assert study() == 0
    assert [json.loads(path.read_text())["version"] for path in rows(tmp_path)] == [VERSION, VERSION]
    assert "version" not in (tmp_path / "out" / "results.csv").read_text().splitlines()[0].split(",")


def test_a_row_of_the_future_is_not_run_again(study, tmp_path):
    assert study() == 0
    before = {
        path: altered(path, version=VERSION + 1, a_column_of_the_future=[1], measures={"f2": 0.5}) for path in rows(tmp_path)
    }
    assert study() == 0
    assert {path: path.read_bytes() for path in rows(tmp_path)} == before
    header, *lines = (tmp_path / "out" / "results.csv").read_text().splitlines()
    assert "a_column_of_the_future" not in header
    assert len(lines) == 2


@pytest.mark.parametrize(
    "missing",
    [
        *("version", "task", "method", "cmr", "cf_requested", "cf_unit", "seed", "seconds", "data_hash", "commit"),
        *("started", "host", "hardware", "versions", "measures", "best_validation", "bundle_bytes", "peak_memory_mb"),
    ],
)
def test_a_row_of_the_past_lacks_a_column(missing, finished, tmp_path):
    folder = tmp_path / finished.trial_id
    folder.mkdir()
    write_row(folder, finished)
    altered(folder / "row.json", **{missing: None})
    read = read_row(folder)
    assert read.status == "finished"
    if missing in ("method", "cmr", "cf_requested", "cf_unit", "seed", "data_hash"):
        # What defines the trial is not guessed, but read from its settings.
        assert getattr(read, missing) == getattr(finished, missing)


def test_a_row_of_the_past_is_not_run_again(study, tmp_path):
    assert study() == 0
    lacking = dict.fromkeys(["version", "host", "versions", "cf_unit", "measures", "cmr"])
    before = {path: altered(path, **lacking) for path in rows(tmp_path)}
    assert study() == 0
    assert {path: path.read_bytes() for path in rows(tmp_path)} == before


def test_columns_that_are_not_known_survive_when_a_row_is_written_again(study, tmp_path):
    assert study() == 0
    path = rows(tmp_path)[0]
    altered(path, a_column_of_the_future={"x": [1, 2]}, version=VERSION + 1)
    row = read_row(path.parent)
    write_row(path.parent, row.model_copy(update={"latency_us": 7.5}))
    content = json.loads(path.read_text())
    assert content["a_column_of_the_future"] == {"x": [1, 2]}
    assert content["version"] == VERSION + 1
    assert content["latency_us"] == 7.5


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize(
    "torn",
    [b"", b"{", b"[]", b"null", b"{}", b'{"trial_id": "x"}', b"\xff\xfe", b'{"a":' * 2000, b'{"version": 1, "status": 3}'],
    ids=range(9),
)
def test_a_torn_row_is_put_aside_named_and_its_trial_run_again(torn, study, tmp_path, capsys):
    assert study() == 0
    path = rows(tmp_path)[0]
    before = json.loads(path.read_text())
    path.write_bytes(torn)
    with pytest.raises(TornRow):
        read_row(path.parent)
    capsys.readouterr()
    assert study() == 0
    assert "is not a whole row" in capsys.readouterr().out
    assert json.loads(path.read_text())["validation"] == before["validation"]
    (aside,) = path.parent.glob("row.json.unreadable-*")
    assert aside.read_bytes() == torn


@pytest.mark.parametrize("lacking", [{"validation": None}, {"validation": "NaN"}], ids=str)
def test_a_finished_row_without_a_result_is_no_row(lacking, study, tmp_path, capsys):
    assert study() == 0
    path = rows(tmp_path)[0]
    altered(path, **lacking)
    with pytest.raises(TornRow, match="has no validation"):
        read_row(path.parent)
    assert study() == 0
    assert read_row(path.parent).validation is not None


def test_a_folder_in_place_of_a_row_is_put_aside_too(study, tmp_path):
    assert study() == 0
    path = rows(tmp_path)[0]
    path.unlink()
    path.mkdir()
    assert study() == 0
    assert read_row(path.parent).status == "finished"


def test_a_row_of_the_future_that_cannot_be_read_is_one_line_and_stays(study, tmp_path, capsys):
    assert study() == 0
    path = rows(tmp_path)[0]
    before = altered(path, version=VERSION + 1, status="a status of the future")
    with pytest.raises(NewerRow):
        read_row(path.parent)
    capsys.readouterr()
    for flags in ((), ("--status",)):
        assert study(*flags) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"version {VERSION + 1}" in error
        assert "status" in error
        assert path.read_bytes() == before


def test_a_row_does_not_name_the_machine(study, tmp_path):
    import platform

    assert study() == 0
    for path in rows(tmp_path):
        assert platform.node() not in path.read_text()
        assert len(Row.model_validate_json(path.read_text()).host) == 6
