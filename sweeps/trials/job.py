"""A job: a trial, and what a study wants of it. It is what engines carry to workers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveFloat, ValidationError

from doping.errors import UserError
from doping.settings import Settings
from sweeps.errors import first_mistake
from sweeps.results.rows import Row
from sweeps.trials.trial import Trial
from tasks.registry import trust

Stage = Literal["tuning", "final"]
"""Whether a setting is only tried, or its result counts."""


class Job(Settings):
    """A trial that a study asks for."""

    trial: Trial
    """What to train."""
    cell: str
    """Name of the cell of the study that it belongs to: a method at a factor."""
    stage: Stage = "final"
    """Why it is run."""
    values: dict[str, Any] = Field(default_factory=dict)
    """Of a tuning trial, the values of the searched settings by their keys."""
    limits: tuple[float | None, ...] = ()
    """Of a tuning trial, the worst metric that its first, second, … validation may show; None where any will do."""
    latency: bool = False
    """Whether the trained model's latency is to be measured."""
    time_limit: PositiveFloat | None = None
    """Longest time in seconds that one attempt may take."""

    @classmethod
    def of_order(cls, content: dict[str, Any]) -> Job:
        """The job that a study's own process sends: its task is the one that the user named.

        Raises:
            UserError: this process cannot import that task.

        """
        trust(content["trial"]["task"])
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise UserError(f"{first_mistake(error, cls, content)[1]}; put its folder into PYTHONPATH") from error

    def satisfied_by(self, row: Row) -> bool:
        """Whether a result will do."""
        return satisfies(row, self.stage) and not (self.latency and row.status == "finished" and row.latency_us is None)

    def hopeless(self, validation: int, metric: float) -> bool:
        """Whether its validation of this number, counted from 1, is worse than it may be."""
        limit = self.limits[validation - 1] if validation <= len(self.limits) else None
        return limit is not None and metric > limit


def satisfies(row: Row, stage: Stage) -> bool:
    """Whether a result will do at a stage: one that was stopped early tells enough of a setting that was only tried."""
    return row.status != "stopped" or stage == "tuning"
