"""The median rule: who is stopped, and who must not be because annealing moves the hump."""

from doping.method import Method
from sweeps.planning.early_stopping import Course, limits, phase
from sweeps.trials.job import Job
from sweeps.trials.trial import Trial
from tasks.language_model import LanguageModelTask

SHARES = [n / 10 for n in range(1, 11)]


def trial(start=0.2, length=0.4, name="pruned", rate=0.01):
    method = (
        Method(name=name) if name == "dense" else Method(name=name, factor=5, annealing={"start": start, "length": length})
    )
    task = LanguageModelTask(training={"validations": 10, "learning_rate": rate})
    return Trial(task=task, method=method, seed=0, data_hash="")


def course(metrics, **settings):
    return Course(trial(**settings), list(zip(SHARES, metrics, strict=False)))


def test_it_takes_three_to_judge_a_fourth():
    flat = course([2.0] * 10, name="dense")
    assert limits(trial(name="dense"), [flat, flat]) == (None,) * 10
    assert limits(trial(name="dense"), [flat] * 3) == (None, None, *[2.0] * 8), "and nobody is judged before 30 %"


def test_the_limit_is_the_median_of_those_that_came_so_far():
    courses = [course([level] * n, name="dense") for level, n in ((1.0, 10), (2.0, 10), (3.0, 10), (9.0, 5))]
    assert limits(trial(name="dense"), courses)[2:] == (2.5, 2.5, 2.5, 2.0, 2.0, 2.0, 2.0, 2.0)


def test_there_is_no_judgement_while_annealing():
    judged = limits(trial(start=0.5, length=0.2), [course([2.0] * 10, start=0.5, length=0.2)] * 3)
    assert judged == (None, None, 2.0, 2.0, None, None, 2.0, 2.0, 2.0, 2.0)


def test_a_trial_that_anneals_early_is_not_compared_with_those_that_are_still_dense():
    """It has its hump at 0.4 and is best in the end; the others have theirs at 0.9 and look better until then."""
    late = [course([1.5] * 8 + [2.5, 2.4], start=0.7, length=0.25)] * 3
    early = trial(start=0.1, length=0.3)
    for number, limit in enumerate(limits(early, late), start=1):
        assert limit is None or number == 10, "only at the end are all in the same phase"
    assert limits(early, late)[9] == 2.4


def test_phases():
    assert [phase(trial(), share) for share in (0.1, 0.2, 0.59, 0.61)] == ["before", "annealing", "annealing", "after"]
    assert phase(trial(name="dense"), 0.5) == "none"


def test_a_job_knows_what_is_hopeless():
    job = Job(trial=trial(), cell="pruned 5x", stage="tuning", limits=(None, 2.0))
    assert not job.hopeless(1, 99.0)
    assert not job.hopeless(2, 2.0)
    assert job.hopeless(2, 2.01)
    assert not job.hopeless(3, 99.0), "beyond the last limit anything goes"
