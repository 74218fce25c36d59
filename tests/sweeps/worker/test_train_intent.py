"""Real, tiny trainings of intent classifiers."""

import csv
import math
import os
from pathlib import Path

import pytest
import torch
from labelled_texts import write_folder

from doping.method import Method
from doping.sizes import plan_sizes
from sweeps.trials.outcome import Interrupted
from sweeps.trials.trial import Trial
from sweeps.worker.train import train
from tasks.intent import IntentTask
from tasks.registry import data_hash

pytestmark = pytest.mark.filterwarnings("ignore")

DOPED = Method(name="doped_kp", factor=5, cmr={"probability": 0.3}, annealing={"interval": 2})


@pytest.fixture(autouse=True)
def _wandb_off(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")


def tiny(folder, method=DOPED, **training):
    task = IntentTask(
        data={"corpus": "file", "path": str(folder)},
        model={"hidden": 20},
        training={"epochs": 6, "batch_size": 8, "learning_rate": 0.02, "validations": 6, **training},
    )
    return Trial(task=task, method=method, seed=1, data_hash=data_hash(task))


@pytest.fixture
def trial(tmp_path):
    return tiny(write_folder(tmp_path))


def run(trial, folder, report=lambda progress: None):
    folder.mkdir(exist_ok=True)
    return train(trial, folder, report, threads=1)


def test_a_training_learns_and_says_how_well(tmp_path, trial):
    outcome = run(trial, tmp_path / "here")
    planned = plan_sizes(trial.task, trial.method)
    assert (outcome.status, outcome.metric, outcome.steps) == ("finished", "error_rate", 6 * 8)
    assert (outcome.values, outcome.bytes) == (planned.compressed.values, planned.compressed.bytes)
    assert outcome.dense_values == planned.dense.values == 2 * 2 * 80 * 20
    assert outcome.test < 40, "guessing is wrong two times of three"
    assert set(outcome.measures) == {"accuracy", "accuracy_strict", "macro_f1"}
    assert outcome.measures["accuracy"] == outcome.measures["accuracy_strict"] == 100 - outcome.test
    saved = torch.load(tmp_path / "here" / "model.ckpt", weights_only=True)
    assert saved["IntentData"]["labels"] == ["fare", "flight", "meal"]


@pytest.mark.parametrize("rate", [1e6, 1e30, 1e38])
def test_a_classifier_that_diverges_says_so(rate, tmp_path):
    outcome = run(tiny(write_folder(tmp_path), optimizer="sgd", learning_rate=rate), tmp_path / "here")
    assert (outcome.status, outcome.validation, outcome.test) == ("diverged", math.inf, math.inf)


def test_co_adaptation_is_measured_in_both_directions(tmp_path, trial):
    run(trial, tmp_path / "here")
    with (tmp_path / "here" / "curve.csv").open() as file:
        points = list(csv.DictReader(file))
    assert len(points) == 6
    for point in points:
        assert float(point["energy_structured"]) + float(point["energy_sparse"]) == pytest.approx(1)
    model, data = trial.task.build(trial.method)
    names = [name for name, _ in model.named_matrices()]
    assert names == list(trial.task.lstm_shapes())
    assert "lstm.weight_hh_l0_reverse" in names
    assert model.eval().metric_on(data.monitored_batch()) <= 100


@pytest.mark.exhaustive
@pytest.mark.parametrize("stop_at", [0.2, 0.55, 0.8])
def test_an_interrupted_trial_goes_on_to_the_same_result(tmp_path, trial, monkeypatch, stop_at):
    monkeypatch.setattr("sweeps.worker.train.CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr("sweeps.worker.train.REPORT_SECONDS", 0)

    def stop_in_mid_epoch(progress):
        if progress.share > stop_at:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(trial, tmp_path / "interrupted", stop_in_mid_epoch)
    assert (tmp_path / "interrupted" / "checkpoint.ckpt").exists()
    assert run(trial, tmp_path / "interrupted") == run(trial, tmp_path / "calm")
    curves = [(tmp_path / name / "curve.csv").read_text() for name in ("interrupted", "calm")]
    assert curves[0] == curves[1]
    weights = [
        torch.load(tmp_path / name / "model.ckpt", weights_only=True)["state_dict"] for name in ("interrupted", "calm")
    ]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name


def test_the_named_task_is_trained_on_the_real_utterances(tmp_path):
    if "LSTM_DATA" not in os.environ or not (Path(os.environ["LSTM_DATA"]) / "atis").is_dir():
        pytest.skip("the environment variable LSTM_DATA names no folder with atis/ in it")
    from sweeps.study.named_tasks import written_out

    content = written_out({"named": "atis", "training": {"epochs": 1, "validations": 1}, "model": {"hidden": 20}})
    task = IntentTask.model_validate(content)
    outcome = run(Trial(task=task, method=Method(), seed=1, data_hash=data_hash(task)), tmp_path / "here")
    assert outcome.test < 29, "always answering atis_flight is wrong in 29 per cent"
