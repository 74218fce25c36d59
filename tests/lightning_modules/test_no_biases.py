"""``bias: false`` on tasks: LSTMs without biases, which weigh what was planned and run as they were trained."""

import numpy as np
import pytest
import torch

from doping.inference.runtime import runnable
from doping.layers.lstm import CompressedLSTM
from doping.matrices import BudgetError
from doping.method import Method
from doping.sizes import lstm_bytes, plan_sizes
from doping.vocabulary import Vocabulary
from lightning_modules.language_model import RecurrentLanguageModel
from sweeps.study import strict_yaml
from sweeps.study.study_file import KeyMistake, expand, parse
from tasks.bundles import to_bundle
from tasks.intent import IntentTask
from tasks.language_model import LanguageModelTask
from tasks.script import script_class
from tasks.translation import TranslationTask

HIDDEN = 40
TEXT = "the cat sat on the mat"
VOCABULARY = Vocabulary.of(TEXT, "character")


def model_of(method):
    task = LanguageModelTask(model={"hidden": HIDDEN, "layers": 2})
    return RecurrentLanguageModel(task.model, task.training, method, len(VOCABULARY), "character").eval()


@pytest.mark.parametrize("values", ["float32", "int8", "int4"])
@pytest.mark.parametrize("name", ["dense", "kp", "lmf"])
def test_a_model_weighs_the_biases_less_as_planned(name, values):
    task = LanguageModelTask(model={"hidden": HIDDEN, "layers": 2})
    methods = [Method(name=name, factor=1 if name == "dense" else 4, values=values, bias=bias) for bias in (True, False)]
    with_biases, without = (plan_sizes(task, method).deployed_bytes for method in methods)
    assert with_biases - without == 2 * 4 * HIDDEN * 4, "layers, gates, units, bytes"
    lstm = model_of(methods[1]).lstm
    assert [each for each, _ in lstm.named_parameters() if "bias" in each] == []
    assert lstm_bytes([lstm], values) == without


def test_a_size_leaves_more_for_the_weights():
    task = LanguageModelTask(model={"hidden": 200})
    sized = {"name": "kp", "size": "17kB", "units": 400, "values": "int4"}
    with_biases, without = (plan_sizes(task, Method(**sized, bias=bias)) for bias in (True, False))
    assert with_biases.deployed_bytes <= 17_000
    assert without.deployed_bytes <= 17_000
    assert without.compressed.values > 1.4 * with_biases.compressed.values


@pytest.mark.parametrize("name", ["dense", "kp"])
@pytest.mark.parametrize("arithmetic", ["float32", "int8"])
def test_it_runs_as_it_was_trained(name, arithmetic):
    torch.manual_seed(0)
    model = model_of(Method(name=name, factor=1 if name == "dense" else 4, bias=False))
    tokens_T = VOCABULARY.encode(TEXT)
    with torch.no_grad():
        expected_TV = model(torch.tensor(tokens_T)[:, None])[0][:, 0].numpy()
    found_TV = runnable(to_bundle(model, VOCABULARY), arithmetic=arithmetic).forward(np.array(tokens_T)[:, None])[0][:, 0]
    np.testing.assert_allclose(found_TV, expected_TV, atol=1e-5 if arithmetic == "float32" else 0.02)


@pytest.mark.parametrize("task", [IntentTask, TranslationTask])
def test_other_tasks_plan_without_them_too(task):
    shapes = task().lstm_shapes()
    rows = sum(rows for name, (rows, _) in shapes.items() if "weight_hh" in name)
    with_biases, without = (plan_sizes(task(), Method(bias=bias)).deployed_bytes for bias in (True, False))
    assert with_biases - without == 4 * rows


def test_a_single_layer_of_ones_own_is_told_by_its_own_argument():
    with pytest.raises(BudgetError, match="the setting bias belongs to a whole model"):
        CompressedLSTM(20, 20, method=Method(bias=False))
    assert not CompressedLSTM(20, 20, bias=False, method=Method()).biases


def test_a_training_of_ones_own_makes_its_model_itself():
    def train(method, settings: dict, report):
        return 1.0

    with pytest.raises(ValueError, match="the function makes the model, and says whether there are biases: leave bias out"):
        plan_sizes(script_class("my_file.py:train", train)(), Method(bias=False))


def test_a_training_that_starts_from_a_dense_model_has_its_biases():
    runs = "runs: [{method: kp, factor: 4, bias: false}], seeds: [1]"
    start = "task: {training: {start_from: {path: dense}}}"
    study = strict_yaml.parse(f"description: d\npresets:\n  quick: {{{start}, {runs}}}\n", "study.yaml")
    with pytest.raises(KeyMistake, match="a training that starts from a dense model has its biases: leave bias out"):
        parse(study)


def test_a_run_may_ask_for_both():
    study = (
        "description: d\npresets: {quick: {task: {}, seeds: [1], runs: [{method: kp, factor: 4, bias: [true, false]}]}}\n"
    )
    cells = expand("quick", parse(strict_yaml.parse(study, "study.yaml")).presets["quick"])
    assert [cell.method for cell in cells] == [Method(name="kp", factor=4), Method(name="kp", factor=4, bias=False)]


def test_runs_are_told_apart_by_it():
    assert Method(name="lmf", factor=5, units=300, bias=False).budget == "5x, 300 units, no biases"
    assert "bias" not in Method(name="lmf", factor=5).model_dump()
    assert Method(name="lmf", bias=False).model_dump()["bias"] is False
