"""Which differences between methods are more than the luck of the seeds.

A row is compared with a reference by a t-test on the differences of the test metric, paired by seed: what chance has in
common for two trainings with the same seed cancels out. Many comparisons are made at once, so their p-values are corrected
after Holm (1979), over all comparisons with the same kind of reference in a section.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from scipy import special

from analysis import variants
from analysis.section import Section, TableRow
from analysis.stats.statistic import Statistic

LEVEL = 0.05
REFERENCES = ("best", "pruned", "without_cmr", "dense")
"""What a row is compared with: the best at its factor, pruning at its factor, itself without CMR, the uncompressed model."""


@dataclass(frozen=True)
class Difference:
    """Test metric of a row less that of its reference, over the seeds that both have finished."""

    reference: TableRow
    statistic: Statistic
    p: float | None
    """Two-sided; None for fewer than two pairs."""
    p_corrected: float | None = None
    """After Holm."""

    @property
    def significant(self) -> bool:
        """Whether it is, at 5 %, after the correction."""
        return self.p_corrected is not None and self.p_corrected < LEVEL


Differences = dict[str, Difference]
"""By kind of reference; only those that the row has a common seed with."""


def compare(section: Section) -> list[Differences]:
    """The differences of each row of ``section``, in its order."""
    found = [
        {kind: difference for kind, reference in _references(section, row) if (difference := _difference(row, reference))}
        for row in section.rows
    ]
    for kind in REFERENCES:
        tested = [(of_row, known.p) for of_row in found if (known := of_row.get(kind)) and known.p is not None]
        for (of_row, _), p in zip(tested, holm([p for _, p in tested]), strict=True):
            of_row[kind] = replace(of_row[kind], p_corrected=p)
    return found


def holm(p: Sequence[float]) -> list[float]:
    """The p-values corrected for being many (Holm's step-down procedure), in the same order."""
    result = [0.0] * len(p)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        result[index] = largest
    return result


def _references(section: Section, row: TableRow) -> Iterator[tuple[str, TableRow]]:
    if row.method == "dense":
        return
    if section.dense:
        yield "dense", section.dense
    rivals = [other for other in section.rows if (other.unit, other.factor) == (row.unit, row.factor) and other is not row]
    yield from (("best", other) for other in rivals if other.best)
    pruned = [other for other in rivals if other.method == "pruned" and other.validation]
    if pruned and row.method != "pruned":
        # Of several settings of pruning, the one that a user would have chosen.
        yield "pruned", min(pruned, key=lambda other: other.validation.mean if other.validation else 0.0)
    if row.cmr:
        same = variants.without_cmr(row.flat)
        yield from (("without_cmr", other) for other in rivals if not other.cmr and variants.without_cmr(other.flat) == same)


def _difference(row: TableRow, reference: TableRow) -> Difference | None:
    ours, theirs = row.test_by_seed, reference.test_by_seed
    statistic = Statistic.of(ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys()))
    if statistic is None:
        return None
    return Difference(reference, statistic, _p(statistic))


def _p(differences: Statistic) -> float | None:
    """Two-sided p-value of Student's t-test against a mean of zero."""
    if differences.sd is None:
        return None
    if differences.sd == 0:
        return 1.0 if differences.mean == 0 else 0.0
    t = abs(differences.mean) / differences.sd * differences.n**0.5
    return float(2 * special.stdtr(differences.n - 1, -t))
