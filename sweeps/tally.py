"""Where a study stands: what is done, what runs, the best so far, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

from sweeps.agenda import Agenda
from sweeps.outcome import Progress
from sweeps.rows import Row
from sweeps.trial import Trial


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
class Tally:
    """Counts of an agenda, and an estimate of the time left. ``clock`` gives seconds."""

    agenda: Agenda
    workers: int
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
        """Estimate from the trials that are finished, those of the same method before others; None without any hint."""
        now = self.clock()
        known: dict[str, list[float]] = {}
        for row in self.rows.values():
            if row.status in ("finished", "stopped"):
                known.setdefault(row.method, []).append(row.seconds)
        if not known:
            seen = [seconds for run in self.running.values() if (seconds := run.seconds_in_all(now))]
            if not seen:
                return None
            known[""] = seen
        typical = fmean(fmean(seconds) for seconds in known.values())
        left = []
        for job in self.agenda.jobs.values():
            if job.trial.id not in self.rows:
                seconds = fmean(known.get(job.trial.method.name, [typical]))
                run = self.running.get(job.trial.id)
                left.append(seconds * (1 - run.latest.share) if run else seconds)
        left += [typical] * (self.agenda.expected - len(self.agenda.jobs))
        # With fewer trials than workers, or a long one at the end, the longest decides.
        return max(sum(left) / self.workers, max(left)) if left else 0.0

    def best(self) -> str:
        """The best validation at each compression factor: ``best so far: 1x dense 1.97, 10x doped_kp 2.21``."""
        best: dict[float, Row] = {}
        for row in self.rows.values():
            if row.validation is not None and row.status == "finished":
                held = best.get(row.cf_requested)
                if held is None or held.validation is None or row.validation < held.validation:
                    best[row.cf_requested] = row
        names = [
            f"{factor:g}x {row.method}{' + cmr' if row.cmr else ''} {row.validation:.4g}"
            for factor, row in sorted(best.items())
        ]
        return f"best so far: {', '.join(names)}" if names else ""


def duration(seconds: float | None) -> str:
    """A time as one reads it: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None:
        return "unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
