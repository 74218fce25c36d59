"""Where a study stands: what is done, what runs, and the best so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import fmean

from sweeps.planning.due_trials import DueTrials
from sweeps.results.rows import Row
from sweeps.running.time_left import Left, Took, time_left, work
from sweeps.trials.outcome import Progress
from sweeps.trials.trial import Trial


@dataclass
class Running:
    """A trial that runs."""

    trial: Trial
    submitted: float
    """When it reported first: its model and data are still to be made."""
    latest: Progress
    reported: float
    """When that came."""
    began: float | None = None
    """When it was first known to train; None before."""
    share: float = 0.0
    """Share of it that was done then: more than a moment's where it goes on from a checkpoint."""

    def report(self, progress: Progress, now: float) -> None:
        """Take up what it reports."""
        self.latest, self.reported = progress, now
        if self.began is None and progress.share > 0:
            self.began, self.share = now, progress.share

    def training(self) -> float | None:
        """Seconds that the whole training takes at the speed so far; None while it is too early to say."""
        share = self.latest.share - self.share
        return (self.reported - self.began) / share if self.began is not None and share > 0.02 else None


@dataclass
class Standing:
    """Counts of the due trials, and an estimate of the time left. ``clock`` gives seconds."""

    due: DueTrials
    workers: int
    """Trials at a time, at least."""
    rows: dict[str, Row]
    clock: Callable[[], float] = time.monotonic
    running: dict[str, Running] = field(default_factory=dict)
    _seen: dict[str, float] = field(default_factory=dict)
    """Seconds of trials that ended while this looked, from their first step on."""
    _starts: list[float] = field(default_factory=list)
    """Seconds before that. A worker's first trial takes longer to start, which says nothing of the later ones."""
    _ends: list[float] = field(default_factory=list)
    """Seconds from the last step to the row: tests, and what is kept of the model."""

    def report(self, trial: Trial, progress: Progress) -> None:
        """A trial reports."""
        now = self.clock()
        run = self.running.setdefault(trial.id, Running(trial, now, progress, now))
        waits = run.began is None
        run.report(progress, now)
        if waits and run.began is not None:
            self._starts.append(now - run.submitted)

    def finish(self, trial: Trial, row: Row) -> None:
        """A trial has a row."""
        run = self.running.pop(trial.id, None)
        # One that was stopped early is known by its row.
        if run and row.status == "finished" and run.began is not None and run.share < 1:
            now = self.clock()
            self._ends.append(now - run.reported)
            self._seen[trial.id] = (now - run.began) / (1 - run.share)
        # The order of the rows is the order in which they came.
        self.rows.pop(trial.id, None)
        self.rows[trial.id] = row

    def put_back(self, trial: Trial) -> None:
        """A trial does not run any more."""
        self.running.pop(trial.id, None)

    def count(self, status: str) -> int:
        """Trials that ended so."""
        return sum(row.status == status for row in self.rows.values())

    def seconds_left(self) -> float | None:
        """Estimate of the time that the rest takes; None without any hint."""
        start, end = min(self._starts, default=0.0), fmean(self._ends or [0.0])
        known = [
            Took(
                row.method, self._seen[trial_id] + start if trial_id in self._seen else row.seconds, work=work(row.settings)
            )
            for trial_id, row in self.rows.items()
            if row.status in ("finished", "stopped")
        ]
        for run in self.running.values():
            if training := run.training():
                trial = run.trial
                known.append(Took(trial.method.name, start + training + end, run.latest.share, work(trial.settings)))
        left: list[Left] = []
        for trial_id, job in self.due.jobs.items():
            if trial_id not in self.rows:
                other = self.running.get(trial_id)
                share = other.latest.share if other else 0.0
                left.append(Left(job.trial.method.name, share, work(job.trial.settings)))
        left += [Left("")] * (self.due.expected - len(self.due.jobs))
        return time_left(known, left, max(self.workers, len(self.running)))


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
