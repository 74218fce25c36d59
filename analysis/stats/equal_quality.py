"""How much smaller a method is at equal quality: the paper's "1.3–2.4x higher compression at similar accuracy".

Each method's points (its factors) form a Pareto front of test quality against size. Between neighbouring points of a front
the quality is interpolated linearly in the logarithm of the size; beyond its ends nothing is said. Methods are compared
pair by pair, with each method without doping as the baseline. Not with the best of these at each quality: where the
best was not measured, the next one would stand in for it, and flatter what is compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from analysis import labels
from analysis.section import Section, TableRow
from doping.families import is_doped

PAPER = (1.3, 2.4)
"""The claim of the paper's abstract, over its four applications."""


@dataclass(frozen=True)
class Front:
    """The Pareto front of some points; quality: test metric, lower is better."""

    qualities: list[float]
    """Ascending, each with the smallest size that reaches it ..."""
    log_sizes: list[float]
    """... as a natural logarithm, descending."""

    @classmethod
    def of(cls, rows: Iterable[TableRow], size: str) -> Front:
        """The front of the rows that have a test metric and a number for ``size``."""
        points = sorted(
            (row.test.mean, math.log(row.sizes[size])) for row in rows if row.test and math.isfinite(row.sizes[size])
        )
        kept: list[tuple[float, float]] = []
        for point in points:
            if not kept or point[1] < kept[-1][1]:
                kept.append(point)
        return cls([quality for quality, _ in kept], [log_size for _, log_size in kept])

    def log_size(self, quality: float) -> float:
        """Logarithm of the size that reaches ``quality``, which has to lie between the ends of the front."""
        assert self.qualities[0] <= quality <= self.qualities[-1]
        return float(np.interp(quality, self.qualities, self.log_sizes))


@dataclass(frozen=True)
class EqualQuality:
    """How many times smaller a method is than a baseline, over the qualities that both reach."""

    row: TableRow
    """One of its rows, to name it."""
    baseline: str
    """A method without doping; of several settings of it, the best at each quality."""
    qualities: list[float]
    """Where a front bends, and the ends of the common range: between them the ratio runs straight, in its logarithm."""
    ratios: list[float]
    """Size of the baseline over size of the method; above 1 the method is smaller."""

    @property
    def mean(self) -> float:
        """Geometric mean over the common range (Bjøntegaard's average, VCEG-M33, with straight lines for his cubic)."""
        area = np.trapezoid(np.log(self.ratios), self.qualities)
        return math.exp(area / (self.qualities[-1] - self.qualities[0]))

    @property
    def lowest(self) -> float:
        """The lowest ratio in the common range."""
        return min(self.ratios)

    @property
    def highest(self) -> float:
        """The highest ratio in the common range."""
        return max(self.ratios)


def baselines(section: Section) -> list[str]:
    """The methods without doping, in the order of the tables."""
    methods = {key.method for key in section.lines() if not is_doped(key.method)}
    return sorted(methods, key=lambda method: labels.method_rank(method, False))


def compare(section: Section, size: str) -> list[EqualQuality]:
    """Each method with each baseline that it shares a range of quality with, in the order of the tables."""
    lines = section.lines()
    result = []
    for key, rows in lines.items():
        front = Front.of(rows, size)
        for baseline in baselines(section):
            reference = Front.of((row for other in lines for row in lines[other] if other.method == baseline), size)
            if baseline == key.method or not (front.qualities and reference.qualities):
                continue
            low = max(front.qualities[0], reference.qualities[0])
            high = min(front.qualities[-1], reference.qualities[-1])
            if low >= high:
                continue
            bends = {quality for quality in (*front.qualities, *reference.qualities) if low <= quality <= high}
            qualities = sorted(bends | {low, high})
            ratios = [math.exp(reference.log_size(quality) - front.log_size(quality)) for quality in qualities]
            result.append(EqualQuality(rows[0], baseline, qualities, ratios))
    return result
