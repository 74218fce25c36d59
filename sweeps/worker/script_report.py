"""What a training of one's own reports to."""

from __future__ import annotations

import copy
import math
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from doping.errors import one_line
from doping.files import replacing
from doping.layers.compressed import CompressedLayer, compressed_layers
from doping.layers.matrix_inputs import matrix_inputs
from doping.matrices import Doped, Size
from doping.matrices.budget import dense_size
from doping.training.co_adaptation import Energy, doped_matrices, energy, gradient_norm, only
from lightning_modules.callbacks.curve import CurvePoint, MatrixPoint, matrix_points, measured_fields, sparsity
from lightning_modules.callbacks.monitor import Adaptation
from sweeps.results.curve_files import write_curve
from sweeps.results.dense_start import load_dense
from sweeps.results.files import set_aside
from sweeps.trials.outcome import Progress, Report
from sweeps.trials.trial import Trial
from sweeps.worker.environment import MONITOR_EVERY
from sweeps.worker.wandb_run import WandbRun, optional_run

REPORT_SECONDS = 0.5
CHECKPOINT_SECONDS = 30.0
CHECKPOINT = "checkpoint.ckpt"

Stateful = Any
"""What has ``state_dict`` and ``load_state_dict``: a model, an optimizer, a scheduler, an annealer."""


class ScriptReport:
    """What ``train(method, settings, report)`` reports to.

    Attributes:
        model: the compressed model, to be set before the first validation: sizes and the curve against sparsity are taken
            from it.
        example: an input of the model, or a tuple of all inputs; the export and the measurement of latency need it.
        folder: that of the trial, for files of one's own.
        seed: of the trial; PyTorch, NumPy and ``random`` are seeded with it.
        teacher: the dense model that ``training.start_from`` names, in evaluation, once ``start`` has loaded it.
        distillation: the share of the loss that is to be learnt from it; 0 without one.

    """

    def __init__(self, trial: Trial, folder: Path, report: Report) -> None:
        self.model: nn.Module | None = None
        self.example: Tensor | tuple[Tensor, ...] | None = None
        self.teacher: nn.Module | None = None
        self.folder, self.seed = folder, trial.seed
        start = trial.task.training.start_from
        self.distillation = start.distillation if start else 0.0
        self.points: list[CurvePoint] = []
        self.steps = 0
        self._trial, self._report, self._reported, self._kept = trial, report, 0.0, time.monotonic()
        self._run: WandbRun | None = None
        self._contexts = ExitStack()

    def __call__(
        self,
        share: float,
        validation: float | None = None,
        training_loss: float = math.nan,
        measure: Callable[[], float] | None = None,
    ) -> None:
        """Say where the training is; call it after each optimizer step, and with each validation.

        Args:
            share: of the training that is done, 0 to 1.
            validation: the metric on the validation split, if it was just measured; a point of the curve.
            training_loss: mean loss since the last validation.
            measure: gives the metric on a small fixed batch with ``report.model``. For a doped method it is called three
                times, with M + S, M alone and S alone, in evaluation and without gradients: co-adaptation on the curve.

        What it raises ends the training: let it through.

        """
        self.steps += validation is None
        if validation is None:
            if time.monotonic() - self._reported > REPORT_SECONDS:
                self._reported = time.monotonic()
                latest = self.points[-1].validation if self.points else None
                self._report(Progress(share, self.steps, latest, "training"))
            return
        self.points.append(self._point(share, float(validation), training_loss, measure))
        write_curve(self.folder, self.points)
        if self.run:
            self.run.log(self.points)
        number = len(self.points)
        self._report(Progress(share, self.steps, float(validation), "validation", validation=number))

    def start(self, model: nn.Module) -> nn.Module:
        """Load the weights of the dense model that ``training.start_from`` names, if it does; call it before
        ``compress_``. Raises ``NoModel`` if they cannot be read, or are not those of such a model.
        """
        if self._trial.task.training.start_from:
            load_dense(self._trial, model)
            self.teacher = copy.deepcopy(model).eval().requires_grad_(False)
        return model

    def keep(self, values: dict[str, Any] | None = None, **objects: Stateful) -> None:
        """Keep a checkpoint, at most every 30 seconds; call it after each step, or less often.

        Args:
            values: numbers, strings, tensors and dicts of them, such as ``{"step": step}``.
            objects: model, optimizer, scheduler, annealer, ... by names.

        Raises ``ValueError`` if one of them has no ``state_dict``.

        """
        _check_stateful(objects)
        if time.monotonic() - self._kept < CHECKPOINT_SECONDS:
            return
        states = {name: each.state_dict() for name, each in objects.items()}
        numpy_state: Any = np.random.get_state()
        drawn = {"torch": torch.get_rng_state(), "python": random.getstate(), "numpy": numpy_state[1].tolist()}
        drawn["numpy_rest"] = [numpy_state[0], *numpy_state[2:]]
        content = {"states": states, "values": values or {}, "random": drawn, "steps": self.steps}
        content["points"] = [asdict(point) for point in self.points]
        with replacing(self.folder / CHECKPOINT, durable=True, alone=True) as draft:
            torch.save(content, draft)
        self._kept = time.monotonic()

    def resume(self, **objects: Stateful) -> dict[str, Any]:
        """Load what ``keep`` kept before the trial was interrupted, random numbers too; gives its ``values``.

        Call it once all these objects are made. Empty if the training begins; so too if the file is damaged or of other
        objects, which is put aside then.
        """
        _check_stateful(objects)
        path = self.folder / CHECKPOINT
        if not path.exists():
            return {}
        before = {name: copy.deepcopy(each.state_dict()) for name, each in objects.items()}
        drawn_before = torch.get_rng_state(), random.getstate(), np.random.get_state()
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            if content["states"].keys() != objects.keys():
                raise ValueError(f"it holds {', '.join(content['states'])}, not {', '.join(objects)}")
            for name, each in objects.items():
                each.load_state_dict(content["states"][name])
            points = [CurvePoint(**point | {"matrices": _matrices(point)}) for point in content["points"]]
            steps, values, drawn = int(content["steps"]), dict(content["values"]), content["random"]
            torch.set_rng_state(drawn["torch"])
            random.setstate((drawn["python"][0], tuple(drawn["python"][1]), drawn["python"][2]))
            kind, *rest = drawn["numpy_rest"]
            np.random.set_state((kind, np.array(drawn["numpy"], np.uint32), *rest))
        except Exception as error:  # what is damaged can raise anything
            aside = set_aside(path)
            print(f"{path.name} cannot be read ({one_line(error)}): put aside as {aside.name}, trained from the start")
            for name, each in objects.items():
                each.load_state_dict(before[name])
            torch.set_rng_state(drawn_before[0])
            random.setstate(drawn_before[1])
            np.random.set_state(drawn_before[2])
            return {}
        self.points, self.steps = points, steps
        return values

    @property
    def run(self) -> WandbRun | None:
        """The run of W&B, begun when the model is known; None where W&B is off."""
        if self._run is None and self.model is not None:
            self._run = self._contexts.enter_context(self._begun())
        return self._run

    def _begun(self) -> Any:
        assert self.model
        metric: str = self._trial.task.metric  # type: ignore[attr-defined]
        return optional_run(self._trial, self.folder, metric, sizes(self.model)[1], self._report)

    def __enter__(self) -> ScriptReport:
        return self

    def __exit__(self, *error: Any) -> None:
        self._contexts.__exit__(*error)

    def _point(
        self, share: float, validation: float, training_loss: float, measure: Callable[[], float] | None
    ) -> CurvePoint:
        if self.model is None:
            raise ValueError("report.model is not set: set it to the compressed model before the first validation")
        size, model = sizes(self.model)[0], self.model
        every = int(os.environ.get(MONITOR_EVERY, "1"))
        due = measure and every and (len(self.points) + 1) % every == 0 and doped_matrices(model)
        adaptation = adaptation_of(model, measure) if measure and due else None
        doped = [m for m in model.modules() if isinstance(m, Doped)]
        return CurvePoint(
            step=self.steps,
            epoch=share * getattr(self._trial.task.training, "epochs", 1),
            sparsity=sparsity(model),
            cmr_probability=max((matrix.cmr_probability for matrix in doped), default=0.0),
            training_loss=training_loss,
            validation=validation,
            values=size.values,
            bytes=size.bytes,
            matrices=tuple(matrix_points(_named_matrices(model), adaptation)),
            **measured_fields(adaptation),
        )


def _check_stateful(objects: dict[str, Stateful]) -> None:
    for name, each in objects.items():
        if not hasattr(each, "state_dict"):
            raise ValueError(f"{name} is a {type(each).__name__} without a state_dict; give numbers and tensors as values")


def sizes(model: nn.Module) -> tuple[Size, Size]:
    """Sizes of the weights of all compressed layers at this moment, and if they were dense."""
    layers = [layer for _, layer in compressed_layers(model)]
    nothing = Size(0, 0, 0)
    return sum((layer.size() for layer in layers), nothing), sum((_dense(layer) for layer in layers), nothing)


def _dense(layer: CompressedLayer) -> Size:
    kept = (layer.get_parameter(name).shape for name in layer.kept_dense)
    shapes = [*(matrix.shape for _, matrix in layer.named_matrices()), *((shape[0], shape[1]) for shape in kept)]
    return sum((dense_size(shape) for shape in shapes), Size(0, 0, 0))


@torch.no_grad()
def adaptation_of(model: nn.Module, measure: Callable[[], float]) -> Adaptation:
    """Co-adaptation in a doped model; ``measure`` gives its metric on a small batch.

    Gradients are those that stand there: of the last step, clipped if they were, and 0 once they have been zeroed.
    """
    gradients = gradient_norm(model, "structured"), gradient_norm(model, "sparse")
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.random.fork_rng():
            with _inputs(model) as inputs:
                both = float(measure())
            energies = _energies(model, inputs)
            with only(model, "structured"):
                without_sparse = float(measure())
            with only(model, "sparse"):
                without_structured = float(measure())
    finally:
        for module, mode in modes.items():  # those within come after those around them
            module.train(mode)
    shares = {name: found.shares() for name, found in energies.items()}
    of_all = sum(energies.values(), Energy(0, 0, 0)).shares()
    return Adaptation(of_all, shares, both, without_sparse, without_structured, *gradients)


@contextmanager
def _inputs(model: nn.Module) -> Iterator[dict[str, list[Any]]]:
    """Within the context, what each compressed layer is called with, by its name; a cell is called at each step."""
    inputs: dict[str, list[Any]] = {name: [] for name, _ in compressed_layers(model)}

    def hook(name: str) -> Any:
        return lambda layer, given, by_name: inputs[name].append((given, by_name))

    handles = [
        layer.register_forward_pre_hook(hook(name), with_kwargs=True)
        for name, layer in compressed_layers(model)
        if not getattr(layer, "proj_size", 0)
    ]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


def _energies(model: nn.Module, inputs: dict[str, list[Any]]) -> dict[str, Energy]:
    energies: dict[str, Energy] = {}
    for layer_name, layer in compressed_layers(model):
        for given, by_name in inputs[layer_name]:
            for name, x in matrix_inputs(layer, *given, **by_name).items():
                if name in layer.matrices and isinstance(matrix := layer.matrices[name], Doped):
                    full = f"{layer_name}.{name}".lstrip(".")
                    energies[full] = energies.get(full, Energy(0, 0, 0)) + energy(matrix, x)
    return energies


def _named_matrices(model: nn.Module) -> Iterator[tuple[str, Any]]:
    for layer_name, layer in compressed_layers(model):
        for name, matrix in layer.named_matrices():
            yield f"{layer_name}.{name}".lstrip("."), matrix


def _matrices(point: dict[str, Any]) -> tuple[MatrixPoint, ...]:
    return tuple(MatrixPoint(**matrix) for matrix in point["matrices"])
