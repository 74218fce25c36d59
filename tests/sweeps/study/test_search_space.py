"""What a study may search, and what a method has of it."""

import re

import pytest

from doping.method import Method
from sweeps.study.search_space import Range, Space, SpaceError
from tasks.language_model import LanguageModelTask

TASK = LanguageModelTask(training={"learning_rate": 0.01})
RATE = Range(low=0.001, high=0.1, log=True)
SEARCHED = {
    "task.training.learning_rate": RATE,
    "annealing.length": [0.3, 0.55, 0.8],
    "cmr.probability": Range(low=0.1, high=0.7),
    "terms": [None, 1, 2],
    "structured_share": [None, 0.5],
}


@pytest.mark.parametrize(
    ("method", "keys"),
    [
        (Method(), ["task.training.learning_rate"]),
        (Method(name="lmf", factor=5), ["task.training.learning_rate"]),
        (Method(name="kp", factor=5), ["task.training.learning_rate", "terms"]),
        (Method(name="pruned", factor=5), ["task.training.learning_rate", "annealing.length"]),
        (Method(name="doped_lmf", factor=5), ["task.training.learning_rate", "annealing.length", "structured_share"]),
        (Method(name="doped_kp", factor=5, cmr={"probability": 0.3}), list(SEARCHED)),
    ],
    ids=lambda value: value.label if isinstance(value, Method) else "",
)
def test_a_method_has_those_settings_that_it_uses(method, keys):
    assert list(Space(TASK, method, SEARCHED).searched) == keys


def test_the_written_setting_is_that_of_the_study():
    method = Method(name="doped_kp", factor=5, cmr={"probability": 0.3})
    space = Space(TASK, method, SEARCHED)
    assert space.written == {
        "task.training.learning_rate": 0.01,
        "annealing.length": 0.55,
        "cmr.probability": 0.3,
        "terms": None,
        "structured_share": None,
    }
    assert space.apply(space.written) == (TASK, method)


def test_values_are_put_where_they_belong():
    method = Method(name="doped_kp", factor=5, cmr={"probability": 0.3})
    task, changed = Space(TASK, method, SEARCHED).apply({"cmr.probability": 0.5, "task.training.learning_rate": 0.02})
    assert (task.training.learning_rate, changed.cmr.probability) == (0.02, 0.5)
    assert task.model_copy(update={"training": TASK.training}) == TASK
    assert changed.model_copy(update={"cmr": method.cmr}) == method


CMR = Method(name="doped_kp", factor=5, cmr={"probability": 0.3})


@pytest.mark.parametrize(
    ("key", "values", "said"),
    [
        ("task.training.lerning_rate", RATE, "did you mean 'task.training.learning_rate'"),
        ("cmr.probablity", RATE, "did you mean 'cmr.probability'"),
        ("factor", Range(low=5, high=20), "chosen"),
        ("name", ["kp", "lmf"], "chosen"),
        ("pattern", ["unstructured", "gates"], "chosen"),
        ("task.training.epochs", Range(low=1, high=9), "chosen"),
        ("task.model.hidden", Range(low=50, high=200), "chosen"),
        ("task.data.limit", [None, 1000], "chosen"),
        ("cmr.probability", Range(low=0.4, high=0.7), "0.3"),
        ("cmr.probability", [0.3, 0.0], "a run of its own"),
        ("cmr.probability", Range(low=0.1, high=1.5), "less than 1"),
        ("annealing.length", [0.55, 0.95], "must end within the training"),
        ("annealing.exponent", [3.0, "three"], "three"),
    ],
)
def test_what_cannot_be_searched_is_told(key, values, said):
    with pytest.raises(SpaceError, match=re.escape(said)) as caught:
        Space(TASK, CMR, {key: values})
    assert caught.value.key == key


def test_two_settings_that_exclude_each_other_are_found_before_anything_runs():
    searched = {"annealing.start": Range(low=0.1, high=0.4), "annealing.length": Range(low=0.3, high=0.7)}
    with pytest.raises(SpaceError, match=r"start \+ length is 1\.1"):
        Space(TASK, CMR, searched)


def test_every_size_that_can_be_asked_for_is_covered():
    space = Space(TASK, CMR, SEARCHED)
    assert {(method.terms, method.structured_share) for method in space.sized()} == {
        (None, None),
        (1, None),
        (2, None),
        (None, 0.5),
    }
