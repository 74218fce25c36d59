"""Real, tiny trainings of translators."""

import csv

import pytest
import torch
import toy_translation

from doping.method import Method
from doping.sizes import plan_sizes
from sweeps.trials.outcome import Interrupted
from sweeps.trials.trial import Trial
from sweeps.worker.train import train
from tasks.registry import data_hash
from tasks.translation import TranslationTask, load

pytestmark = pytest.mark.filterwarnings("ignore")

DOPED = Method(name="doped_kp", factor=4, cmr={"probability": 0.2, "on": "sparse"}, annealing={"interval": 2})


@pytest.fixture(autouse=True)
def _wandb_off(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")


def toy(folder, pairs, method, hidden=64, **training):
    path = toy_translation.write(folder / "corpus", pairs)
    task = TranslationTask(
        data={"corpus": "folder", "source": "xx", "target": "yy", "path": str(path), "vocabulary_size": 400},
        model={"embedding": 32, "hidden": hidden, "layers": 1 if hidden == 64 else 2, "dropout": 0.1},
        training={"learning_rate": 0.02, "cooldown": 0.5, "clip": 1.0, **training},
    )
    return Trial(task=task, method=method, seed=1, data_hash=data_hash(task))


def run(trial, folder, report=lambda progress: None):
    folder.mkdir(exist_ok=True)
    return train(trial, folder, report, threads=1)


@pytest.mark.exhaustive
def test_a_made_up_language_is_learned_and_translated_from_the_saved_model(tmp_path):
    trial = toy(tmp_path, 1000, Method(), epochs=4, batch_size=25, validations=2)
    outcome = run(trial, tmp_path / "here")
    assert (outcome.status, outcome.metric, outcome.steps) == ("finished", "perplexity", 4 * 40)
    assert 1 <= outcome.test < 1.2
    assert outcome.measures["bleu"] > 90
    assert outcome.measures["chrf"] > 90
    assert outcome.measures["bleu_signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.")
    assert outcome.measures["chrf_signature"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|")

    (tmp_path / "here" / "trial.json").write_text(trial.model_dump_json())
    for file in (tmp_path / "corpus").iterdir():
        file.unlink()  # the vocabularies are in the model
    sentences = toy_translation.sentences(20, seed=7)
    translations = load(tmp_path / "here").translate(sentences)
    right = sum(translations[i] == toy_translation.translated(sentences[i]) for i in range(20))
    assert right >= 18


def test_a_doped_translator_is_measured_and_as_large_as_planned(tmp_path):
    trial = toy(tmp_path, 40, DOPED, hidden=32, epochs=4, batch_size=8, validations=2)
    outcome = run(trial, tmp_path / "here")
    planned = plan_sizes(trial.task, trial.method)
    assert (outcome.values, outcome.bytes) == (planned.compressed.values, planned.compressed.bytes)
    assert outcome.dense_values == planned.dense.values == 64 * 32 * 2 + 64 * 16 * 4 + 64 * 32 * 2 + 128 * 32 * 4
    with (tmp_path / "here" / "curve.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["energy_structured"]) + float(last["energy_sparse"]) == pytest.approx(1, abs=1e-3)
    assert float(last["validation_without_sparse"]) > 1
    assert torch.load(tmp_path / "here" / "model.ckpt", weights_only=True)["vocabularies"]["source"]


@pytest.mark.exhaustive
def test_an_interrupted_trial_goes_on_to_the_same_result(tmp_path, monkeypatch):
    monkeypatch.setattr("sweeps.worker.train.CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr("sweeps.worker.train.REPORT_SECONDS", 0)
    trial = toy(tmp_path, 60, DOPED, hidden=32, epochs=3, batch_size=8, validations=3)

    def stop_in_the_middle(progress):
        if progress.share > 0.5:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(trial, tmp_path / "interrupted", stop_in_the_middle)
    assert (tmp_path / "interrupted" / "checkpoint.ckpt").exists()
    assert run(trial, tmp_path / "interrupted") == run(trial, tmp_path / "calm")
    assert (tmp_path / "interrupted" / "curve.csv").read_text() == (tmp_path / "calm" / "curve.csv").read_text()


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected the folder of a finished trial of translation, with trial.json and mod"):
        load(tmp_path)
