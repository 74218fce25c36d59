"""Where a study stands: what is done, what runs, the best so far, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from doping.command_line import duration
from sweeps.planning.due_trials import DueTrials
from sweeps.results.rows import Row
from sweeps.trials.outcome import Progress
from sweeps.trials.trial import Trial


@dataclass
class Running:
    """A trial that runs: its first and its latest report."""

    trial: Trial
    began: float
    first: Progress
    latest: Progress

    def seconds_in_all(self, now: float) -> float | None:
        """How long the whole trial takes at the speed seen so far; None while it is too early to say."""
        share = self.latest.share - self.first.share
        return (now - self.began) / share if share > 0.02 else None


@dataclass
class Standing:
    """Counts of the due trials, and an estimate of the time left. ``clock`` gives seconds."""

    due: DueTrials
    workers: int
    """Trials at a time, at least."""
    rows: dict[str, Row]
    clock: Callable[[], float] = time.monotonic
    running: dict[str, Running] = field(default_factory=dict)

    def report(self, trial: Trial, progress: Progress) -> None:
        """A trial reports."""
        if trial.id in self.running:
            self.running[trial.id].latest = progress
        else:
            self.running[trial.id] = Running(trial, self.clock(), progress, progress)

    def finish(self, trial: Trial, row: Row) -> None:
        """A trial has a row."""
        self.running.pop(trial.id, None)
        self.rows[trial.id] = row

    def put_back(self, trial: Trial) -> None:
        """A trial does not run any more."""
        self.running.pop(trial.id, None)

    def count(self, status: str) -> int:
        """Trials that ended so."""
        return sum(row.status == status for row in self.rows.values())

    def seconds_left(self) -> float | None:
        """Estimate of the time that the rest takes; None without any hint."""
        now = self.clock()
        known = seconds_by_method(self.rows.values())
        # A method that has not finished any trial is known by the speed of those that run.
        so_far: dict[str, list[float]] = {}
        for other in self.running.values():
            if other.trial.method.name not in known and (seconds := other.seconds_in_all(now)):
                so_far.setdefault(other.trial.method.name, []).append(seconds)
        known |= so_far
        left: list[tuple[str, float]] = []
        for trial_id, job in self.due.jobs.items():
            if trial_id not in self.rows:
                run = self.running.get(trial_id)
                left.append((job.trial.method.name, run.latest.share if run else 0.0))
        left += [("", 0.0)] * (self.due.expected - len(self.due.jobs))
        return time_left(known, left, max(self.workers, len(self.running)))


def seconds_by_method(rows: Iterable[Row]) -> dict[str, list[float]]:
    """How long trials took, by their method."""
    known: dict[str, list[float]] = {}
    for row in rows:
        if row.status in ("finished", "stopped"):
            known.setdefault(row.method, []).append(row.seconds)
    return known


def time_left(known: Mapping[str, Sequence[float]], left: Iterable[tuple[str, float]], workers: int) -> float | None:
    """Seconds that trials will take, each given by its method and the share of it that is done; None without any hint.

    ``known`` are seconds of whole trials: those of the same method count before others.
    """
    left = list(left)
    if not left:
        return 0.0
    means = {method: fmean(seconds) for method, seconds in known.items() if seconds}
    if not means:
        return None
    typical = fmean(means.values())
    seconds = [means.get(method, typical) * (1 - share) for method, share in left]
    # With fewer trials than workers, or a long one at the end, the longest decides.
    return max(sum(seconds) / workers, max(seconds))


def best_per_method(rows: Iterable[Row]) -> list[str]:
    """Lines of a table: the lowest validation of each method at each compression factor or size; none without any."""
    best: dict[str, dict[tuple[bool, float], float]] = {}
    for row in rows:
        if row.status == "finished" and row.validation is not None:
            of_method = best.setdefault(f"{row.method}{' + cmr' if row.cmr else ''}", {})
            asked = row.cf_unit == "size", row.cf_requested
            of_method[asked] = min(row.validation, of_method.get(asked, row.validation))
    factors = sorted({factor for of_method in best.values() for factor in of_method})
    if not factors:
        return []
    lines = [["best validation", *(f"{asked / 1000:g} kB" if size else f"{asked:g}x" for size, asked in factors)]]
    for label, of_method in best.items():
        lines.append([label, *(f"{of_method[factor]:.4g}" if factor in of_method else "" for factor in factors)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            [label.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))]
        ).rstrip()
        for label, *cells in lines
    ]


def outlook(seconds: float | None) -> str:
    """An estimate of the time left as one reads it: ``about 3 min 20 s left``."""
    return "time left unknown" if seconds is None else f"about {duration(seconds)} left"
