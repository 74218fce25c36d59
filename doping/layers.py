"""Layers of PyTorch whose weights are compressed matrices; the layer stays what it was.

A compressed ``nn.LSTM`` is still an ``nn.LSTM``: its class is replaced by a subclass of it in which ``weight_hh_l0`` is no
parameter but is composed of the parameters of ``layer.matrices["weight_hh_l0"]``. So is every other layer. This is what
``torch.nn.utils.parametrize`` does; that one composes a weight of a recurrent layer several times in a forward pass, and
refuses to be pickled.

When a weight is composed:

- In training once in each forward pass, with the noise of row dropout drawn anew. A cell, which is called once a time step,
  composes once for all steps up to the backward pass.
- In evaluation without gradients once, and again only when a tensor that it is made of has changed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from doping.errors import CompressionError
from doping.matrices import Matrix, Plan, Size
from doping.matrices.base import uniform
from doping.matrices.budget import dense_size
from doping.method import Method
from doping.origin import Origin

CELLS = (nn.LSTMCell, nn.GRUCell, nn.RNNCell)
LAYERS = (nn.LSTM, nn.GRU, nn.RNN, *CELLS, nn.Linear)
"""What can be compressed; subclasses of these too."""


def weight_names(layer: nn.Module) -> list[str]:
    """Names of the weight matrices of a layer, in the order of PyTorch."""
    if isinstance(layer, nn.RNNBase):
        kinds = ("ih", "hh", "hr") if layer.proj_size else ("ih", "hh")
        suffixes = ("", "_reverse") if layer.bidirectional else ("",)
        return [f"weight_{kind}_l{i}{suffix}" for i in range(layer.num_layers) for suffix in suffixes for kind in kinds]
    return ["weight_ih", "weight_hh"] if isinstance(layer, CELLS) else ["weight"]


class CompressedLayer(nn.Module):
    """What is common to all compressed layers; mixed into the class that a layer had.

    Attributes:
        matrices: the compressed weights by their names; weights that are not in it are ordinary parameters.
        plans: what each of them is when all pruning is over.
        methods: what each of them was asked to be.
        kept_dense: why a weight was left as it is, by its name.

    """

    matrices: nn.ModuleDict
    plans: dict[str, Plan]
    methods: dict[str, Method]
    kept_dense: dict[str, str]
    _plain: type[nn.Module]
    """The class that the layer had."""

    def _become(
        self,
        matrices: Mapping[str, Matrix],
        plans: Mapping[str, Plan],
        methods: Mapping[str, Method],
        kept: Mapping[str, str],
    ) -> None:
        self.matrices = nn.ModuleDict(matrices)
        self.plans, self.methods, self.kept_dense = dict(plans), dict(methods), dict(kept)
        self._forget()

    @classmethod
    def plain_class(cls) -> type[nn.Module]:
        """The class of the layer before it was compressed."""
        return next(base for base in cls.__mro__ if not issubclass(base, CompressedLayer))

    @torch.no_grad()
    def become_plain_(self) -> None:
        """Make it the layer that it was, with the composed weights as parameters."""
        self._forget()
        trained = {name: any(p.requires_grad for p in matrix.parameters()) for name, matrix in self.named_matrices()}
        weights = {name: matrix.dense().clone() for name, matrix in self.named_matrices()}
        for name in ("matrices", "plans", "methods", "kept_dense", "_given", "_kept", "_drawn"):
            delattr(self, name)
        self.__class__ = self.plain_class()  # type: ignore[assignment]
        for name, weight_MN in weights.items():
            setattr(self, name, nn.Parameter(weight_MN, trained[name]))
        _in_order_(self)
        if isinstance(self, nn.RNNBase):
            self._init_flat_weights()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer does, with the weights of this pass."""
        if isinstance(self, nn.RNNBase) and torch.compiler.is_dynamo_compiling():
            return _outside_of_compiled_code(self, args, kwargs)
        return self._pass(args, kwargs)

    def _pass(self, args: Any, kwargs: Any) -> Any:
        kept = not (torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_grad_enabled() or self.training)
        self._given = self._kept_weights() if kept else self._fresh_weights()
        try:
            return super().forward(*args, **kwargs)
        finally:
            self._given = None
            if isinstance(self, nn.RNNBase):
                self._release_flat_weights()

    def _fresh_weights(self) -> dict[str, Tensor]:
        """The weights of one pass in training, or with gradients."""
        if not isinstance(self, CELLS) or torch.compiler.is_compiling() or torch.jit.is_tracing() or not _may_be_shared():
            return {name: matrix.sample() for name, matrix in self.named_matrices()}
        if self._drawn is None or not self._drawn[0].holds():
            weights = {name: matrix.sample() for name, matrix in self.named_matrices()}
            self._drawn = Origin(self.matrices), weights
            for weight in weights.values():
                if weight.requires_grad and not weight.is_leaf:
                    # Once gradients went through them, their graph is gone.
                    weight.register_hook(functools.partial(_forget_drawn, self))
        return self._drawn[1]

    def _kept_weights(self) -> dict[str, Tensor]:
        """The weights in evaluation; composed again where anything that they are made of has changed."""
        if self._kept is None or not self._kept[0].holds():
            with torch.inference_mode(False), torch.no_grad():
                weights = {name: matrix.dense() for name, matrix in self.named_matrices()}
            self._kept = Origin(self.matrices), weights
            if isinstance(self, nn.RNNBase):
                self._flatten_kept_weights(weights)
        return self._kept[1]

    def _weight(self, name: str) -> Tensor:
        """A weight as it is read from outside, (m, n): without noise; within a forward pass that of the pass."""
        if self._given is not None:
            return self._given[name]
        if not (self.training or torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing()):
            return self._kept_weights()[name]
        return self._matrix(name).dense()

    def named_matrices(self) -> Iterator[tuple[str, Matrix]]:
        """The compressed weights with their names, in the order of PyTorch."""
        return ((name, self._matrix(name)) for name in self.matrices)

    def _matrix(self, name: str) -> Matrix:
        matrix = self.matrices[name]
        assert isinstance(matrix, Matrix)
        return matrix

    def size(self) -> Size:
        """Size of all weight matrices at this moment, those that were left dense included; biases are not counted."""
        sizes = (matrix.size() for matrix in self.matrices.values() if isinstance(matrix, Matrix))
        return sum(sizes, sum((dense_size(_shape(self.get_parameter(name))) for name in self.kept_dense), Size(0, 0, 0)))

    def planned_size(self) -> Size:
        """The same once all pruning is over."""
        sizes = (plan.size() for plan in self.plans.values())
        return sum(sizes, sum((dense_size(_shape(self.get_parameter(name))) for name in self.kept_dense), Size(0, 0, 0)))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights and biases anew, with the variance of PyTorch; nothing is pruned then."""
        if "matrices" not in self._modules:  # the constructor of the layer asks for it, before it is compressed
            super().reset_parameters()  # type: ignore[misc]
            return
        hidden = self.in_features if isinstance(self, nn.Linear) else self.hidden_size
        std = (3 * hidden) ** -0.5
        for name, matrix in self.named_matrices():
            _take_over(matrix, self.plans[name].initialized(std))
        for parameter in self._parameters.values():
            if parameter is not None:
                parameter.copy_(std * uniform(*parameter.shape))

    def flatten_parameters(self) -> None:
        """Nothing: weights of training are composed anew each time, those of evaluation are put side by side when composed."""

    def _flatten_kept_weights(self, weights: dict[str, Tensor]) -> None:
        self._given = weights
        self._update_flat_weights()
        super().flatten_parameters()  # type: ignore[misc]
        self._given = None

    def _update_flat_weights(self) -> None:
        # PyTorch looks for parameters that have been replaced; here all weights are new in each pass.
        self._flat_weights = [getattr(self, name) for name in self._flat_weights_names]

    def _release_flat_weights(self) -> None:
        """Let go of the weights of a pass: they hold its graph."""
        self._flat_weights = [self._parameters.get(name) for name in self._flat_weights_names]

    def _forget(self) -> None:
        self._given: dict[str, Tensor] | None = None
        self._kept: tuple[Origin, dict[str, Tensor]] | None = None
        self._drawn: tuple[Origin, dict[str, Tensor]] | None = None
        if isinstance(self, nn.RNNBase):
            self._release_flat_weights()

    def train(self, mode: bool = True) -> Self:
        """Set the mode; weights that were kept are forgotten."""
        self._forget()
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self._given = dict.fromkeys(self._composed)  # nothing need be composed on the way
        super()._apply(fn, recurse)
        self._forget()
        return self

    def __getstate__(self) -> dict[str, Any]:
        self._forget()
        state = self.__dict__.copy()
        state.pop("_flat_weight_refs", None)
        return state

    def __reduce__(self) -> Any:
        # The class was made at run time, so pickle cannot find it by a name.
        return _empty, (self._plain, tuple(self._composed)), self.__getstate__()

    def get_extra_state(self) -> Tensor:
        """What each weight is compressed to, for the checkpoint: JSON as bytes, because checkpoints hold tensors."""
        return torch.tensor(list(json.dumps(self.described()).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Checked when the checkpoint is loaded."""

    def described(self) -> dict[str, str]:
        return {
            name: f"{self.methods[name].name} at {self.methods[name].factor:g}x: {plan}" for name, plan in self.plans.items()
        }

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        key = f"{prefix}_extra_state"
        if key in state_dict:
            rest[-1].extend(self._differences(prefix, json.loads(bytes(state_dict[key].tolist()))))
        elif any(name.startswith(f"{prefix}matrices.") for name in state_dict):
            state_dict[key] = self.get_extra_state()  # of a version that did not write it
        elif dense := [name for name in self.matrices if f"{prefix}{name}" in state_dict]:
            rest[-1].append(
                f"the checkpoint has {prefix}{dense[0]} as a dense weight, and this layer is compressed: "
                "load a dense checkpoint before compress_"
            )
        self._forget()
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _differences(self, prefix: str, theirs: Mapping[str, str]) -> Iterator[str]:
        ours = self.described()
        for name in dict.fromkeys([*ours, *theirs]):
            if ours.get(name) != theirs.get(name):
                yield (
                    f"the checkpoint has {prefix}{name} as {theirs.get(name, 'a dense weight')}; this model has it as "
                    f"{ours.get(name, 'a dense weight')}: compress the model as that of the checkpoint was"
                )

    def __setattr__(self, name: str, value: Any) -> None:
        if name in getattr(self, "_composed", ()):
            raise CompressionError(
                f"{name} of this {self._plain.__name__} is composed of the parameters of matrices[{name!r}] and cannot be "
                "set; doping.merge_(layer) makes an ordinary weight of it"
            )
        super().__setattr__(name, value)


@functools.cache
def compressed_class(plain: type[nn.Module], composed: tuple[str, ...]) -> type[CompressedLayer]:
    """The subclass of a layer's class in which the weights of these names are composed."""
    bases = (plain,) if issubclass(plain, CompressedLayer) else (CompressedLayer, plain)
    name = plain.__name__ if issubclass(plain, CompressedLayer) else f"Compressed{plain.__name__}"
    properties = {weight: property(functools.partial(_read, weight)) for weight in composed}
    return type(name, bases, {**properties, "_plain": plain, "_composed": composed, "__module__": plain.__module__})


def _read(name: str, layer: CompressedLayer) -> Tensor:
    return layer._weight(name)


def _empty(plain: type[nn.Module], composed: tuple[str, ...]) -> CompressedLayer:
    made = compressed_class(plain, composed)
    return made.__new__(made)


def compressed_layers(model: nn.Module) -> Iterator[tuple[str, CompressedLayer]]:
    """All compressed layers in a model, with their names in it."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, CompressedLayer))


@torch._disable_dynamo
def _outside_of_compiled_code(layer: CompressedLayer, args: Any, kwargs: Any) -> Any:
    """A recurrent layer runs as it is, as a plain one does in compiled code: PyTorch does not compile them."""
    return layer._pass(args, kwargs)


def _may_be_shared() -> bool:
    """Whether a graph may serve several calls: not where checkpoints of activations count the tensors of each call."""
    return torch.is_grad_enabled() and torch._C._autograd._top_saved_tensors_default_hooks(True) is None


def _forget_drawn(layer: CompressedLayer, gradient: Tensor) -> None:
    layer._drawn = None


def _in_order_(layer: nn.Module) -> None:
    """Put the parameters of a layer in the order of PyTorch, in which optimizers count them."""
    weights = weight_names(layer)
    order = layer._flat_weights_names if isinstance(layer, nn.RNNBase) else weights
    parameters = dict(layer._parameters)
    layer._parameters.clear()
    layer._parameters.update({name: parameters[name] for name in dict.fromkeys([*order, *parameters]) if name in parameters})


def _take_over(matrix: Matrix, other: Matrix) -> None:
    """Copy all parameters and buffers of a matrix of the same plan."""
    for mine, theirs in zip([*matrix.parameters(), *matrix.buffers()], [*other.parameters(), *other.buffers()], strict=True):
        mine.copy_(theirs)


def _shape(weight: Tensor) -> tuple[int, int]:
    return weight.shape[0], weight.shape[1]
