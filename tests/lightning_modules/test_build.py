"""One function gives the LightningModule of any method on any task."""

import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import toy_translation
from labelled_texts import write_folder

import doping
import lightning_modules
from doping.families import methods
from doping.matrices import BudgetError
from doping.method import Method
from doping.sizes import plan_sizes
from tasks.intent import IntentTask
from tasks.language_model import LanguageModelTask
from tasks.translation import TranslationTask

ROOT = Path(__file__).parents[2]
METHODS = methods()


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    pairs = {"corpus": "folder", "source": "xx", "target": "yy", "path": str(toy_translation.write(folder / "pairs", 100))}
    text = folder / "text.txt"
    text.write_text("the cat sat on the mat and thought of dogs\n" * 300)
    return {
        "language_model": LanguageModelTask(data={"corpus": "text", "path": str(text)}, model={"hidden": 120}),
        "intent": IntentTask(data={"corpus": "file", "path": str(write_folder(folder))}, model={"hidden": 120}),
        "translation": TranslationTask(data={**pairs, "vocabulary_size": 300}, model={"embedding": 120, "hidden": 120}),
    }


@pytest.mark.parametrize("name", ["language_model", "intent", "translation"])
@pytest.mark.parametrize("method", METHODS)
def test_any_method_on_any_task(tasks, name, method):
    chosen = Method(name=method, factor=1 if method == "dense" else 4)
    model = lightning_modules.build(tasks[name], chosen)
    assert isinstance(model, pl.LightningModule)
    compressed = [matrix for label, matrix in model.named_matrices() if tasks[name].compressed(label)]
    dense = sum(matrix.shape[0] * matrix.shape[1] for matrix in compressed)
    # What is to be pruned is whole at the start.
    if not chosen.sparse:
        assert sum(matrix.size().values for matrix in compressed) == pytest.approx(dense / chosen.factor, rel=0.01)


def test_its_documentation_lists_the_methods():
    assert all(f"``{name}``" in lightning_modules.build.__doc__ for name in METHODS)


def test_it_is_there_without_anything_heavy():
    code = "import sys, lightning_modules; lightning_modules.build; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_size_and_a_width_are_those_of_the_whole_model(tasks):
    method = Method(name="pruned", size="40kB", values="int8", units=100)
    model = lightning_modules.build(tasks["language_model"], method)
    planned = plan_sizes(tasks["language_model"], method)
    assert model.lstm.hidden_size == 100
    assert 0.8 * 40_000 <= planned.deployed_bytes <= 40_000
    assert sum(plan.size().values for plan in model.lstm.plans.values()) == planned.compressed.values


@pytest.mark.parametrize("how", [{"size": "40kB"}, {"units": 100, "factor": 4}])
def test_a_single_layer_has_no_size_of_a_model(how):
    with pytest.raises(BudgetError, match="belongs to a whole model, not to a matrix of 256 x 64; give a factor"):
        doping.compress_(torch.nn.LSTM(64, 64), {"": Method(name="pruned", **how)})
