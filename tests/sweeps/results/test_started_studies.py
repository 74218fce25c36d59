"""Studies that start from a trained dense model: finding it, refusing others, and going on after a stop."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import pytest
import small_text
import torch
import toy_translation
from labelled_texts import write_folder

from doping.method import Method
from sweeps.commands.main import main
from sweeps.results.dense_start import with_start
from sweeps.results.trained_models import NoModel
from sweeps.trials.outcome import Interrupted
from sweeps.trials.trial import Trial
from sweeps.worker import train as training
from sweeps.worker.train import train
from tasks.language_model import LanguageModelTask
from tasks.registry import data_hash

pytestmark = pytest.mark.filterwarnings("ignore")

STUDY = """
description: a start
presets:
  quick:
    task:
      data: DATA
      model: {hidden: 20, dropout: 0.1}
      training: {epochs: 2, batch_size: 8, sequence_length: 20, validations: 4}
    seeds: [1, 2]
    runs:
      - {method: dense}
      - {method: doped_kp, factor: 5, seeds: [1]}
"""


@pytest.fixture(autouse=True)
def _wandb_off(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Folder of a study with two dense models and a compressed one."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "study.yaml").write_text(STUDY.replace("DATA", small_text.YAML))
    assert run(folder, folder / "dense") == 0
    return folder


def run(folder: Path, out: Path, *settings: str) -> int:
    flags = [flag for setting in settings for flag in ("--set", setting)]
    study = ["--study", str(folder / "study.yaml"), "--out", str(out), "--wandb", "off", "--workers", "1", "--quiet"]
    return main([*study, *flags])


def rows(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("trials/*/row.json"))]


def trial_from(start: Path, method: Method, distillation: float = 0.5) -> Trial:
    task = LanguageModelTask(
        data=small_text.DATA,
        model={"hidden": 20, "dropout": 0.1},
        training={
            "epochs": 2, "batch_size": 8, "sequence_length": 20, "validations": 4,
            "start_from": {"path": str(start), "distillation": distillation},
        },
    )  # fmt: skip
    digest = data_hash(task)
    return Trial(task=with_start(task, digest), method=method, seed=1, data_hash=digest)


def test_a_study_starts_from_the_best_dense_model_of_another(results):
    assert run(results, results / "started", f"task.training.start_from.path={results / 'dense'}") == 0
    dense = [row for row in rows(results / "dense") if row["method"] == "dense"]
    best = min(dense, key=lambda row: row["validation"])
    started = rows(results / "started")
    assert len(started) == 3
    for row in started:
        start = json.loads(row["settings"])["task"]["training"]["start_from"]
        assert start["trial"] == best["trial_id"]
        assert row["validation"] < best["validation"] + 0.1, "it goes on from what was learned"


def test_an_export_has_paths_relative_to_where_it_was_made(results, tmp_path, monkeypatch):
    shutil.copytree(results, tmp_path / "here", dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path / "here")
    folder, out = Path("dense"), Path("out")
    study = ["--study", "study.yaml", "--wandb", "off", "--workers", "1", "--quiet", "--out", str(out)]
    study += ["--set", f"task.training.start_from.path={folder}", "--set", "runs=[{method: kp, factor: 5, seeds: [1]}]"]
    assert main(study) == 0
    assert main([*study, "--export", "kept"]) == 0
    kept = Path("kept/results.csv").read_text()
    assert str(tmp_path) not in kept
    assert '""path"":""dense/trials/' in kept
    with Path("kept/results.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert Trial.model_validate_json(row["settings"]).id == row["trial_id"]


def test_the_folder_is_no_part_of_what_identifies_a_trial(results, tmp_path):
    shutil.copytree(results / "dense", tmp_path / "elsewhere")
    method = Method(name="kp", factor=5)
    here, there = trial_from(results / "dense", method), trial_from(tmp_path / "elsewhere", method)
    assert here.id == there.id
    assert here.id != trial_from(results / "dense", method, distillation=0.2).id
    other = next((results / "dense" / "trials").glob("*/row.json")).parent
    if json.loads((other / "row.json").read_text())["method"] == "dense":
        assert trial_from(other, method).task.training.start_from.trial == other.name


@pytest.mark.exhaustive
def test_an_interrupted_trial_goes_on_to_the_same_result(results, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(training, "REPORT_SECONDS", 0)
    trial = trial_from(results / "dense", Method(name="doped_kp", factor=5, cmr={"probability": 0.3}))

    def stop_in_the_middle(progress):
        if progress.share > 0.6:
            raise Interrupted

    calm, interrupted = tmp_path / "calm", tmp_path / "interrupted"
    calm.mkdir()
    interrupted.mkdir()
    with pytest.raises(Interrupted):
        train(trial, interrupted, stop_in_the_middle, 1)
    assert (interrupted / "checkpoint.ckpt").exists()
    assert train(trial, interrupted, lambda progress: None, 1) == train(trial, calm, lambda progress: None, 1)


def test_mistakes_are_one_line(results, tmp_path, capsys):
    compressed = next(row["trial_id"] for row in rows(results / "dense") if row["method"] == "doped_kp")
    (tmp_path / "empty" / "trials").mkdir(parents=True)
    dense = f"task.training.start_from.path={results / 'dense'}"
    for settings, said in [
        (
            ["task.training.start_from.path=/no/where"],
            "/no/where holds no trained model; give the folder of a trial, or of a study's results",
        ),
        ([f"task.training.start_from.path={tmp_path / 'empty'}"], "has no finished trial of dense; it has none at all"),
        ([f"task.training.start_from.path={results / 'dense' / 'trials' / compressed}"], "is doped_kp; a training starts"),
        ([dense, "task.model.hidden=24"], "has hidden 20, this study 24; they must be equal"),
        ([dense, "task.data.limit=3000"], "was trained on other data (text-character, hash"),
        ([dense, "task.training.start_from.distillation=2"], "distillation: 2 was given, expected less than or equal to 1"),
        (["task.training.start_from.distillation=0.5"], "start_from.path: this key is missing"),
    ]:
        capsys.readouterr()
        assert run(results, tmp_path / "out", *settings) == 2, settings
        captured = capsys.readouterr()
        assert said in captured.err
        assert captured.err.count("\n") == 1
        assert "start_from" in captured.err


def intent(folder: Path) -> str:
    write_folder(folder)
    return (
        f"{{name: intent, data: {{corpus: file, path: {folder}}}, model: {{hidden: 20}}, "
        "training: {epochs: 4, batch_size: 8, learning_rate: 0.02, validations: 4}}"
    )


def translation(folder: Path) -> str:
    path = toy_translation.write(folder, 200)
    return (
        f"{{name: translation, data: {{corpus: folder, source: xx, target: yy, path: {path}, vocabulary_size: 400}}, "
        "model: {embedding: 32, hidden: 64, layers: 1}, "
        "training: {epochs: 3, batch_size: 25, learning_rate: 0.02, clip: 1.0, validations: 2}}"
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("task", [intent, translation], ids=lambda task: task.__name__)
def test_other_tasks_start_from_and_learn_from_a_dense_model_too(task, tmp_path):
    (tmp_path / "data").mkdir()
    runs = "    seeds: [1]\n    runs:\n      - {method: %s}\n"
    head = f"description: d\npresets:\n  quick:\n    task: {task(tmp_path / 'data')}\n"
    (tmp_path / "study.yaml").write_text(head + runs % "dense")
    assert run(tmp_path, tmp_path / "dense") == 0
    (tmp_path / "study.yaml").write_text(head + runs % "pruned, factor: 4")
    assert run(tmp_path, tmp_path / "scratch") == 0
    assert run(tmp_path, tmp_path / "started", f"task.training.start_from.path={tmp_path / 'dense'}") == 0
    (scratch,), (started,) = rows(tmp_path / "scratch"), rows(tmp_path / "started")
    assert started["values"] == scratch["values"]
    assert started["validation"] < scratch["validation"]


def test_a_task_that_cannot_distil_is_refused_before_anything_runs(results, monkeypatch):
    monkeypatch.setattr(LanguageModelTask, "distills", False)
    with pytest.raises(NoModel, match=r"language_model cannot learn from predictions: set .*distillation to 0"):
        trial_from(results / "dense", Method(name="kp", factor=5))
    trial_from(results / "dense", Method(name="kp", factor=5), distillation=0.0)


def test_another_task_is_refused(results, tmp_path):
    from tasks.intent import IntentTask

    task = IntentTask(
        data={"corpus": "file", "path": str(write_folder(tmp_path))},
        model={"hidden": 20},
        training={"start_from": {"path": str(results / "dense")}},
    )
    with pytest.raises(NoModel, match="is of the task language_model, not intent"):
        with_start(task, data_hash(task))


def test_a_model_that_was_deleted_or_replaced_is_noticed(results, tmp_path):
    shutil.copytree(results / "dense", tmp_path / "dense")
    trial = trial_from(tmp_path / "dense", Method(name="kp", factor=5))
    folder = Path(trial.task.training.start_from.path)
    other = trial.task.training.model_copy(
        update={"start_from": trial.task.training.start_from.model_copy(update={"trial": "0" * 12})}
    )
    replaced = trial.model_copy(update={"task": trial.task.model_copy(update={"training": other})})
    with pytest.raises(NoModel, match=f"holds trial {folder.name}, not 000000000000; start the study again"):
        train(replaced, tmp_path, lambda progress: None, 1)
    (folder / "model.ckpt").unlink()
    with pytest.raises(NoModel, match=r"has no model\.ckpt: the trained model was deleted"):
        train(trial, tmp_path, lambda progress: None, 1)


def altered_start(results: Path, folder: Path) -> tuple[Trial, Path]:
    """A trial that starts from a copy of a dense model, and the file of that model."""
    shutil.copytree(results / "dense", folder / "dense")
    trial = trial_from(folder / "dense", Method(name="kp", factor=5))
    return trial, Path(trial.task.training.start_from.path) / "model.ckpt"


WEIGHT = "embedding.weight"
ALTERED = {
    "a shape": ({WEIGHT: torch.zeros(3)}, "size mismatch"),
    "text": ({WEIGHT: "x"}, WEIGHT),
    "one more": ({"more": torch.zeros(2)}, "Unexpected key"),
}


@pytest.mark.parametrize(("change", "said"), ALTERED.values(), ids=ALTERED)
def test_altered_weights_to_start_from_are_one_line(change, said, results, tmp_path):
    trial, path = altered_start(results, tmp_path)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"state_dict": content["state_dict"] | change}, path)
    with pytest.raises(NoModel, match=said) as refused:
        train(trial, tmp_path, lambda progress: None, 1)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_not_started_from(value, results, tmp_path):
    trial, path = altered_start(results, tmp_path)
    content = torch.load(path, weights_only=True)
    content["state_dict"][WEIGHT][0, 0] = value
    torch.save(content, path)
    with pytest.raises(NoModel, match=f"{WEIGHT} has values that are not finite"):
        train(trial, tmp_path, lambda progress: None, 1)


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[: len(whole) // 2], lambda whole: b"x" * 99])
def test_a_damaged_model_to_start_from_is_found_before_anything_starts(damage, results, tmp_path, capsys):
    _, path = altered_start(results, tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert run(results, tmp_path / "out", f"task.training.start_from.path={path.parent}") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "is not the trained model of trial" in error
    assert "weights_only" not in error
    assert not list((tmp_path / "out").glob("trials/*"))
