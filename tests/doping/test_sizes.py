import re

import pytest
import torch
from references.matrices import METHODS, method_of

from doping.matrices import BudgetError, Sparse
from doping.method import Method
from doping.sizes import lstm_bytes, plan_sizes, resolved
from lightning_modules.language_model import RecurrentLanguageModel
from tasks.language_model import LanguageModelTask

TASK = LanguageModelTask(model={"hidden": 40, "layers": 2})


@pytest.mark.parametrize("name", METHODS)
def test_planned_sizes_are_those_of_the_trained_model(name):
    method = method_of(name, 4)
    planned = plan_sizes(TASK, method)
    model = RecurrentLanguageModel(TASK.model, TASK.training, method, 10, TASK.data.level)
    for module in model.modules():
        if isinstance(module, Sparse):
            module.prune(module.planned_nonzeros)
    assert planned.compressed == model.size()
    assert planned.dense == model.uncompressed_size()
    assert list(planned.matrices) == [name for name, _ in model.named_matrices()]


def test_an_impossible_factor_is_refused_before_anything_is_made():
    with pytest.raises(BudgetError):
        plan_sizes(TASK, Method(name="lmf", factor=30))


WIDE = LanguageModelTask(model={"hidden": 100})
DENSE = 2 * 400 * 100


def test_factors_refer_to_the_dense_model_of_the_tasks_own_width():
    planned = plan_sizes(WIDE, Method(name="pruned", factor=10, units=60))
    assert planned.dense.values == DENSE
    assert planned.compressed.values == pytest.approx(DENSE / 10, rel=0.01)
    assert planned.task.model.hidden == 60
    narrow = plan_sizes(WIDE, Method(units=40))
    assert (narrow.compressed.values, narrow.dense.values) == (2 * 160 * 40, DENSE)


def test_more_units_than_the_task_has_at_a_size_below_it():
    planned = plan_sizes(WIDE, Method(name="pruned", factor=1, units=200))
    assert planned.compressed.values == pytest.approx(DENSE, rel=0.01)


def test_a_width_that_has_fewer_values_than_the_factor_leaves():
    with pytest.raises(
        BudgetError, match="20 units have 3,200 values, fewer than the 16,000 that factor 5 leaves of 80,000"
    ):
        plan_sizes(WIDE, Method(name="pruned", factor=5, units=20))


@pytest.mark.parametrize("values", ["float32", "int8", "int4"])
@pytest.mark.parametrize(
    "method",
    [
        {"name": "pruned"},
        {"name": "pruned", "pattern": "gates"},
        {"name": "pruned", "pattern": "tiles"},
        {"name": "pruned", "pattern": "tiles", "units": 141},
        {"name": "pruned", "pattern": "n_of_16"},
        {"name": "lmf"},
        {"name": "kp"},
        {"name": "kp", "units": 120},
        {"name": "hmd"},
        {"name": "doped_kp", "pattern": "tiles"},
        {"name": "doped_lmf", "structured_share": 0.5, "pattern": "tiles"},
        {"name": "dense"},
    ],
    ids=str,
)
def test_the_largest_model_within_a_size_is_what_was_trained(method, values):
    size = {"float32": 60_000, "int8": 24_000, "int4": 16_000}[values]
    asked = Method(**method, values=values, size=size)
    planned = plan_sizes(WIDE, asked)
    assert 0.8 * size <= planned.deployed_bytes <= size
    task, own = resolved(WIDE, asked)
    assert (own.size, own.units, own.values) == (None, None, values)
    model = RecurrentLanguageModel(task.model, task.training, own, 30, "character")
    for module in model.modules():
        if isinstance(module, Sparse):
            module.prune(module.planned_nonzeros)
    assert lstm_bytes([model.lstm], values) == planned.deployed_bytes
    if method["name"] == "dense":
        wider = plan_sizes(WIDE, asked.model_copy(update={"size": None, "units": task.model.hidden + 1}))
        assert wider.deployed_bytes > size


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "dense", "units": 100, "values": "int8", "size": "20kB"},
         "with 100 units in int8, which weigh 83.2 kB: nearest possible 48 units"),
        ({"name": "pruned", "size": "1kB"}, "biases and what is not compressed weigh 1.6 kB alone"),
        ({"name": "pruned", "values": "int8", "size": "500kB"}, "cannot be had of pruned at the task's width in int8: near"),
        ({"name": "lmf", "size": "7kB"}, "nearest possible "),
        ({"name": "kp", "factor": 20, "units": 211}, "nearest widths that can: 210 and 217 units"),
        ({"name": "kp", "values": "int4", "units": 307, "size": "34kB"}, "nearest widths that can: 306 and 308 units"),
    ],
)  # fmt: skip
def test_a_size_that_cannot_be_had_names_what_can(method, message):
    with pytest.raises(BudgetError, match=message):
        plan_sizes(WIDE, Method(**method))


def test_so_does_a_width_of_the_task_that_no_kronecker_factors_divide():
    narrow = LanguageModelTask(model={"hidden": 53})
    with pytest.raises(BudgetError, match=r"nearest widths that can: (\d+) and (\d+) units") as refusal:
        plan_sizes(narrow, Method(name="kp", factor=20))
    for units in re.findall(r"\d+", str(refusal.value).split("that can: ")[1]):
        plan_sizes(narrow, Method(name="kp", factor=20, units=int(units)))


def test_the_nearest_sizes_that_are_named_can_be_had():
    with pytest.raises(BudgetError) as refusal:
        plan_sizes(WIDE, Method(name="lmf", size="7kB"))
    (size,) = re.findall(r"([\d.]+) kB", str(refusal.value).split("nearest possible ")[1])
    plan_sizes(WIDE, Method(name="lmf", size=round(1000 * float(size)) + 8))


def test_an_embedding_may_have_a_width_of_its_own():
    task = LanguageModelTask(model={"hidden": 40, "embedding": 12})
    assert task.lstm_shapes()["lstm.weight_ih_l0"] == (160, 12)
    model = RecurrentLanguageModel(task.model, task.training, Method(), 30, "character")
    assert model.embedding.weight.shape == (30, 12)
    logits, _ = model(torch.zeros(5, 2, dtype=torch.long))
    assert logits.shape == (5, 2, 30)
    # The width of a run is that of the layers; an embedding that has its own keeps it.
    assert task.with_units(20).lstm_shapes()["lstm.weight_ih_l0"] == (80, 12)
