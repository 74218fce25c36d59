"""How long the rest of a study takes, by how long its trials took so far."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from doping.command_line import duration


@dataclass(frozen=True)
class Took:
    """How long a trial took."""

    method: str
    seconds: float
    share: float = 1.0
    """Share of it that was seen: what is known of a trial that still runs counts so much."""


_OTHERS = 2.0
"""How many trials of its own a method needs to be known as well by them as by those of all methods."""


def time_left(known: Sequence[Took], left: Iterable[tuple[str, float]], workers: int) -> float | None:
    """Seconds that trials will take, each given by its method and the share of it that is done; None without any hint.

    ``known`` are the trials so far, the latest last. Those of a method count as far as there are some, and those of all
    methods besides, since all train on the dense weight and so take about as long. A trial counts half as much as one that
    came two rounds of the workers later: what else the machine does changes more than methods do.
    """
    left = list(left)
    if not left:
        return 0.0
    if not known:
        return None
    weights = [took.share * math.exp2((place + 1 - len(known)) / (2 * workers)) for place, took in enumerate(known)]
    typical = sum(weight * took.seconds for weight, took in zip(weights, known, strict=True)) / sum(weights)

    def expected(method: str) -> float:
        own = [(weight, took.seconds) for weight, took in zip(weights, known, strict=True) if took.method == method]
        count = sum(weight for weight, _ in own)
        return (sum(weight * seconds for weight, seconds in own) + _OTHERS * typical) / (count + _OTHERS)

    whole = {method: expected(method) for method, _ in left}
    seconds = [whole[method] * (1 - share) for method, share in left]
    # With fewer trials than workers, or a long one at the end, the longest decides.
    return max(sum(seconds) / workers, max(seconds))


def outlook(seconds: float | None) -> str:
    """An estimate of the time left as one reads it: ``about 3 min 20 s left``."""
    return "time left unknown" if seconds is None else f"about {duration(seconds)} left"
