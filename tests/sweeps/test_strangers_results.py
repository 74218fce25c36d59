"""Results of somebody else are data: no command that reads a folder of them runs code from it or touches what is outside."""

import json
from pathlib import Path

import pytest
from fake_training import STUDY

from analysis.main import main as make_tables
from sweeps.commands.export_model import main as export
from sweeps.commands.main import main as run
from sweeps.commands.measure_latency import main as measure
from sweeps.planning.plan import saved_plans
from sweeps.results.folder import ResultsFolder
from sweeps.results.kept_models import thin
from sweeps.trials.dotted_names import Functions
from tasks import registry

FUNCTIONS = Functions(train="fake_training:instant", data_hash="fake_training:data_hash")
EVIL = "evil_stranger:Task"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The arguments of a study that was run in ``tmp_path/out``."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))
    monkeypatch.setattr(registry, "_trusted", set())
    file = tmp_path / "tiny.yaml"
    file.write_text(STUDY)
    arguments = ["--study", str(file), "--set", "seeds=[1]", "--wandb", "off", "--workers", "1"]
    assert run([*arguments, "--out", str(tmp_path / "out")], FUNCTIONS) == 0
    return arguments


@pytest.fixture
def folder(study, tmp_path, monkeypatch):
    """Their results, in which every trial is of a task whose module leaves a file ``ran`` where it is imported."""
    (tmp_path / "evil_stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "out"
    for trial in (folder / "trials").iterdir():
        settings = json.loads((trial / "trial.json").read_text())
        settings["task"]["name"] = EVIL
        (trial / "trial.json").write_text(json.dumps(settings))
        row = json.loads((trial / "row.json").read_text())
        (trial / "row.json").write_text(json.dumps(row | {"settings": json.dumps(settings)}))
        (trial / "model.ckpt").write_bytes(b"")
    return folder


def commands(study: list[str], folder: Path, out: Path):
    trial = next(iter(sorted((folder / "trials").iterdir())))
    start = f"task.training.start_from.path={trial}"
    yield lambda: export(["--from", str(trial), "--out", str(out)])
    yield lambda: export(["--from", str(folder), "--method", "dense", "--out", str(out)])
    yield lambda: measure(["--results", str(folder)])
    yield lambda: run([*study, "--out", str(out), "--set", start, "--dry-run"], FUNCTIONS)
    yield lambda: run([*study, "--out", str(out), "--set", start], FUNCTIONS)
    yield lambda: run(["--status", "--out", str(folder)], FUNCTIONS)
    yield lambda: run([*study, "--out", str(folder), "--export", str(out / "exported")], FUNCTIONS)
    yield lambda: run([*study, "--out", str(folder)], FUNCTIONS)
    yield lambda: make_tables(["--results", str(folder), "--out", str(out)])


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("number", range(9))
def test_no_command_runs_the_code_that_results_name(number, study, folder, tmp_path, capsys):
    capsys.readouterr()
    command = list(commands(study, folder, tmp_path / "new"))[number]
    assert command() in (0, 2)
    assert not (tmp_path / "ran").exists()
    error = capsys.readouterr().err
    assert error.count("\n") <= 1
    if number < 5:
        assert EVIL in error
        assert "--trust" in error


def test_an_own_task_is_read_by_those_who_trust_it(study, folder, tmp_path, capsys):
    assert export(["--from", str(next((folder / "trials").iterdir())), "--out", str(tmp_path / "m"), "--trust", EVIL]) == 2
    assert (tmp_path / "ran").exists()


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize(
    "name", [3, None, [], {}, True, "", "nothing", "..a:b", "a:", ":b", "os.path:join", "os:no", "a b:c"]
)
def test_a_name_that_is_no_task_is_one_line(name, study, tmp_path, capsys):
    capsys.readouterr()
    given = f"task.name={json.dumps(name)}"
    assert run([*study, "--out", str(tmp_path / "new"), "--set", given, "--dry-run"], FUNCTIONS) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize(
    "id_", ["../../../mine", "/etc", "..", ".", "", "0123456789abc", "0123456789AB", 3, None, "0123456789a\n"]
)
def test_ids_in_plans_name_no_folder_outside(id_, study, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "model.ckpt").write_bytes(b"precious")
    plan = next((tmp_path / "out" / "studies").glob("*.json"))
    content = json.loads(plan.read_text())
    content["trials"][0]["id"] = id_
    plan.write_text(json.dumps(content))
    assert saved_plans(plan.parent) == {}
    thin(ResultsFolder(tmp_path / "out"))
    assert (mine / "model.ckpt").read_bytes() == b"precious"
