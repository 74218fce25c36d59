"""An export holds one study's results and what made them, and nothing else is touched."""

import json

import pytest
import yaml

from runs import STUDY, rows, run


@pytest.fixture
def results(tmp_path):
    """A folder with two studies."""
    for name, seeds in (("tiny", "1, 2"), ("other", "7")):
        path = tmp_path / f"{name}.yaml"
        path.write_text(STUDY % seeds)
        assert run("bowl", path, tmp_path / "out")[0] == 0
    return tmp_path / "out"


def test_an_export_can_be_run_again(results, tmp_path):
    kept = tmp_path / "kept"
    code, said, err = run("bowl", tmp_path / "tiny.yaml", results, "--set", "seeds=[1, 2]", "--export", kept)
    assert code == 0, err
    assert "wrote 6 rows of tiny-quick" in said
    assert [row for row in rows(results) if row["study"] == "tiny-quick"] == rows(kept)
    assert len((kept / "curves.csv").read_text().splitlines()) == 1 + 6 * 10
    about = json.loads((kept / "about.json").read_text())
    assert about["trials"] == 6
    assert about["command"].endswith("tiny.yaml --set 'seeds=[1, 2]'")
    assert about["hardware"] == sorted({row["hardware"] for row in rows(kept)})
    study = yaml.safe_load((kept / "study.yaml").read_text())
    assert study["presets"]["quick"]["seeds"] == [1, 2]
    code, said, _ = run("bowl", kept / "study.yaml", results, "--dry-run")
    assert "6 trials of embedded-character, 6 of them finished" in said


def test_an_export_replaces_an_export_only(results, tmp_path):
    kept = tmp_path / "kept"
    arguments = ("bowl", tmp_path / "tiny.yaml", results, "--export", kept)
    assert run(*arguments)[0] == 0
    assert run(*arguments)[0] == 0
    (kept / "about.json").unlink()
    code, _, err = run(*arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert "--export" in err


def test_nothing_to_export_is_one_line(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY % "1")
    code, _, err = run("bowl", path, tmp_path / "out", "--export", tmp_path / "kept")
    assert (code, err.count("\n")) == (2, 1)
    assert "no results" in err
    assert not (tmp_path / "kept").exists()
