"""A trial as one run of Weights & Biases, however often it was stopped and resumed.

The run's id is the trial's, and what it shows is the trial's curve: each point is logged at its optimizer step. A resumed
training gives the points of its checkpoint again. Online, W&B takes no step twice; offline, a new file replaces those of the
attempts before, which W&B cannot continue. So nothing is lost and nothing stands twice.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from doping.matrices import Size
from doping.method import Method
from lightning_modules.callbacks.curve import CurvePoint
from sweeps.trials.outcome import Outcome
from sweeps.trials.trial import Trial

PROJECT = "lstm-doping"
"""Project that runs are logged to, unless ``WANDB_PROJECT`` names another."""

BY_SPARSITY = "by_sparsity"
"""Prefix of what is drawn against the sparsity, in place of the step."""


class WandbRun:
    """The run of a trial; a context that finishes it. W&B's own environment variables say whether and where it is kept."""

    def __init__(self, trial: Trial, directory: Path, metric: str, dense: Size) -> None:
        """``metric`` names what the validation measures, ``dense`` is the size of the uncompressed matrices."""
        import wandb

        self._metric, self._dense = metric, dense
        self._logged = 0
        offline = os.environ["WANDB_MODE"] == "offline"
        if offline:
            for attempt in directory.glob(f"wandb/offline-run-*-{trial.id}"):
                shutil.rmtree(attempt)
        # Given here, because a process that has used W&B before reads its environment no more.
        self._run = wandb.init(
            mode="offline" if offline else "online",
            group=os.environ.get("WANDB_RUN_GROUP"),
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=trial.id,
            name=trial.label,
            job_type=trial.method.name,
            config=trial.model_dump(mode="json") | _shorthand(trial.method),
            dir=directory,
            resume=None if offline else "allow",
            # The trial keeps its own log, and the row its own memory.
            settings=wandb.Settings(console="off", x_disable_stats=True),
        )
        self._run.define_metric(f"{BY_SPARSITY}/*", step_metric="sparsity")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._run.finish(exit_code=0 if kind is None else 1)

    def log(self, points: Sequence[CurvePoint]) -> None:
        """Log the points of the whole curve that this process has not logged yet."""
        for point in points[self._logged :]:
            self._run.log(self._line(point), step=point.step, commit=True)
        self._logged = len(points)

    def end(self, outcome: Outcome) -> None:
        """Put the result into the run's summary, under the names that it has in results.csv."""
        result = {name: value for name, value in asdict(outcome).items() if name != "device" and value is not None}
        self._run.summary.update(result | self._factors(outcome.values, outcome.bytes))

    def _line(self, point: CurvePoint) -> dict[str, float]:
        line = {name: value for name, value in vars(point).items() if name not in ("step", "matrices") and value is not None}
        line |= self._factors(point.values, point.bytes) | _loss_and_perplexity(self._metric, point.validation)
        for name in ("validation", "loss", "perplexity", "training_loss"):
            if name in line:
                line[f"{BY_SPARSITY}/{name}"] = line[name]
        for matrix in point.matrices:
            measured = {name: value for name, value in asdict(matrix).items() if name != "matrix" and value is not None}
            line |= {f"{name}/{matrix.matrix}": value for name, value in measured.items()}
        return line

    def _factors(self, values: int, size_bytes: int) -> dict[str, float]:
        return {"cf_values": self._dense.values / values, "cf_bytes": self._dense.bytes / size_bytes}


def optional_run(trial: Trial, directory: Path, metric: str, dense: Size) -> WandbRun | nullcontext[None]:
    """The trial's run of W&B, whose own environment variables say whether and where (``WANDB_MODE``, ...)."""
    if os.environ.get("WANDB_MODE", "disabled") == "disabled":
        return nullcontext()
    return WandbRun(trial, directory, metric, dense)


def _shorthand(method: Method) -> dict[str, str | float]:
    """What one groups runs by, at the top of the configuration."""
    annealing = method.annealing
    rate = (
        f"from {annealing.start:g}, over {annealing.length:g}, exponent {annealing.exponent:g}" if method.sparse else "none"
    )
    return {"label": method.label, "factor": method.factor, "cmr": method.cmr.probability, "anneal_rate": rate}


def _loss_and_perplexity(metric: str, validation: float) -> dict[str, float]:
    """Loss of a token in nats and perplexity, where the metric is one of them in another form."""
    if metric == "bits_per_character":
        loss = validation * math.log(2)
        return {"loss": loss, "perplexity": math.exp(loss) if loss < 700 else math.inf}
    if metric == "perplexity":
        return {"loss": math.log(validation), "perplexity": validation}
    return {}
