"""Which tuning trials are hopeless: a median rule on the degradation curve, aware that the curve rises while annealing.

A trial is stopped at a validation that is worse than the median of the trials before it at the same point of the
training. Annealing makes that unfair, as it moves the hump of the curve: a trial that prunes early stands at its worst
while others are still dense. So a trial is judged only before its own pruning begins and after it has ended, and only
against those that are in the same phase then. Methods without a sparse part have no phases. (The median rule for curves
that only fall is that of Golovin et al. 2017, Google Vizier, section 3.2.2.)

All of it follows from finished results, so the limits of a trial are known before it starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from sweeps.trials.trial import Trial

FIRST_SHARE = 0.3
"""No trial is judged before this share of its training: slow starters may be the best in the end."""
FEWEST = 3
"""So many trials it takes to judge another."""

Phase = Literal["none", "before", "annealing", "after"]


@dataclass(frozen=True)
class Course:
    """How a trial went: its validations in order, each with the share of the training done."""

    trial: Trial
    points: Sequence[tuple[float, float]]


def limits(trial: Trial, courses: Sequence[Course]) -> tuple[float | None, ...]:
    """The worst metric that each validation of a trial may show, judged by the trials before it; None where any will do."""
    most = max((len(course.points) for course in courses), default=0)
    reached = [[(course, *course.points[n]) for course in courses if n < len(course.points)] for n in range(most)]
    return tuple(_limit(trial, those) for those in reached)


def _limit(trial: Trial, reached: Sequence[tuple[Course, float, float]]) -> float | None:
    """The limit of one validation; ``reached`` are those that came so far, with share and metric."""
    alike = [
        metric
        for course, share, metric in reached
        if share >= FIRST_SHARE and phase(course.trial, share) == phase(trial, share) != "annealing"
    ]
    return median(alike) if len(alike) >= FEWEST else None


def phase(trial: Trial, share: float) -> Phase:
    """What the sparse part of a trial goes through at a share of its training; ``none`` without one."""
    annealing = trial.method.annealing
    if not trial.method.sparse:
        return "none"
    if share < annealing.start:
        return "before"
    return "annealing" if share < annealing.start + annealing.length else "after"
