"""What an engine is: something that runs trials elsewhere and tells how they fare.

The schedule decides which trial runs when and what a failure means; an engine only carries out.
``sweeps.engines.local`` is one, on the cores of this machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from doping.errors import UserError
from sweeps.trials.job import Job
from sweeps.trials.outcome import Progress
from sweeps.trials.trial import Trial


class EngineError(UserError):
    """The engine cannot run any trial; the message says why in one line."""


@dataclass(frozen=True)
class Reported:
    """A trial is on its way."""

    trial: Trial
    progress: Progress


@dataclass(frozen=True)
class Ended:
    """A trial is no longer running: a ``Verdict``, or ``lost`` when its process ended without one."""

    trial: Trial
    kind: Literal["done", "busy", "interrupted", "crashed", "refused", "disk", "lost"]
    message: str = ""


Event = Reported | Ended


class Engine(Protocol):
    """Runs trials; each that is submitted ends in exactly one ``Ended``, unless the engine is closed before."""

    def free(self) -> int:
        """How many more trials can be submitted now."""
        ...

    def submit(self, job: Job) -> None:
        """Run the trial of a job. Only if ``free()`` is not 0."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """What has happened; waits up to so many seconds for the first event. Raises ``EngineError``."""
        ...

    def close(self, grace: float) -> None:
        """Stop all trials: ask them to end within ``grace`` seconds, then end them."""
        ...
