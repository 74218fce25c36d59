"""What a plan asks for, as far as it follows from the results so far.

A cell that is not tuned asks for one trial a seed. A tuned one asks for a setting after the other, each proposed from the
results of those before, and then for one trial a seed of the best. Nothing of this is stored: the rows are, and the same
rows give the same trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sweeps.planning.early_stopping import Course, limits
from sweeps.planning.plan import PlannedCell, StudyPlan
from sweeps.planning.search import Tried, propose
from sweeps.results.folder import ResultsFolder
from sweeps.results.rows import Row
from sweeps.study.search_space import Values
from sweeps.study.study_file import Tuning
from sweeps.trials.job import Job
from sweeps.trials.trial import Trial

PROPOSALS = 50
"""Proposals of a search together after which the written setting is taken: so many could not be had."""


class DueTrials:
    """The jobs of a plan; more follow as results come in."""

    def __init__(self, plan: StudyPlan, folder: ResultsFolder) -> None:
        self.jobs: dict[str, Job] = {}
        """All jobs so far by the ids of their trials, in order; a trial that several cells ask for is the first one's."""
        self._folder = folder
        self._cells = [_DueOfCell(cell, plan.tuning, folder, plan.latency) for cell in plan.cells]
        self._unfinished = list(self._cells)
        self.advance()

    @property
    def expected(self) -> int:
        """How many trials there will be in the end, at most."""
        return len(self.jobs) + sum(cell.to_come for cell in self._unfinished)

    @property
    def without_result(self) -> list[str]:
        """Names of the cells in which no setting came to its end, so that there is nothing to run with all seeds."""
        return [cell.name for cell in self._cells if cell.nothing_worked]

    def advance(self) -> list[Job]:
        """Jobs that follow from results which have come since; each trial once."""
        new: list[Job] = []
        # To a fixed point: a cell may ask for a trial that has a result already.
        while found := [job for cell in self._unfinished for job in cell.advance()]:
            fresh = [job for job in found if job.trial.id not in self.jobs]
            self.jobs.update((job.trial.id, job) for job in fresh)
            new += fresh
        self._unfinished = [cell for cell in self._unfinished if cell.to_come]
        return new

    def rows(self) -> dict[str, Row]:
        """Results of the jobs so far, by the ids of their trials."""
        return self._folder.results(self.jobs.values())


class _DueOfCell:
    """The jobs of one cell."""

    def __init__(
        self, cell: PlannedCell, tuning: Tuning | None, folder: ResultsFolder, latency: float | None = None
    ) -> None:
        self.name = cell.name
        self.nothing_worked = False
        self._cell, self._folder = cell, folder
        self._tuning = tuning if cell.space.searched else None
        self._latency = latency if cell.together else None
        self._by_latency = bool(tuning and (tuning.objective == "latency" or self._latency))
        self._tried: list[Job] = []
        settings = 1 + (self._tuning.runners_up if self._tuning and cell.together else 0)
        self.to_come = (self._tuning.trials if self._tuning else 0) + settings * len(cell.seeds)

    def advance(self) -> list[Job]:
        """The next jobs, none while they wait for results."""
        new: list[Job] = []
        while self._tuning and len(self._tried) < self._tuning.trials and (job := self._next_tried(self._tuning)):
            self._tried.append(job)
            new.append(job)
        self.to_come -= len(new)
        if self.to_come and (finals := self._finals()):
            new += finals
            self.to_come = 0
        return new

    def _next_tried(self, tuning: Tuning) -> Job | None:
        """The next setting to try; None while it waits for the results of earlier ones."""
        settled = self._tried[: max(0, len(self._tried) - tuning.parallel + 1)]
        rows = self._folder.results(settled)
        if len(rows) < len({job.trial.id for job in settled}):
            return None
        space = self._cell.space
        values: Values
        if not self._tried:
            values = space.written
        else:
            # The results of those under way do not count even if they are there: nothing must depend on who is faster.
            pending = [Tried(job.values, None) for job in self._tried[len(settled) :]]
            tried = [*(Tried(job.values, rows[job.trial.id]) for job in settled), *pending]
            values = self._proposed(tried, tuning)
        trial = self._cell.trial(values, tuning.seed)
        courses = [Course(job.trial, self._course(job)) for job in settled] if tuning.early_stopping else []
        return Job(
            trial=trial,
            cell=self.name,
            stage="tuning",
            values=dict(values),
            limits=limits(trial, courses),
            latency=self._by_latency,
        )

    def _proposed(self, tried: Sequence[Tried], tuning: Tuning) -> Values:
        """The next setting that can be had; the written one where none of some proposals can."""
        space, name = self._cell.space, self._cell.fingerprint
        for attempt in range(PROPOSALS if self._cell.together else 1):
            values = propose(
                space.searched, tried, tuning.trials, f"{name} {attempt}" if attempt else name, tuning.objective
            )
            if not self._cell.together or self._can_be_had(values):
                return values
        return space.written

    def _can_be_had(self, values: Values) -> bool:
        try:
            return bool(self._cell.trial(values, 0).built)
        except ValueError:
            return False

    def _course(self, job: Job) -> list[tuple[float, float]]:
        epochs = getattr(job.trial.task.training, "epochs", 1)  # a training of one's own may not count in them
        return [(float(p["epoch"]) / epochs, float(p["validation"])) for p in self._folder.curve(job.trial.id)]

    def _finals(self) -> list[Job]:
        """The best setting with every seed, once all have been tried."""
        chosen = [self._cell.space.written]
        if self._tuning:
            rows = self._folder.results(self._tried)
            if len(self._tried) < self._tuning.trials or len(rows) < len({job.trial.id for job in self._tried}):
                return []
            if self._cell.together:
                chosen = [job.values for job in best_fits(self._tried, rows, self._tuning.runners_up, self._latency)]
            else:
                best = best_of(self._tried, rows, self._tuning)
                chosen = [best.values] if best else []
            if not chosen:
                self.nothing_worked, self.to_come = True, 0
                return []
        trials = [self._cell.trial(values, seed) for values in chosen for seed in self._cell.seeds]
        return [
            Job(trial=trial, cell=self._final_name(trial), latency=self._by_latency)
            for trial in {trial.id: trial for trial in trials}.values()
        ]

    def _final_name(self, trial: Trial) -> str:
        """Of a search together, the method too: its best settings are to be told apart."""
        return f"{self.name}, {trial.method.label}, {trial.method.budget}" if self._cell.together else self.name


def best_fits(jobs: Sequence[Job], rows: Mapping[str, Row], runners_up: int = 0, latency: float | None = None) -> list[Job]:
    """The jobs with the lowest validation of those that came to their end, each trial once, and so many that follow it.

    With a ``latency`` in microseconds, of those that are no slower.
    """
    ended = {job.trial.id: job for job in jobs if job.trial.id in rows and rows[job.trial.id].status == "finished"}
    fast = [job for job in ended.values() if latency is None or _known(rows[job.trial.id].latency_us) <= latency]
    return sorted(fast, key=lambda job: _known(rows[job.trial.id].validation))[: 1 + runners_up]


def best_of(jobs: Sequence[Job], rows: Mapping[str, Row], tuning: Tuning) -> Job | None:
    """The job to choose of those that came to their end, of equal ones the first; None without any.

    It is the one with the lowest validation; or the fastest of those whose validation is near enough to that.
    """
    ended = [job for job in jobs if job.trial.id in rows and rows[job.trial.id].status == "finished"]
    if not ended:
        return None
    validation = {job.trial.id: _known(rows[job.trial.id].validation) for job in ended}
    lowest = min(validation.values())
    if tuning.objective == "quality":
        return next(job for job in ended if validation[job.trial.id] == lowest)
    near = [job for job in ended if validation[job.trial.id] <= lowest + abs(lowest) * tuning.tolerance]
    return min(near, key=lambda job: _known(rows[job.trial.id].latency_us))


def _known(number: float | None) -> float:
    assert number is not None
    return number
