"""Starts the engine that the command line asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from doping.machine import cores
from sweeps.engines.base import Engine
from sweeps.engines.local import LocalEngine

GRACE_SECONDS = 5.0
"""How long trials may take to stop, before their processes are ended."""


@dataclass(frozen=True)
class Launch:
    """Where trials are to run, and what they need there."""

    folder: Path
    """The folder of results."""
    train: str
    """Dotted name of the function that trains a trial."""
    environment: Mapping[str, str]
    """Variables for the trials."""
    workers: int | None = None
    """Most trials at a time; None for one a core, or as many as the cluster has room for."""
    scheduler: str | None = None
    """Address of a Dask scheduler; None for this machine."""
    gpu_share: float = 1.0
    """How much of a GPU a trial takes, on a cluster."""

    def at_a_time(self, trials: int) -> int:
        """How many of so many trials will run at a time, at least: on a cluster, nobody knows."""
        return 1 if self.scheduler else min(self.workers or cores(), trials)

    def engine(self, trials: int, notice: Callable[[str], None]) -> Engine:
        """The engine for so many trials. Raises ``EngineError``, ``OSError``."""
        if self.scheduler:
            from sweeps.engines.dask_engine import DaskEngine

            return DaskEngine(
                self.scheduler,
                self.folder,
                self.train,
                self.environment,
                notice,
                gpu_share=self.gpu_share,
                limit=self.workers,
                grace=GRACE_SECONDS,
            )
        # By the workers asked for, not by those that are needed: results must not depend on where a run went on.
        threads = max(1, cores() // (self.workers or cores()))
        return LocalEngine(self.at_a_time(trials), self.folder, self.train, threads, self.environment)
