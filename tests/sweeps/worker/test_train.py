"""One real, tiny training of a trial: what it returns, and what it leaves behind."""

import csv
import math

import pytest
import small_text
import torch

from data import DataError, data_hash
from doping.method import Method
from doping.sizes import plan_sizes
from doping.training.rounding import deployed
from sweeps.trials.outcome import Interrupted
from sweeps.trials.trial import Trial
from sweeps.worker.train import train
from tasks.language_model import LanguageModelTask

pytestmark = pytest.mark.filterwarnings("ignore")


def tiny(method=None, **training):
    task = LanguageModelTask(
        data=small_text.DATA,
        model={"hidden": 20},
        training={"epochs": 2, "batch_size": 8, "sequence_length": 20, "validations": 4, **training},
    )
    return Trial(task=task, method=method or Method(), seed=1, data_hash=data_hash(task.data))


def run(trial, folder, report=lambda progress: None):
    return train(trial, folder, report, threads=1)


@pytest.fixture(autouse=True)
def _wandb_off(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")


def test_a_training_gives_sizes_qualities_and_a_curve(tmp_path):
    trial = tiny(Method(name="doped_kp", factor=5, cmr={"probability": 0.3}))
    reports = []
    outcome = run(trial, tmp_path, reports.append)
    planned = plan_sizes(trial.task, trial.method)
    assert (outcome.status, outcome.metric) == ("finished", "bits_per_character")
    assert (outcome.values, outcome.bytes) == (planned.compressed.values, planned.compressed.bytes)
    assert (outcome.dense_values, outcome.multiply_adds) == (planned.dense.values, planned.compressed.multiply_adds)
    assert 3 < outcome.validation < math.log2(105)
    assert abs(outcome.validation - outcome.test) < 0.5
    with (tmp_path / "curve.csv").open() as file:
        points = list(csv.DictReader(file))
    assert len(points) == 4
    assert [float(p["sparsity"]) for p in points] == sorted(float(p["sparsity"]) for p in points)
    assert outcome.best_validation == min(float(p["validation"]) for p in points)
    assert int(points[-1]["step"]) <= outcome.steps == 2 * 25
    assert torch.load(tmp_path / "model.ckpt", weights_only=True)["state_dict"]
    assert not (tmp_path / "checkpoint.ckpt").exists()
    assert reports[-1].share <= 1


def test_the_same_trial_gives_the_same_result(tmp_path):
    results = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        results.append(run(tiny(Method(name="pruned", factor=5)), tmp_path / name))
    assert results[0] == results[1]


def test_an_interrupted_trial_goes_on_to_the_same_result(tmp_path, monkeypatch):
    monkeypatch.setattr("sweeps.worker.train.CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr("sweeps.worker.train.REPORT_SECONDS", 0)
    trial = tiny(Method(name="doped_kp", factor=5, cmr={"probability": 0.3}))

    def stop_in_the_middle(progress):
        if progress.share > 0.5:
            raise Interrupted

    calm, interrupted = tmp_path / "calm", tmp_path / "interrupted"
    calm.mkdir()
    interrupted.mkdir()
    with pytest.raises(Interrupted):
        run(trial, interrupted, stop_in_the_middle)
    assert (interrupted / "checkpoint.ckpt").exists()
    assert run(trial, interrupted) == run(trial, calm)
    assert (interrupted / "curve.csv").read_text() == (calm / "curve.csv").read_text()


@pytest.mark.parametrize("rate", [1e6, 1e30, 1e38])
def test_divergence_is_an_outcome(rate, tmp_path):
    outcome = run(tiny(optimizer="sgd", learning_rate=rate), tmp_path)
    assert (outcome.status, outcome.validation, outcome.test) == ("diverged", math.inf, math.inf)


def test_another_text_than_planned_is_refused(tmp_path):
    trial = tiny().model_copy(update={"data_hash": "0" * 64})
    with pytest.raises(DataError, match="has changed since the study was planned"):
        run(trial, tmp_path)


def test_trials_of_hybrids_are_not_those_of_the_time_when_all_free_rows_were_of_the_input_gate():
    now = tiny(Method(name="hmd", factor=4))
    stacked = tiny(Method(name="hmd", factor=4, free_rows="stacked"))
    assert now.id != stacked.id
    assert "free_rows" not in stacked.settings
    # A trial.json of that time, which says nothing of them, is that trial still.
    assert Trial.model_validate_json(stacked.settings).id == stacked.id
    assert Trial.model_validate_json(stacked.settings).method.free_rows == "stacked"
    assert Trial.model_validate_json(now.settings).id == now.id
    # As workers get it.
    assert Trial.model_validate_json(stacked.model_dump_json()).id == stacked.id


def test_a_finished_trial_is_measured_in_every_precision(tmp_path):
    method = Method(name="pruned", size=5000, values="int8", units=24, pattern="gates", rounding={"share": 0.4})
    trial = tiny(method)
    outcome = run(trial, tmp_path)
    assert outcome.dense_values == 2 * 80 * 20  # of the task's own width
    assert 4000 <= outcome.deployed_bytes == outcome.bytes_int8 <= 5000
    assert outcome.bytes_int4 < outcome.bytes_int8 < outcome.bytes
    assert outcome.model_bytes > outcome.deployed_bytes
    assert (outcome.validation, outcome.test) == (outcome.validation_int8, outcome.test_int8)
    assert 3 < outcome.validation_int8 < outcome.validation_int4 + 0.05 < math.log2(105)
    # The model that was saved, rounded as the exporter does, is what was measured.
    task, own = trial.built
    model, data = task.build(own)
    model.load_state_dict(torch.load(tmp_path / "model.ckpt", weights_only=True)["state_dict"])
    with deployed(model.eval(), "int8"), torch.no_grad():
        for index, batch in enumerate(data.val_dataloader()):
            model.validation_step(batch, index)
    assert model.measured() == pytest.approx(outcome.validation_int8, abs=1e-6)


@pytest.mark.exhaustive
def test_a_trial_with_rounding_that_was_interrupted_goes_on_to_the_same_result(tmp_path, monkeypatch):
    monkeypatch.setattr("sweeps.worker.train.CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr("sweeps.worker.train.REPORT_SECONDS", 0)
    trial = tiny(Method(name="lmf", factor=2, values="int4", rounding={"share": 0.8, "annealed": 0.5}))

    def stop(progress):
        if progress.step >= 33:
            raise Interrupted

    for name in ("whole", "resumed"):
        (tmp_path / name).mkdir()
    with pytest.raises(Interrupted):
        run(trial, tmp_path / "resumed", stop)
    assert run(trial, tmp_path / "resumed") == run(trial, tmp_path / "whole")
