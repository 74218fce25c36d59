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
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from doping.errors import CompressionError
from doping.layers.kinds import CELLS, initial_bound, parameter_names, weight_names
from doping.layers.origin import Origin
from doping.layers.plan_records import differences, packed
from doping.matrices import Matrix, Plan, Size
from doping.matrices.base import uniform
from doping.matrices.dense import Dense
from doping.method import Method

Weights = dict[str, Tensor]


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

    _composed: ClassVar[tuple[str, ...]] = ()
    """Names that are no parameters any more."""
    _base: ClassVar[type[nn.Module]]
    """The class that was given to ``compressed_class``."""
    _given: Weights | None = None
    """The weights of the pass that is under way."""
    _kept: tuple[Origin, Weights] | None = None
    """Those of evaluation."""
    _drawn: tuple[Origin, Weights] | None = None
    """Those of a cell since the last backward pass."""

    def compress(
        self,
        matrices: Mapping[str, Matrix],
        plans: Mapping[str, Plan],
        methods: Mapping[str, Method],
        kept: Mapping[str, str],
    ) -> None:
        """Take matrices in place of weights, which are no parameters any more; arguments are the attributes of the class."""
        self.matrices = nn.ModuleDict(matrices)
        self.plans, self.methods, self.kept_dense = dict(plans), dict(methods), dict(kept)
        self._forget()

    @classmethod
    def plain_class(cls) -> type[nn.Module]:
        """The class of the layer before it was compressed."""
        return next(base for base in cls.__mro__ if issubclass(base, nn.Module) and not issubclass(base, CompressedLayer))

    @torch.no_grad()
    def become_plain_(self) -> None:
        """Make it the layer that it was, with the composed weights as parameters."""
        self._forget()
        parameters = {name: self._plain_parameter(name) for name in self._composed}
        for name in (*self._modules, "plans", "methods", "kept_dense", "_given", "_kept", "_drawn"):
            delattr(self, name)
        self.__class__ = self.plain_class()  # type: ignore[assignment]
        others = dict(self._parameters)
        self._parameters.clear()
        for name in dict.fromkeys([*parameter_names(self), *others]):
            self.register_parameter(name, parameters.get(name, others.get(name)))
        if isinstance(self, nn.RNNBase):
            self._init_flat_weights()

    def _plain_parameter(self, name: str) -> nn.Parameter:
        matrix = self.matrix(name)
        return nn.Parameter(matrix.dense().clone(), any(parameter.requires_grad for parameter in matrix.parameters()))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer does, with the weights of this pass."""
        if isinstance(self, nn.RNNBase) and torch.compiler.is_dynamo_compiling():
            return _outside_of_compiled_code(self, args, kwargs)
        return self._pass(args, kwargs)

    def _pass(self, args: Any, kwargs: Any) -> Any:
        # Past the __setattr__ of a module, which takes microseconds to find out that this is no parameter.
        own = self.__dict__
        own["_given"] = self._kept_weights() if self._may_keep() else self._fresh_weights()
        try:
            return super().forward(*args, **kwargs)
        finally:
            own["_given"] = None
            self._release_flat_weights()

    def _may_keep(self) -> bool:
        return not (self.training or torch.is_grad_enabled() or _traced())

    def _fresh_weights(self) -> Weights:
        """The weights of one pass in training, or with gradients."""
        if not isinstance(self, CELLS) or not _may_be_shared():
            return {name: matrix.sample() for name, matrix in self.named_matrices()}
        if self._drawn is None or not self._drawn[0].holds():
            weights = {name: matrix.sample() for name, matrix in self.named_matrices()}
            self._drawn = Origin(self.matrices), weights
            for weight in weights.values():
                if weight.requires_grad and not weight.is_leaf:
                    # Once gradients went through them, their graph is gone.
                    weight.register_hook(functools.partial(_forget_drawn, self))  # type: ignore[no-untyped-call]
        return self._drawn[1]

    def _kept_weights(self) -> Weights:
        """The weights in evaluation; composed again where anything that they are made of has changed."""
        if self._kept is None or not self._kept[0].holds():
            with torch.inference_mode(False), torch.no_grad():
                weights = {name: matrix.dense() for name, matrix in self.named_matrices()}
            self._kept = Origin(self.matrices), weights
            if isinstance(self, nn.RNNBase):
                self._given = weights
                self._update_flat_weights()
                super().flatten_parameters()  # type: ignore[misc]
                self._given = None
        return self._kept[1]

    def composed(self, name: str) -> Tensor:
        """A weight as it is read from outside, (m, n): without noise; within a forward pass that of the pass."""
        if self._given is not None:
            return self._given[name]
        return self._kept_weights()[name] if self._may_keep() else self.matrix(name).dense()

    def named_matrices(self) -> Iterator[tuple[str, Matrix]]:
        """The compressed weights with their names, in the order of PyTorch."""
        return ((name, self.matrix(name)) for name in self.matrices)

    def all_matrices(self) -> Iterator[tuple[str, Matrix]]:
        """The same with the weights that were left dense."""
        for name in weight_names(self):
            yield name, self.matrix(name) if name in self.matrices else Dense(self.get_parameter(name))

    def matrix(self, name: str) -> Matrix:
        """The matrix of a weight."""
        matrix = self.matrices[name]
        assert isinstance(matrix, Matrix)
        return matrix

    def size(self) -> Size:
        """Size of all weight matrices at this moment; biases are not counted."""
        return sum((matrix.size() for _, matrix in self.all_matrices()), Size(0, 0, 0))

    def planned_size(self) -> Size:
        """The same once all pruning is over."""
        sizes = (self.plans[name].size() if name in self.plans else matrix.size() for name, matrix in self.all_matrices())
        return sum(sizes, Size(0, 0, 0))

    @property
    def method_label(self) -> str:
        """How it is compressed, in messages: ``doped_kp + cmr``; several methods with / between them."""
        return " / ".join(dict.fromkeys(method.label for method in self.methods.values()))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights and biases anew, with the variance of PyTorch; nothing is pruned then."""
        if "matrices" not in self._modules:  # the constructor of the layer asks for it, before it is compressed
            super().reset_parameters()  # type: ignore[misc]
            return
        std = initial_bound(self) / 3**0.5
        for name, matrix in self.named_matrices():
            drawn = self.plans[name].initialized(std)
            pairs = zip([*matrix.parameters(), *matrix.buffers()], [*drawn.parameters(), *drawn.buffers()], strict=True)
            for mine, theirs in pairs:
                mine.copy_(theirs)
        inside_matrices = {id(parameter) for parameter in self.matrices.parameters()}
        for parameter in self.parameters():
            if id(parameter) not in inside_matrices:
                parameter.copy_(std * uniform(*parameter.shape))

    def flatten_parameters(self) -> None:
        """Nothing: weights of training are composed in each pass, those of evaluation are put side by side when composed."""

    def _update_flat_weights(self) -> None:
        # PyTorch looks for parameters that were replaced; here all weights are new in each pass.
        given, own = self._given or {}, self._parameters
        self.__dict__["_flat_weights"] = [
            given[name] if name in given else own[name] if name in own else getattr(self, name)
            for name in parameter_names(self)
        ]

    def _release_flat_weights(self) -> None:
        """Let go of the weights of a pass: they hold its graph."""
        if isinstance(self, nn.RNNBase):
            own = self._parameters
            self.__dict__["_flat_weights"] = [own.get(name) for name in parameter_names(self)]

    def _forget(self) -> None:
        self._given = self._kept = self._drawn = None
        self._release_flat_weights()

    def train(self, mode: bool = True) -> Self:
        """Set the mode; weights that were kept are forgotten."""
        self._forget()
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self._given = dict.fromkeys(self._composed)  # type: ignore[assignment]  # nothing need be composed on the way
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._forget()
        return self

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {"_given": None, "_kept": None, "_drawn": None}
        state.pop("_flat_weight_refs", None)
        return state

    def __reduce__(self) -> Any:
        # The class was made at run time, so pickle cannot find it by a name.
        return _empty, (self._base, self._composed), self.__getstate__()

    def described(self) -> dict[str, str]:
        """What each compressed weight is to be, by its name."""
        return {name: f"{self.methods[name].name} at {self.methods[name].factor:g}x: {p}" for name, p in self.plans.items()}

    def get_extra_state(self) -> Tensor:
        """For the checkpoint: what each weight is to be, as bytes, because checkpoints hold tensors."""
        return packed(self.described())

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing: it is checked when the checkpoint is loaded."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        key = f"{prefix}_extra_state"
        rest[-1].extend(differences(state_dict, prefix, self.described()))
        if key not in state_dict and any(name.startswith(f"{prefix}matrices.") for name in state_dict):
            state_dict[key] = self.get_extra_state()  # a checkpoint of a version that did not write it
        self._forget()
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._composed:
            raise CompressionError(
                f"{name} of this {self.plain_class().__name__} is composed of the parameters of matrices[{name!r}] and "
                "cannot be set; doping.merge_(layer) makes an ordinary weight of it"
            )
        super().__setattr__(name, value)

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"{super().extra_repr()}, method={self.method_label}"


def compressed_class(plain: type[nn.Module], composed: tuple[str, ...]) -> type[CompressedLayer]:
    """The subclass of a layer's class in which the weights of these names are composed; for equal arguments the same one."""
    if (plain, composed) not in _CLASSES:
        ours = issubclass(plain, CompressedLayer)
        properties = {name: property(_reader(name)) for name in composed}
        _CLASSES[plain, composed] = type(
            plain.__name__ if ours else f"Compressed{plain.__name__}",
            (plain,) if ours else (CompressedLayer, plain),
            {**properties, "_composed": composed, "_base": plain, "__module__": plain.__module__},
        )
    return _CLASSES[plain, composed]


_CLASSES: dict[tuple[type[nn.Module], tuple[str, ...]], type[CompressedLayer]] = {}


def _reader(name: str) -> Callable[[CompressedLayer], Tensor]:
    """What reads a weight of a layer."""

    def read(layer: CompressedLayer) -> Tensor:
        given = layer._given
        return given[name] if given is not None and name in given else layer.composed(name)

    return read


def _empty(plain: type[nn.Module], composed: tuple[str, ...]) -> CompressedLayer:
    made = compressed_class(plain, composed)
    return made.__new__(made)


def compressed_layers(model: nn.Module) -> Iterator[tuple[str, CompressedLayer]]:
    """All compressed layers in a model, with their names in it."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, CompressedLayer))


def none_compressed(model: nn.Module) -> CompressionError:
    """The error of a model without a compressed layer."""
    if any(getattr(module, "is_deployed", False) for module in model.modules()):
        return CompressionError(
            f"the layers of the {type(model).__name__} are deployed, and compressed no more; take a copy from before deploy_"
        )
    return CompressionError(f"no layer of the {type(model).__name__} is compressed; call doping.compress_ first")


@torch._disable_dynamo  # type: ignore[attr-defined]
def _outside_of_compiled_code(layer: CompressedLayer, args: Any, kwargs: Any) -> Any:
    """A recurrent layer runs as it is, as a plain one does in compiled code: PyTorch does not compile them."""
    return layer._pass(args, kwargs)


def _traced() -> bool:
    """Whether what is computed is being recorded, so that no tensor may come from elsewhere."""
    return torch.compiler.is_compiling() or torch._C._is_tracing()


def _may_be_shared() -> bool:
    """Whether one graph may serve several calls: not where checkpoints of activations count the tensors of each call."""
    return torch.is_grad_enabled() and not _traced() and torch._C._autograd._top_saved_tensors_default_hooks(True) is None


def _forget_drawn(layer: CompressedLayer, gradient: Tensor) -> None:
    layer._drawn = None
