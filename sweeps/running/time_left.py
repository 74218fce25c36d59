"""How long the rest of a study takes, by how long its trials took so far."""

from __future__ import annotations

import functools
import heapq
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from doping.command_line import duration


@dataclass(frozen=True)
class Took:
    """How long a trial took."""

    method: str
    seconds: float
    share: float = 1.0
    """Share of it that was seen: what is known of a trial that still runs counts so much."""
    work: float = 1.0
    """How long it should take, the model of the task's own width being 1: see ``work``."""


class Left(NamedTuple):
    """A trial that is to be done, or the rest of one."""

    method: str
    share: float = 0.0
    """Share of it that is done."""
    work: float = 1.0


@functools.cache
def work(settings: str) -> float:
    """How long a trial with these settings (JSON) should take, the model of the task's own width being 1.

    A quarter of a step does not depend on the width; the rest grows with the values of the dense weights. Trials of the
    study ``deployed`` (200 units) with 45, 89, 300 and 400 take 0.23, 0.32, 2.0 and 3.1 times as long, by ``--dry-run`` of
    each; this says 0.29, 0.40, 1.9 and 3.3.
    """
    content = json.loads(settings)
    units, own = content["method"].get("units"), content["task"].get("model", {}).get("hidden")
    return 0.25 + 0.75 * (units / own) ** 2 if units and own else 1.0


_OTHERS = 2.0
"""How many trials of its own a method needs to be known as well by them as by those of all methods."""


def time_left(known: Sequence[Took], left: Iterable[Left], workers: int) -> float | None:
    """Seconds that trials will take; None without any hint.

    ``known`` are the trials so far, the latest last. Those of a method count as far as there are some, and those of all
    methods besides, since all train on the dense weight and so take about as long for their work. A trial counts half as
    much as one that came two rounds of the workers later: what else the machine does changes more than methods do.
    """
    left = list(left)
    if not left:
        return 0.0
    if not known:
        return None
    weights = [took.share * math.exp2((place + 1 - len(known)) / (2 * workers)) for place, took in enumerate(known)]
    typical = sum(weight * took.seconds / took.work for weight, took in zip(weights, known, strict=True)) / sum(weights)

    def for_work(method: str) -> float:
        """Seconds of the method's trials, for work of 1."""
        own = [(weight, took) for weight, took in zip(weights, known, strict=True) if took.method == method]
        count = sum(weight for weight, _ in own)
        return (sum(weight * took.seconds / took.work for weight, took in own) + _OTHERS * typical) / (count + _OTHERS)

    ends = [0.0] * workers
    for trial in left:
        # In this order, each on the worker that is free first.
        heapq.heapreplace(ends, ends[0] + for_work(trial.method) * trial.work * (1 - trial.share))
    return max(ends)


def outlook(seconds: float | None) -> str:
    """An estimate of the time left as one reads it: ``about 3 min 20 s left``."""
    return "time left unknown" if seconds is None else f"about {duration(seconds)} left"
