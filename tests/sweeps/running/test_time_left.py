"""How long the rest of a study takes: by what its trials took, as soon as three have ended."""

import csv
import json
from itertools import count
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import pytest

from doping.method import Method
from sweeps.running.standing import Standing
from sweeps.running.time_left import Left, Took, outlook, time_left, work
from sweeps.trials.outcome import Progress

RESULTS = Path(__file__).parents[3] / "results"


def study(*methods):
    """Trials of a study, which a standing knows by their ids and methods."""
    return [trial(number, name) for number, name in enumerate(methods)]


def trial(number, name, units=None):
    settings = json.dumps({"method": {"units": units}, "task": {"model": {"hidden": 200}}})
    return SimpleNamespace(id=str(number), method=Method(name=name), settings=settings)


def row(trial, seconds):
    return SimpleNamespace(
        trial_id=trial.id, method=trial.method.name, seconds=seconds, status="finished", settings=trial.settings
    )


def replay(trials, seconds, workers, ended, cold=0.0):
    """Run trials that take so long one after the other; what was said to be left once so many have ended, and what was.

    A worker's first trial takes ``cold`` seconds more before it trains.
    """
    now = 0.0
    due = SimpleNamespace(jobs={trial.id: SimpleNamespace(trial=trial) for trial in trials}, expected=len(trials))
    standing = Standing(due, workers, {}, lambda: now)
    steps = []
    free = [(0.0, cold)] * workers
    for trial, whole in zip(trials, seconds, strict=True):
        (begin, start), *free = sorted(free)
        end = begin + start + whole
        steps += [(begin, 1, trial, 0.0)]
        steps += [(begin + start + whole * tenth / 10, 2, trial, (tenth + 0.001) / 10) for tenth in range(10)]
        steps += [(end, 0, trial, row(trial, end - begin))]
        free.append((end, 0.0))
    said, at, number = None, 0.0, count(1)
    for now, _, trial, what in sorted(steps, key=lambda step: step[:2]):
        if isinstance(what, float):
            standing.report(trial, Progress(what, 0))
            continue
        standing.finish(trial, what)
        if next(number) == ended:
            said, at = standing.seconds_left(), now
    return said, now - at


def recorded(name):
    """Trials of a committed study, in the order of its plan, and how long each took."""
    with (RESULTS / name / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "finished"]
    return study(*(row["method"] for row in rows)), [float(row["seconds"]) for row in rows]


# Committed studies whose trials took as long in the end as in the beginning: nothing else ran on the machine, or always
# the same. Of others no estimate is right, for it would have to know what else will run.
STEADY = ["beyond_paper-distilled", "cma_degradation-quick", "cmr_probability-quick"]


@pytest.mark.parametrize("name", STEADY)
@pytest.mark.parametrize("workers", [1, 2])
def test_after_the_third_trial_of_a_recorded_study_it_is_right_within_20_percent(name, workers):
    trials, seconds = recorded(name)
    assert fmean(seconds[3:]) == pytest.approx(fmean(seconds[:3]), rel=0.1)
    said, took = replay(trials, seconds, workers, ended=3)
    assert said == pytest.approx(took, rel=0.2)


@pytest.mark.parametrize("workers", [2, 4])
def test_the_slow_first_start_of_each_worker_is_not_counted_for_the_others(workers):
    """What starts takes as long as what trains, as in the smallest studies."""
    trials = study("dense", *["pruned", "kp", "lmf", "doped_kp"] * 4)
    said, took = replay(trials, [10.0] * len(trials), workers, ended=workers + 1, cold=10.0)
    assert said == pytest.approx(took, rel=0.2)


def test_wider_models_are_expected_to_take_longer():
    widths = [None, None, None, 89, 300, 300, 400, 89, 300, 400]
    trials = [trial(number, "kp", units) for number, units in enumerate(widths)]
    relative = {None: 1.0, 89: 0.32, 300: 2.0, 400: 3.06}
    """As ``--dry-run`` of ``deployed`` found on a quiet machine."""
    said, took = replay(trials, [100 * relative[units] for units in widths], workers=2, ended=3)
    assert said == pytest.approx(took, rel=0.2)
    assert [work(trial(0, "kp", units).settings) for units in (None, 200, 400)] == [1, 1, 3.25]
    assert work(json.dumps({"method": {"units": 64}, "task": {}})) == 1, "a task of one's own has no width to compare with"


def test_where_a_machine_becomes_slower_the_estimate_follows():
    trials = study(*["kp"] * 40)
    seconds = [10.0] * 20 + [30.0] * 20
    said, took = replay(trials, seconds, workers=2, ended=28)
    assert said == pytest.approx(took, rel=0.2)


def test_a_trial_that_runs_tells_of_a_method_that_has_finished_nothing():
    trials, now = study("dense", "kp", "kp", "kp"), 0.0
    due = SimpleNamespace(jobs={trial.id: SimpleNamespace(trial=trial) for trial in trials}, expected=4)
    standing = Standing(due, 1, {"0": row(trials[0], 10.0)}, lambda: now)
    for seconds, share in ((0.0, 0.0), (1.0, 0.01), (50.0, 0.5), (90.0, 0.9)):
        now = seconds
        standing.report(trials[1], Progress(share, 0))
    # At a hundredth per second, the rest of it takes 10 seconds and the others 100 each, by the dense one it
    # would be 21 in all; it is between the two.
    assert 100 < standing.seconds_left() < 10 + 2 * 100


def test_the_time_left_goes_by_the_method_and_by_what_is_done():
    known = [Took("kp", 15.0)] * 40 + [Took("dense", 45.0)] * 40
    assert time_left([Took("kp", 15.0)], [Left("kp", 0.0), Left("kp", 0.5)], workers=1) == pytest.approx(15 + 7.5)
    assert time_left(known, [Left("dense", 0.0)], workers=40) == pytest.approx(45, rel=0.05), "of its own method"
    assert 30 < time_left(known, [Left("lmf", 0.0)], workers=40) < 40, "of all methods, the latest most"
    assert time_left([Took("kp", 15.0)], [Left("kp", 0.0), Left("kp", 0.5)], workers=2) == 15, "the longest decides"
    assert time_left([Took("kp", 15.0)], [Left("kp", 0.0)] * 8, workers=2) == pytest.approx(4 * 15)
    assert time_left([], [Left("kp", 0.0)], workers=1) is None
    assert time_left([], [], workers=1) == 0
    assert (outlook(None), outlook(90)) == ("time left unknown", "about 1 min 30 s left")
