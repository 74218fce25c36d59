"""The studies that come with the project can be run, and trials are known by what defines them."""

import csv
import json
from pathlib import Path

import pytest

from doping.method import Method
from doping.sizes import plan_sizes
from sweeps.commands.main import main
from sweeps.planning.plan import check_sizes, make_plan
from sweeps.study import study
from sweeps.trials.dotted_names import Functions
from sweeps.trials.trial import Trial
from tasks.language_model import LanguageModelTask

SHIPPED = [(name, preset) for name in study.names() for preset in study.load(name).parsed.presets]

RESULTS = Path(__file__).parents[3] / "results"

COLUMNS = [
    "study",
    "cell",
    "stage",
    "trial_id",
    "task",
    "method",
    "cmr",
    "cf_requested",
    "cf_unit",
    "cf_values",
    "cf_bytes",
    "values",
    "bytes",
    "multiply_adds",
    "dense_values",
    "dense_bytes",
    "dense_multiply_adds",
    "seed",
    "metric",
    "validation",
    "test",
    "best_validation",
    "status",
    "error",
    "seconds",
    "steps",
    "peak_memory_mb",
    "data_hash",
    "commit",
    "started",
    "host",
    "hardware",
    "versions",
    "settings",
    "measures",
    "deployed_bytes",
    "model_bytes",
    "validation_int8",
    "test_int8",
    "bytes_int8",
    "model_bytes_int8",
    "validation_int4",
    "test_int4",
    "bytes_int4",
    "model_bytes_int4",
    "latency_us",
    "bundle_bytes",
    "latency_hardware",
]


@pytest.mark.exhaustive(keep_every=4)
@pytest.mark.parametrize(("name", "preset"), SHIPPED)
def test_every_shipped_preset_can_be_planned(name, preset):
    loaded = study.load(name)
    sizes = check_sizes(loaded, preset, plan_sizes)
    for method, planned in sizes.items():
        if method.size or method.units:  # whose sizes tests/doping/test_sizes.py holds
            continue
        dense, compressed = (getattr(size, method.unit) for size in (planned.dense, planned.compressed))
        assert dense / compressed == pytest.approx(method.factor, rel=0.01)
    plan = make_plan(loaded, preset, None, lambda corpus: "0" * 64)
    assert len({cell.name for cell in plan.cells}) == len(plan.cells)
    trials = [cell.trial({}, seed) for cell in plan.cells for seed in cell.seeds]
    assert len({trial.id for trial in trials}) == len(trials) > (1 if plan.tuning and plan.tuning.together else 4)


def write(folder: Path, task: str, more: str = "") -> Path:
    path = folder / "mine.yaml"
    path.write_text(
        f"description: d\npresets:\n  quick:\n    task: {task}\n    seeds: [1]\n{more}"
        "    runs: [{method: dense}, {method: pruned, factor: 4}]\n"
    )
    return path


def test_a_study_that_sets_one_key_keeps_the_others_that_the_task_sets(tmp_path):
    path = write(tmp_path, "{name: 'examples.adding_problem:AddingProblem', training: {epochs: 3}}")
    training = study.load(str(path)).preset("quick").task.training
    assert (training.epochs, training.learning_rate, training.batch_size, training.cooldown) == (3, 0.01, 50, 0.5)
    set_too = study.with_settings(study.load(str(path)), "quick", ["task.training.batch_size=7"])
    training = set_too.preset("quick").task.training
    assert (training.epochs, training.learning_rate, training.batch_size) == (3, 0.01, 7)
    assert LanguageModelTask.model_validate({"training": {"epochs": 3}}).training.learning_rate == 2e-3


def test_what_is_searched_is_set_by_its_key_with_the_dots_in_it(tmp_path):
    tuning = "    tuning: {trials: 2, search: {task.training.learning_rate: {low: 0.001, high: 0.01}}}\n"
    path = write(tmp_path, "{name: 'examples.adding_problem:AddingProblem'}", tuning)
    given = ["tuning.search.annealing.length=[0.3, 0.55]", "tuning.search.task.training.learning_rate.high=0.02"]
    search = study.with_settings(study.load(str(path)), "quick", given).preset("quick").tuning.search
    assert search["annealing.length"] == [0.3, 0.55]
    assert (search["task.training.learning_rate"].low, search["task.training.learning_rate"].high) == (0.001, 0.02)


@pytest.mark.parametrize("name", study.names())
def test_every_study_has_three_presets_of_the_same_names(name):
    # What is deployed is asked of small models: these two have no preset for a GPU.
    needed = {"smoke", "quick"} if name in ("deployed", "fit") else {"smoke", "quick", "paper"}
    assert needed <= {preset for of, preset in SHIPPED if of == name}


def test_the_main_study_has_what_it_promises():
    plan = make_plan(study.load("kp_vs_pruning"), "quick", None, lambda corpus: "")
    methods = [cell.space.method for cell in plan.cells]
    labels = {method.label for method in methods}
    assert labels >= {"dense", "pruned", "kp", "doped_kp", "doped_kp + cmr", "lmf", "hmd"}
    for label in labels - {"dense"}:
        assert len({method.factor for method in methods if method.label == label}) >= 3


def trial(task=None, method=None, seed=1, data_hash="abc"):
    return Trial(task=task or LanguageModelTask(), method=method or Method(), seed=seed, data_hash=data_hash)


def test_the_identity_of_a_trial_is_what_defines_it():
    pruned = Method(name="pruned", factor=5)
    distinct = [
        trial(),
        trial(seed=2),
        trial(data_hash="abd"),
        trial(method=pruned),
        trial(method=Method(name="pruned", factor=6)),
        trial(method=Method(name="pruned", factor=5, annealing={"length": 0.3})),
        trial(method=Method(name="pruned", factor=5, pattern="gates")),
        trial(method=Method(name="pruned", factor=5, pattern="rows")),
        trial(task=LanguageModelTask(training={"epochs": 3})),
    ]
    assert len({each.id for each in distinct}) == len(distinct)


def test_idle_settings_and_places_do_not_matter():
    assert trial(method=Method(annealing={"length": 0.3}, pattern="gates")).id == trial().id
    here, there = (LanguageModelTask(data={"corpus": "text", "path": path}) for path in ("/here", "/there"))
    assert trial(task=here).id == trial(task=there).id


def test_the_hash_of_a_trial_stays_as_it_is():
    """Results of earlier versions are found by it; when it must change, RESULT_FORMAT does."""
    assert trial().id == "0c57ea29a4cc"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/results.csv")), ids=lambda path: path.parent.name)
def test_the_trials_of_the_committed_results_are_found_again(path):
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found = Trial.model_validate_json(row["settings"])
            assert (found.id, found.settings) == (row["trial_id"], row["settings"])


def test_the_columns_of_the_results_are_those_that_others_rely_on(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "support"))
    functions = Functions(train="fake_training:instant", data_hash="fake_training:data_hash")
    arguments = ["--study", "kp_vs_pruning", "--preset", "smoke", "--seed", "7", "--out", str(tmp_path), "--wandb", "off"]
    assert main([*arguments, "--workers", "1"], functions) == 0
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert {row["seed"] for row in rows} == {"7"}
    assert len(rows) == 9
    for row in rows:
        assert json.loads(row["settings"])["method"]["name"] == row["method"]
        assert float(row["cf_values"]) == 10.0
