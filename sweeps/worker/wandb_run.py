"""A trial as one run of Weights & Biases, however often it was interrupted and resumed.

The run's id is the trial's, and what it shows is the trial's curve: each point is logged at its optimizer step. A resumed
training gives the points of its checkpoint again. Online, W&B takes no step twice; offline, a new file replaces those of the
attempts before, which W&B cannot continue. So nothing is lost and nothing stands twice.

Nothing of the machine is in a run: no path, no host, no variable.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from doping import machine
from doping.matrices import Size
from doping.method import Method
from doping.perplexity import perplexity
from lightning_modules.callbacks.curve import CurvePoint
from sweeps.trials.outcome import Outcome, Progress, Report
from sweeps.trials.trial import WHERE, Trial
from sweeps.worker.environment import WANDB_LINKS
from sweeps.worker.wandb_folder import StudyEntry, run_name

PROJECT = "lstm-doping"
"""Project that runs are logged to, unless ``WANDB_PROJECT`` names another."""

BY_SPARSITY = "by_sparsity"
"""Prefix of what is drawn against the sparsity, in place of the step."""

PATIENCE_SECONDS = 30.0
"""How long a run waits for W&B's server, when it begins and when it ends."""


class WandbRun:
    """The run of a trial; a context that finishes it. W&B's own environment variables say whether and where it is kept."""

    def __init__(
        self, trial: Trial, directory: Path, metric: str, dense: Size, notice: Callable[[str], None] = print
    ) -> None:
        """Begin the run, offline where W&B's server does not take it.

        Args:
            trial: what is trained.
            directory: folder of the trial; gets W&B's files.
            metric: what the validation measures.
            dense: size of the uncompressed matrices.
            notice: is told, in a line, that W&B could not be used online.

        """
        import wandb

        self._trial, self._metric, self._dense, self._notice = trial, metric, dense, notice
        self._logged = 0
        try:
            self._run = self._begin(directory)
        except wandb.errors.Error as error:
            if os.environ["WANDB_MODE"] != "online":
                raise
            self._go_offline(f"no run can be begun there ({' '.join(str(error).split())[:150]})")
            wandb.teardown(exit_code=1)  # else the run that could not be begun still has the id
            self._run = self._begin(directory)
        self._run.define_metric(f"{BY_SPARSITY}/*", step_metric="sparsity")
        links = os.environ.get(WANDB_LINKS)
        self._entry = StudyEntry(Path(links), trial, Path(self._run.settings.sync_dir)) if links else None

    def _begin(self, directory: Path) -> Any:
        import wandb

        trial, offline = self._trial, os.environ["WANDB_MODE"] == "offline"
        if offline:
            for attempt in directory.glob(f"wandb/offline-run-*-{trial.id}"):
                shutil.rmtree(attempt)
        # Given here, because a process that has used W&B before reads its environment no more.
        return wandb.init(
            mode="offline" if offline else "online",
            group=os.environ.get("WANDB_RUN_GROUP"),
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=trial.id,
            name=run_name(trial),
            job_type=trial.method.name,
            config=trial.model_dump(mode="json", exclude=WHERE) | _shorthand(trial.method),
            dir=directory,
            resume=None if offline else "allow",
            settings=wandb.Settings(
                # The trial keeps its own log, and the row its own memory.
                console="off",
                x_disable_stats=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
                disable_git=True,
                host="",
                disable_code=True,
                disable_job_creation=True,
                init_timeout=PATIENCE_SECONDS,
                finish_timeout=2 * PATIENCE_SECONDS,
                finish_timeout_raises=True,
            ),
        )

    def _go_offline(self, problem: str) -> None:
        # For the trials that follow in this process, too: each would wait as long.
        os.environ["WANDB_MODE"] = "offline"
        self._notice(f"W&B's server is lost: {problem}; from here on runs are kept offline, see docs/monitoring.md")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._run.finish(exit_code=0 if kind is None else 1)
        except TimeoutError:
            self._go_offline("not all of a run could be sent")
        if self._entry:
            self._entry.close()

    def log(self, points: Sequence[CurvePoint]) -> None:
        """Log the points of the whole curve that this process has not logged yet."""
        for point in points[self._logged :]:
            self._run.log(self._line(point), step=point.step, commit=True)
        self._logged = len(points)
        if self._entry:
            self._entry.refresh()

    def end(self, outcome: Outcome) -> None:
        """Put the result into the run's summary, under the names that it has in results.csv."""
        result = {name: value for name, value in asdict(outcome).items() if name != "device" and value is not None}
        further = self._factors(outcome.values, outcome.bytes) | _loss_and_perplexity(self._metric, outcome.validation)
        self._run.summary.update(result | further)

    def _line(self, point: CurvePoint) -> dict[str, float]:
        """What is drawn: few charts first, and nothing that stays as it is."""
        method = self._trial.method
        line = {"validation": point.validation, "training_loss": point.training_loss}
        if not method.sparse:
            return line
        line["sparsity"] = point.sparsity
        line |= _present(BY_SPARSITY, point, "validation", "energy_sparse")
        # Names that differ from their first letters on: the terminal cuts them.
        for name, value in (
            ("structured_alone", point.validation_without_sparse),
            ("sparse_alone", point.validation_without_structured),
        ):
            line |= {} if value is None else {f"{BY_SPARSITY}/{name}": value}
        line |= _present("parts", point, "energy_cross", "validation_slice", "gradient_structured", "gradient_sparse")
        if method.cmr.probability > 0 and method.cmr.anneal:
            line |= _present("parts", point, "cmr_probability")
        line |= _present("size", point, "values", "bytes")
        line |= {f"size/{name}": value for name, value in self._factors(point.values, point.bytes).items()}
        for matrix in point.matrices:
            measured = {name: value for name, value in asdict(matrix).items() if name != "matrix" and value is not None}
            line |= {f"per_matrix/{matrix.matrix} {name}": value for name, value in measured.items()}
        return line

    def _factors(self, values: int, size_bytes: int) -> dict[str, float]:
        return {"cf_values": self._dense.values / values, "cf_bytes": self._dense.bytes / size_bytes}


def _present(prefix: str, point: CurvePoint, *names: str) -> dict[str, float]:
    """Those fields of a point that were measured, below a prefix."""
    return {f"{prefix}/{name}": value for name in names if (value := getattr(point, name)) is not None}


def optional_run(trial: Trial, directory: Path, metric: str, dense: Size, report: Report) -> WandbRun | nullcontext[None]:
    """The trial's run of W&B, whose own environment variables say whether and where (``WANDB_MODE``, ...)."""
    if os.environ.get("WANDB_MODE", "disabled") == "disabled":
        return nullcontext()

    def notice(line: str) -> None:
        report(Progress(0.0, 0, message="loading", notice=line))

    return WandbRun(trial, directory, metric, dense, notice)


def _shorthand(method: Method) -> dict[str, str | float]:
    """What one groups runs by, at the top of the configuration, and the code that it was."""
    annealing = method.annealing
    rate = (
        f"from {annealing.start:g}, over {annealing.length:g}, exponent {annealing.exponent:g}" if method.sparse else "none"
    )
    grouped: dict[str, str | float] = {
        "label": method.label,
        "factor": method.factor,
        "cmr": method.cmr.probability,
        "anneal_rate": rate,
    }
    return grouped | {"commit": machine.commit()}


def _loss_and_perplexity(metric: str, validation: float) -> dict[str, float]:
    """Loss of a token in nats and perplexity, where the metric is one of them in another form."""
    if metric == "bits_per_character":
        loss = validation * math.log(2)
        return {"loss": loss, "perplexity": perplexity(loss)}
    if metric == "perplexity":
        return {"loss": math.log(validation), "perplexity": validation}
    return {}
