"""Mean, spread and confidence interval of a few seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import special

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Statistic:
    """Mean and sample standard deviation (n - 1) over ``n`` seeds; no deviation for a single seed."""

    mean: float
    sd: float | None
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Statistic | None:
        """The statistic of these values; None where there are none."""
        array = np.asarray(list(values), dtype=float)
        if not array.size:
            return None
        return cls(float(array.mean()), float(array.std(ddof=1)) if array.size > 1 else None, array.size)

    @property
    def interval(self) -> float | None:
        """Half the width of the 95 % confidence interval of the mean, after Student's t; None for a single seed."""
        if self.sd is None:
            return None
        return float(special.stdtrit(self.n - 1, (1 + CONFIDENCE) / 2)) * self.sd / math.sqrt(self.n)

    def above(self, reference: float) -> Statistic:
        """The same as a difference to ``reference``."""
        return Statistic(self.mean - reference, self.sd, self.n)

    def relative_to(self, reference: float) -> Statistic:
        """The same as a difference to ``reference``, in percent of it."""
        scale = 100 / reference
        return Statistic((self.mean - reference) * scale, None if self.sd is None else self.sd * scale, self.n)
