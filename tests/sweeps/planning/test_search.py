"""Proposals are a pure function of the results, lie in the space, and get better as results come in."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.planning.search import Tried, optuna_result, propose
from sweeps.results.rows import Row
from sweeps.study.search_space import Range

SEARCHED = {
    "rate": Range(low=0.001, high=0.1, log=True),
    "dropout": Range(low=0.0, high=0.6),
    "terms": Range(low=1, high=4),
    "shape": [None, [20, 10], [10, 5]],
}


def row(validation, status="finished", steps=100):
    blank = dict.fromkeys(("trial_id", "task", "method", "cf_unit", "data_hash", "commit", "started"), "")
    blank |= dict.fromkeys(("host", "hardware", "versions", "settings"), "")
    return Row(**blank, cmr=0, cf_requested=1, seed=0, seconds=1, steps=steps, status=status, validation=validation)


def distance(values):
    """Lowest at rate 0.01, dropout 0.3 and shape 20 x 10."""
    return abs(math.log10(values["rate"] / 0.01)) + abs(values["dropout"] - 0.3) + (values["shape"] != [20, 10])


def search(budget, name="cell"):
    tried = [Tried({"rate": 0.05, "dropout": 0.0, "terms": 1, "shape": None}, row(9.0))]
    while len(tried) < budget:
        values = propose(SEARCHED, tried, budget, name)
        tried.append(Tried(values, row(distance(values))))
    return tried


def test_the_same_results_give_the_same_proposals():
    assert search(8) == search(8)
    assert search(8, "another cell")[1:] != search(8)[1:]


def test_proposals_lie_in_the_space_and_are_written_as_a_study_would():
    for one in search(12)[1:]:
        assert 0.001 <= one.values["rate"] <= 0.1
        assert float(f"{one.values['rate']:.4g}") == one.values["rate"]
        assert isinstance(one.values["terms"], int)
        assert one.values["shape"] in SEARCHED["shape"]
        assert json.loads(json.dumps(one.values)) == one.values


def test_it_learns():
    """Of forty settings the later half is better than the first half, in each of five cells."""
    for cell in range(5):
        ends = [distance(one.values) for one in search(40, f"cell {cell}")[1:]]
        assert sorted(ends[-15:])[7] < sorted(ends[:13])[6]


@given(st.lists(st.sampled_from(["finished", "stopped", "failed", "diverged", "pending"]), min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_whatever_became_of_the_others_there_is_a_proposal(fates):
    made = {
        "finished": row(1.0),
        "stopped": row(2.0, "stopped", steps=50),
        "failed": row(None, "failed"),
        "diverged": row(math.inf, "diverged"),
        "pending": None,
    }
    values = {"rate": 0.05, "dropout": 0.0, "terms": 1, "shape": None}
    assert set(propose(SEARCHED, [Tried(values, made[fate]) for fate in fates], 6, "cell")) == set(SEARCHED)


@pytest.mark.parametrize(
    ("result", "state", "value"),
    [
        (row(1.5), "COMPLETE", [1.5]),
        (row(math.inf, "diverged"), "COMPLETE", [math.inf]),
        (row(2.0, "stopped"), "PRUNED", None),
        (row(None, "failed"), "FAIL", None),
        (None, "RUNNING", None),
    ],
)
def test_a_divergence_is_a_result_and_a_failure_is_none(result, state, value):
    assert (optuna_result(result)[0].name, optuna_result(result)[1]) == (state, value)
