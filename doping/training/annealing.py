"""Pruning on schedule in any training loop: after each optimizer step, ``annealer.step()``."""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any

from torch import Tensor, nn

from doping.errors import CompressionError, UnfinishedError
from doping.layers.compressed import CompressedLayer, compressed_layers, none_compressed
from doping.layers.kinds import check_module
from doping.layers.report import report
from doping.matrices import Doped, Matrix, Sparse
from doping.method import Method
from doping.training.schedules import annealed_probability, cubic_sparsity

GRADIENT_STEPS = 100
"""Optimizer steps that the running mean of a squared gradient goes back."""

PATIENCE = 50
"""Steps in which no compressed weight changes, after which that is warned of; a scaler of gradients in 16 bits skips the
first few steps, too."""


class Annealer:
    """Takes every sparse part of a model from dense to its planned size in the course of a training.

    Each layer has its own schedule, that of its :class:`doping.Method`. In each step the mask is applied again, since
    momentum moves pruned weights, and then is pruned what the schedule says. After the end of the schedule the masks stay as
    they are. Row dropout falls to zero with it, where the method says so.

    Args:
        model: a model with compressed layers; made after ``compress_``, like the optimizer.
        total_steps: optimizer steps of the whole training (epochs · batches / accumulated batches).

    Raises:
        CompressionError: the model has no compressed layers, or the number of steps is none.

    """

    def __init__(self, model: nn.Module, total_steps: int):
        check_module(model)
        if not _is_count(total_steps) or total_steps < 1:
            raise CompressionError(
                f"total_steps is {total_steps!r}; expected the number of optimizer steps of the whole training, a whole "
                "number of at least 1: epochs times batches, divided by the batches that are accumulated"
            )
        self.model = model
        self.total_steps = int(total_steps)
        self.steps = 0
        """Optimizer steps done."""
        self.squared_gradients: dict[str, Tensor] = {}
        """Running mean of the squared gradient of each sparse matrix whose values are judged by saliency, by its name."""
        self._layers = [layer for _, layer in compressed_layers(model)]
        self._matrices = [
            (f"{layer_name}.matrices.{name}".lstrip("."), matrix, layer.methods[name])
            for layer_name, layer in compressed_layers(model)
            for name, matrix in layer.named_matrices()
        ]
        if not self._matrices:
            raise none_compressed(model)
        self._reached = dict.fromkeys((name for name, _, _ in self._matrices), 0.0)
        self._noted = False
        self._follow()
        self._untouched = self._sums()

    def step(self) -> None:
        """To be called after each optimizer step, and before the gradients are set to zero.

        Warns if no compressed weight has changed in the first 50 steps.

        Raises:
            CompressionError: the values are judged by their gradients, and there are none; a layer was deployed or merged.

        """
        self.advance_to(self.steps + 1)

    def advance_to(self, steps: int) -> None:
        """The same where somebody else counts the optimizer steps; with a number as before it only applies the masks."""
        _check_steps(steps)
        if not all(isinstance(layer, CompressedLayer) for layer in self._layers):
            raise CompressionError(
                "layers of the model were deployed or merged, so that nothing is annealed there; deploy or merge a copy"
            )
        if steps > self.steps:
            self._check_that_weights_change(steps)
            self.note_gradients()
            self._noted = False
        if steps > self.total_steps >= self.steps:
            warnings.warn(
                f"the annealer has made all {self.total_steps} steps that it was told of, and is asked for more",
                stacklevel=3,
            )
        self.steps = steps
        for _, _, sparse in self._sparse():
            sparse.apply_mask()
        self._follow()
        if self._untouched is not None:
            self._untouched = self._sums()  # as we leave them

    def start_at(self, steps: int) -> None:
        """Be where the schedule is after so many steps, in a training that goes on."""
        _check_steps(steps)
        self.steps = steps
        self._follow()

    def note_gradients(self) -> None:
        """Go on with the running means of the squared gradients; ``step`` does it, where it was not done before.

        Only to be called where the gradients of a step are gone or changed before ``step``.
        """
        if self._noted:
            return
        self._noted = True
        for name, method, sparse in self._sparse():
            if method.annealing.criterion == "magnitude" or self._reached[name.removesuffix(".sparse")] == 1:
                continue
            if sparse.weight.grad is None:
                raise CompressionError(
                    f"{name} is pruned by the saliency of its values and has no gradient; call annealer.step() after "
                    "optimizer.step() and before optimizer.zero_grad()"
                )
            squared = sparse.weight.grad.square()
            mean = self.squared_gradients.setdefault(name, squared).to(squared.device)
            self.squared_gradients[name] = mean.lerp(squared, 1 / GRADIENT_STEPS)

    @property
    def progress(self) -> float:
        """How far the pruning is that is least far, from 0 to 1; 1 too if there is nothing to prune."""
        return min((self._reached[name.removesuffix(".sparse")] for name, _, _ in self._sparse()), default=1.0)

    @property
    def last_step(self) -> int:
        """The step after which nothing is pruned any more."""
        ends = [sum(_start_and_length(method, self.total_steps)) for _, method, _ in self._sparse()]
        return max(ends, default=0)

    def finish_(self, *, at_once: bool = False) -> None:
        """Make sure that the model is as small as was asked, at the end of the training.

        Args:
            at_once: prune all that is left to prune now, without training; this costs quality.

        Raises:
            UnfinishedError: the schedule is not over; the message says which steps are left, and which layers are too large.

        """
        if at_once:
            self.steps = max(self.steps, self.total_steps)
        for _, _, sparse in self._sparse():
            sparse.apply_mask()
        self._follow()
        if unfinished := self.unfinished():
            raise UnfinishedError(unfinished)

    def unfinished(self) -> str:
        """What is not done, in one line; empty if all is."""
        too_large = report(self.model).unfinished()
        if not too_large:
            return ""
        return (
            f"the pruning is not over: {self.steps:,} of {self.total_steps:,} steps are done, and it ends with step "
            f"{self.last_step:,}; {too_large}. Train on (annealer.step() after each optimizer step), or give the steps that "
            "the training really has as total_steps, or prune now with annealer.finish_(at_once=True)"
        )

    def state_dict(self) -> dict[str, Any]:
        """What a training needs to go on, beside the state of the model."""
        return {"steps": self.steps, "total_steps": self.total_steps, "squared_gradients": dict(self.squared_gradients)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another annealer was; load the state of the model, too.

        Raises:
            CompressionError: that was in a training of another length, or is no state of an annealer.

        """
        if not isinstance(state, Mapping) or not {"steps", "total_steps", "squared_gradients"} <= state.keys():
            raise CompressionError(f"the state is {reprlib.repr(state)}; expected what Annealer.state_dict() gave")
        if state["total_steps"] != self.total_steps:
            raise CompressionError(
                f"the state is of a training of {state['total_steps']:,} steps, this annealer was made for "
                f"{self.total_steps:,}; give total_steps={state['total_steps']}"
            )
        self.start_at(state["steps"])
        self.squared_gradients = dict(state["squared_gradients"])

    def _follow(self) -> None:
        """Prune what the schedule says at this step, and set the row dropout."""
        for name, matrix, method in self._matrices:
            sparse = _sparse_of(matrix)
            if sparse is None:
                continue
            start, length = _start_and_length(method, self.total_steps)
            progress = cubic_sparsity(
                self.steps,
                final=1.0,
                start=start,
                length=length,
                exponent=method.annealing.exponent,
                interval=method.annealing.interval,
            )
            if progress > self._reached[name]:
                values = sparse.shape[0] * sparse.shape[1]
                squared = self.squared_gradients.get(name if sparse is matrix else f"{name}.sparse")
                scale = None if squared is None else squared.to(sparse.weight.device).sqrt()
                sparse.prune(values - round(progress * (values - sparse.planned_nonzeros)), scale)
            if isinstance(matrix, Doped):
                p = method.cmr.probability
                matrix.cmr_probability = annealed_probability(p, progress) if method.cmr.anneal else p
            self._reached[name] = progress

    def _sparse(self) -> list[tuple[str, Method, Sparse]]:
        found = []
        for name, matrix, method in self._matrices:
            sparse = _sparse_of(matrix)
            if sparse is not None:
                found.append((name if sparse is matrix else f"{name}.sparse", method, sparse))
        return found

    def _sums(self) -> list[float] | None:
        """Differ when any compressed weight does; not the versions of tensors, which fused optimizers leave as they are."""
        trained = [p for _, matrix, _ in self._matrices for p in matrix.parameters() if p.requires_grad]
        return [float(p.detach().double().sum()) for p in trained] or None

    def _check_that_weights_change(self, steps: int) -> None:
        if self._untouched is None:
            return
        if self._sums() != self._untouched:
            self._untouched = None
        elif steps > PATIENCE:
            self._untouched = None
            warnings.warn(
                f"no compressed weight has changed in {steps - 1} steps, as if the optimizer did not know them: make it "
                "after compress_, with model.parameters()",
                stacklevel=4,
            )


def _sparse_of(matrix: Matrix) -> Sparse | None:
    part = matrix.sparse if isinstance(matrix, Doped) else matrix
    return part if isinstance(part, Sparse) else None


def _is_count(given: object) -> bool:
    return isinstance(given, Integral) and not isinstance(given, bool)


def _check_steps(steps: object) -> None:
    if not _is_count(steps) or steps < 0:  # type: ignore[operator]
        raise CompressionError(f"the step is {steps!r}; expected the number of optimizer steps done, a whole number")


def _start_and_length(method: Method, total_steps: int) -> tuple[int, int]:
    """Of the schedule, in steps."""
    return round(method.annealing.start * total_steps), round(method.annealing.length * total_steps)
