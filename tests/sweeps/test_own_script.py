"""A training of one's own, a function in a file, runs as a study."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from forked import workers
from wandb_runs.files import history

from doping.method import Method
from sweeps.commands import export_model, measure_latency
from sweeps.commands.main import main
from sweeps.results.script_models import script_model
from sweeps.results.trained_models import finished_trial
from sweeps.trials.outcome import Outcome
from sweeps.trials.trial import Trial
from sweeps.worker.train import train
from tasks.registry import settings_class, trust

SCRIPT = """
from dataclasses import dataclass

import torch
from torch import nn

import doping
from doping.errors import DataError
from tasks.script import script

GROUPS = []


@dataclass
class Mine:
    learning_rate: float = 0.01
    steps: int = 20


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(16, 32, batch_first=True), nn.Linear(32, 1)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1]).squeeze(1)


@script(metric="energy", data=["mine.csv"], model=lambda settings: Net())
def train(method, settings: Mine, report):
    model = Net()
    report.start(model)
    report.model = doping.compress_(model, {"rnn": method})
    annealer = doping.Annealer(model, total_steps=settings.steps)
    groups = [{"params": model.rnn.parameters(), "weight_decay": 0.1}, {"params": model.head.parameters()}]
    optimizer = torch.optim.SGD(groups, lr=settings.learning_rate)
    state = {"model": model, "optimizer": optimizer, "annealer": annealer}
    report.example = torch.randn(1, 5, 16)
    fixed = torch.randn(4, 5, 16)

    def loss():
        x = torch.randn(8, 5, 16)
        return (model(x) - x[:, -1].mean(1)).square().mean()

    def measure():
        return (model(fixed) - fixed[:, -1].mean(1)).square().mean().item()

    first = loss().item()
    for step in range(report.resume(**state).get("step", 0), settings.steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        annealer.step()
        report((step + 1) / settings.steps)
        if step % 5 == 4:
            report((step + 1) / settings.steps, validation=loss().item() - 1, measure=measure)
        report.keep({"step": step + 1}, **state)
    annealer.finish_()
    taught = report.distillation if isinstance(report.teacher, Net) else -1
    return {"validation": loss().item() - 1, "test": settings.learning_rate, "first": first, "taught": taught}


def nothing(method, settings, report):
    return 1.0


def enough(settings):
    if settings.steps > 8:
        raise DataError(f"mine.csv: 8 lines, expected {settings.steps}, one a step")
    return [0][settings.steps - 8]


@script(check=enough)
def careful(method, settings: Mine, report):
    return 1.0


def wrong(method):
    return 1.0
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_file.py").write_text(SCRIPT)
    (tmp_path / "mine.csv").write_text("1,2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield tmp_path
    sys.modules.pop("my_file", None)


def study(folder: Path, out: str, *more: str, function: str = "train", training: str = "{}", runs: str = "") -> int:
    runs = runs or "[{method: dense}, {method: pruned, factor: 4}]"
    (folder / "mine.yaml").write_text(
        f"description: d\npresets:\n  quick:\n    task: {{name: 'my_file:{function}', training: {training}}}\n"
        f"    seeds: [1]\n    runs: {runs}\n"
    )
    arguments = ["--study", str(folder / "mine.yaml"), "--out", str(folder / out), "--wandb", "off", "--workers", "1"]
    return main([*arguments, "--quiet", *more])


def trained(folder: Path, cell: str, out: str = "out") -> Path:
    return folder / out / "trials" / rows(folder / out)[cell]["trial_id"]


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return {row["cell"]: row for row in csv.DictReader(file)}


def test_it_runs_with_its_own_settings_and_loop(folder):
    assert study(folder, "out", training="{steps: 30}") == 0
    found = rows(folder / "out")
    assert {row["metric"] for row in found.values()} == {"energy"}
    assert found["pruned 4x"]["steps"] == "30"
    assert float(found["pruned 4x"]["test"]) == 0.01, "what the study does not set keeps the default of the function"
    assert float(found["pruned 4x"]["cf_values"]) == pytest.approx(4, rel=0.01)
    assert "first" in json.loads(found["dense"]["measures"])
    curve = list(csv.DictReader((folder / "out/trials" / found["pruned 4x"]["trial_id"] / "curve.csv").open(newline="")))
    assert len(curve) == 6
    assert float(curve[0]["sparsity"]) < float(curve[-1]["sparsity"])


def test_its_settings_are_searched(folder):
    search = "tuning={trials: 3, search: {task.training.learning_rate: {low: 0.001, high: 0.05}}}"
    assert study(folder, "out", "--set", search) == 0
    with (folder / "out" / "results.csv").open(newline="") as file:
        tried = [row["test"] for row in csv.DictReader(file) if row["stage"] == "tuning" and row["cell"] == "dense"]
    assert len(set(tried)) == 3


@pytest.mark.exhaustive
def test_it_is_searched_for_its_latency(folder):
    """That of the whole deployed model for the example, measured where it was trained."""
    search = "tuning={trials: 3, parallel: 1, objective: latency, search: {annealing.length: {low: 0.3, high: 0.6}}}"
    assert study(folder, "out", "--set", search, runs="[{method: doped_lmf, factor: 2}]") == 0
    tried = [row for row in table(folder / "out" / "results.csv") if row["stage"] == "tuning"]
    assert len(tried) > 1
    assert all(row["status"] == "finished" and float(row["latency_us"]) > 0 for row in tried)
    chosen = rows(folder / "out")["doped_lmf 2x"]
    assert chosen["stage"] == "final"
    assert float(chosen["latency_us"]) > 0


def test_it_starts_from_its_dense_model(folder):
    assert study(folder, "dense", runs="[{method: dense}]") == 0
    start = f"task.training.start_from.path={folder / 'dense'}"
    assert study(folder, "out", "--set", start, training="{learning_rate: 0.001}", runs="[{method: pruned, factor: 4}]") == 0
    (dense,), (started,) = rows(folder / "dense").values(), rows(folder / "out").values()
    assert json.loads(started["measures"])["first"] < json.loads(dense["measures"])["first"]
    assert json.loads(started["measures"])["taught"] == 0.5
    assert json.loads(dense["measures"])["taught"] == -1


DOPED = Method(name="doped_kp", factor=2, pattern="rows", annealing={"start": 0.1, "length": 0.6})


def run(folder: Path, name: str, method: Method = DOPED) -> tuple[Outcome, Path]:
    """Train the function in this process, in a folder of that name."""
    trust("my_file:train")
    task = settings_class("my_file:train")(name="my_file:train")
    (folder / name).mkdir(exist_ok=True)
    trial = Trial(task=task, method=method, seed=1, data_hash=task.data_hash())
    return train(trial, folder / name, lambda progress: None, threads=1), folder / name


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_co_adaptation_is_on_its_curve_and_watching_it_changes_nothing(folder, monkeypatch):
    outcome, out = run(folder, "watched")
    curve = table(out / "curve.csv")
    assert len(curve) == 4
    for point in curve:
        assert point["validation_slice"] != point["validation_without_sparse"] != point["validation_without_structured"]
        assert float(point["energy_structured"]) + float(point["energy_sparse"]) == pytest.approx(1)
        assert float(point["gradient_sparse"]) > 0
    matrices = table(out / "matrices.csv")
    assert {one["matrix"] for one in matrices} == {"rnn.weight_ih_l0", "rnn.weight_hh_l0"}
    assert all(float(one["energy_sparse"]) > 0 for one in matrices)
    monkeypatch.setenv("LSTM_MONITOR_EVERY", "0")
    unwatched, out = run(folder, "unwatched")
    assert unwatched == outcome
    assert {point["validation_slice"] for point in table(out / "curve.csv")} == {""}


def test_its_model_is_exported_and_measured(folder, tmp_path, capsys):
    assert study(folder, "out", runs="[{method: dense}, {method: lmf, factor: 2}]") == 0
    trust = ["--trust", "my_file:train"]
    for cell, row in rows(folder / "out").items():
        file = tmp_path / "model.onnx"
        arguments = ["--from", str(folder / "out" / "trials" / row["trial_id"]), "--out", str(file)]
        assert export_model.main([*arguments, "--format", "onnx", *trust]) == 0
        model = script_model(trained(folder, cell), finished_trial(trained(folder, cell))[0]).model
        x = torch.randn(1, 5, 16)
        session = onnxruntime.InferenceSession(file)
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(found, model(x).detach().numpy(), atol=1e-5)
        assert export_model.main([*arguments, *trust]) == 2
        assert "a model of one's own is exported as ONNX: add --format onnx" in capsys.readouterr().err
    assert measure_latency.main(["--results", str(folder / "out"), *trust]) == 0
    for row in rows(folder / "out").values():
        assert float(row["latency_us"]) > 0
    assert int(rows(folder / "out")["dense"]["bundle_bytes"]) > 4 * 3 * 32 * 48


def test_a_model_that_is_not_said_how_to_make_is_not_exported(folder, capsys):
    text = (folder / "my_file.py").read_text()
    (folder / "my_file.py").write_text(text.replace(", model=lambda settings: Net()", ""))
    assert study(folder, "out", runs="[{method: dense}]") == 0
    sources = ["--from", str(folder / "out"), "--out", str(folder / "model.onnx"), "--trust", "my_file:train"]
    assert export_model.main([*sources, "--format", "onnx"]) == 2
    assert "my_file:train does not say how its model is made: mark it @script(model=make)" in capsys.readouterr().err


def interrupted(folder):
    """A training that was interrupted after a checkpoint, in ``out``; with ``died`` there it goes on."""
    dies = """        if step == 11 and not (report.folder / "died").exists():
            (report.folder / "died").touch()
            report._kept = -1e9  # a checkpoint is due
            report.keep({"step": step + 1}, **state)
            raise KeyboardInterrupt
        report.keep({"""
    (folder / "my_file.py").write_text(SCRIPT.replace("        report.keep({", dies))
    del sys.modules["my_file"]
    with pytest.raises(KeyboardInterrupt):
        run(folder, "out")
    return folder / "out" / "checkpoint.ckpt"


def test_it_goes_on_from_its_checkpoint(folder):
    whole, of_whole = run(folder, "whole")
    interrupted(folder)
    resumed, out = run(folder, "out")
    assert resumed == whole
    assert (out / "curve.csv").read_text() == (of_whole / "curve.csv").read_text()
    assert not (out / "checkpoint.ckpt").exists()


@pytest.mark.exhaustive(keep=["torn"])
@pytest.mark.parametrize("damage", ["torn", "random", "points"])
def test_a_checkpoint_that_is_damaged_is_put_aside_and_leaves_no_trace(folder, capsys, damage):
    whole, of_whole = run(folder, "whole")
    path = interrupted(folder)
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        content = torch.load(path, weights_only=True)
        if damage == "random":  # what is read last
            content["random"]["numpy"] = ["no number"]
        else:
            content["points"] = [{"step": 1}]
        torch.save(content, path)
    resumed, out = run(folder, "out")
    assert "checkpoint.ckpt cannot be read" in capsys.readouterr().out
    assert resumed == whole
    assert (out / "curve.csv").read_text() == (of_whole / "curve.csv").read_text()


def test_what_cannot_be_kept_is_said_at_the_first_step(folder):
    (folder / "my_file.py").write_text(SCRIPT.replace("report.keep({", "report.keep(step=step, values={"))
    with pytest.raises(ValueError, match="step is a int without a state_dict; give numbers and tensors as values"):
        run(folder, "out")


@pytest.mark.exhaustive
def test_its_curve_is_a_run_of_wandb(folder, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    _, out = run(folder, "out")
    curve, lines = table(out / "curve.csv"), history(out)
    assert [line["validation"] for line in lines] == pytest.approx([float(point["validation"]) for point in curve])
    assert [line["_step"] for line in lines] == [int(point["step"]) for point in curve]
    assert "by_sparsity/structured_alone" in lines[0]


def test_a_dry_run_says_what_is_not_known_yet(folder, capsys):
    assert study(folder, "out", "--dry-run") == 0
    assert "known once a trial has run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("function", "training", "said"),
    [
        ("wrong", "{}", "the function takes (method); expected train(method, settings, report) -> metric"),
        ("absent", "{}", "has no attribute 'absent'"),
        ("train", "{learning_rat: 0.1}", "did you mean 'learning_rate'"),
        ("train", "{steps: many}", "steps"),
        ("careful", "{steps: 9}", "task.data: mine.csv: 8 lines, expected 9, one a step"),
        ("careful", "{steps: 5}", "data_hash of my_file:careful: IndexError: list index out of range (my_file.py, line "),
    ],
)
def test_mistakes_are_one_line(folder, capsys, function, training, said):
    assert study(folder, "out", function=function, training=training) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not (folder / "out" / "trials").exists() or not list((folder / "out" / "trials").iterdir())


@pytest.mark.parametrize("seed", ["seeds=[4294967296]", "runs.0.seeds=[4294967296]"])
def test_a_seed_that_no_generator_takes_is_found_before_anything_starts(folder, capsys, seed):
    assert study(folder, "out", "--set", seed) == 2
    assert "4294967296 was given, expected less than 4294967296" in capsys.readouterr().err


def test_workers_find_a_file_in_a_relative_folder_too(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", ".")
    assert study(folder, "out", training="{steps: 5}", runs="[{method: dense}]") == 0


@pytest.mark.exhaustive
def test_a_file_that_only_this_process_finds_is_one_line(folder, monkeypatch, capsys):
    monkeypatch.delenv("PYTHONPATH")
    monkeypatch.setattr("sweeps.engines.local.worker_process", workers.REAL)
    assert study(folder, "out") == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("error: a worker cannot start: no task 'my_file:train': ModuleNotFoundError")
    assert said.splitlines()[-1].endswith("put its folder into PYTHONPATH")


def test_data_that_are_missing_and_a_training_that_gives_no_model(folder, capsys):
    assert study(folder, "out", function="nothing", runs="[{method: dense}]") == 1
    (row,) = rows(folder / "out").values()
    assert "my_file:nothing gave no compressed model: set report.model" in row["error"]
    (folder / "mine.csv").unlink()
    assert study(folder, "other") == 2
    assert "mine.csv" in capsys.readouterr().err
