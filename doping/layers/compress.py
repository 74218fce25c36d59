"""Compress the layers of a model of one's own, in place.

compress_(model, {"encoder.rnn": Method(name="doped_kp", factor=20)})
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from doping.errors import CompressionError
from doping.layers.compressed import CompressedLayer, compressed_class
from doping.layers.kinds import check_module, weight_names
from doping.layers.name_patterns import matching, weights_of
from doping.layers.plain_weights import free_, read, widened
from doping.matrices import BudgetError, Matrix, Plan, plan_at_least
from doping.matrices.base import root_mean_square
from doping.method import Method

Pattern = str | re.Pattern[str]
Model = TypeVar("Model", bound=nn.Module)

SMALL = 16
"""A weight with fewer rows or columns than this is small: where a method cannot compress it, it can stay dense."""


def compress_(
    model: Model,
    methods: Mapping[Pattern, Method],
    exclude: Collection[Pattern] | Pattern = (),
    *,
    fresh: bool = False,
    small: Literal["keep", "raise"] = "keep",
) -> Model:
    """Make the weights of layers compressed matrices, in place; make the optimizer after this, not before.

    The layers stay what they were (an ``nn.LSTM`` an ``nn.LSTM``, with its arguments, states and hooks). Nothing is pruned
    yet: that is what :class:`doping.Annealer` does in the course of a training.

    Args:
        model: any module, or a layer itself (its name is ``""``, the pattern ``"*"``).
        methods: for each pattern of names, how to compress what it matches: a layer (``"encoder.rnn"``), or one weight of a
            layer (``"encoder.rnn.weight_hh_l0"``). A pattern is a name, a glob (``"encoder.*"``) or a regular expression
            (``r"head.+"``). Supported are LSTM, GRU, RNN, their cells, and Linear.
        exclude: patterns of what is left as it is.
        fresh: draw the matrices at random, with the root mean square of the weights that the layers have; by default they
            start as near to these weights as they can.
        small: where a method cannot compress a weight of fewer than 16 rows or columns, ``keep`` it dense, which is
            warned of and reported, or ``raise`` a ``BudgetError``.

    Returns:
        The model.

    Raises:
        CompressionError: a pattern matches no layer, or what another one matches; a layer is compressed already, its weight
            is shared with another one, or cannot be read.
        BudgetError: a method cannot compress a matrix by its factor; the message names the nearest factors.

    The model is as it was if anything is raised.

    """
    _check_arguments(model, methods, exclude, fresh, small)
    chosen = _chosen(model, methods, [exclude] if isinstance(exclude, str | re.Pattern) else exclude)
    layers: dict[nn.Module, list[_Choice]] = {}
    for choice in chosen:
        layers.setdefault(choice.layer, []).append(choice)
    _refuse_shared(model, layers)
    planned = [_planned(choices, fresh, small) for choices in layers.values()]
    kept = [f"{choice.name}: {why}" for one in planned for choice, why in one.kept]
    if not any(one.made for one in planned):
        raise BudgetError(f"nothing can be compressed so: {kept[0]}")
    for one in planned:
        one.install_()
    if kept:
        warnings.warn(f"left dense, because the method cannot compress them: {'; '.join(kept)}", stacklevel=2)
    return model


@dataclass(frozen=True)
class _Choice:
    """One weight that is to be compressed."""

    name: str
    layer: nn.Module
    weight: str
    method: Method
    pattern: str


@dataclass(frozen=True)
class _Planned:
    """All that is to happen to a layer."""

    layer: nn.Module
    made: list[tuple[_Choice, Plan, Matrix]]
    kept: list[tuple[_Choice, str]]

    def install_(self) -> None:
        if not self.made:
            return
        for choice, _, _ in self.made:
            free_(self.layer, choice.weight)
        self.layer.__class__ = compressed_class(type(self.layer), tuple(choice.weight for choice, _, _ in self.made))
        assert isinstance(self.layer, CompressedLayer)
        self.layer.compress(
            {choice.weight: matrix for choice, _, matrix in self.made},
            {choice.weight: plan for choice, plan, _ in self.made},
            {choice.weight: choice.method for choice, _, _ in self.made},
            {choice.weight: why for choice, why in self.kept},
        )


def _check_arguments(model: object, methods: object, exclude: object, fresh: object, small: object) -> None:
    check_module(model)
    if isinstance(model, torch.jit.ScriptModule):
        raise CompressionError("the model is compiled by TorchScript; compress it before torch.jit.script or trace")
    if not isinstance(methods, Mapping):
        raise CompressionError(
            f"methods is a {type(methods).__name__}; expected a dict of patterns and methods, "
            'such as {"encoder.rnn": Method(name="doped_kp", factor=20)}'
        )
    if not methods:
        raise CompressionError(
            'methods is empty; expected patterns and methods, such as {"*": Method(name="lmf", factor=5)}'
        )
    for pattern, method in methods.items():
        if not isinstance(method, Method):
            raise CompressionError(
                f"the method of pattern {pattern!r} is {method!r}; expected a Method, such as "
                'Method(name="doped_kp", factor=20)'
            )
    if not isinstance(exclude, Collection | re.Pattern):
        raise CompressionError(f"exclude is {exclude!r}; expected a pattern, or several in a list")
    if not isinstance(fresh, bool):
        raise CompressionError(f"fresh is {fresh!r}; expected True or False")
    if small not in ("keep", "raise"):
        raise CompressionError(f"small is {small!r}; expected 'keep' or 'raise'")


def _chosen(model: nn.Module, methods: Mapping[Pattern, Method], exclude: Collection[Pattern]) -> list[_Choice]:
    weights = weights_of(model)
    excluded = {(weights[name][0], weights[name][2]) for pattern in exclude for name in matching(model, pattern)}
    chosen: dict[tuple[nn.Module, str], _Choice] = {}
    for pattern, method in methods.items():
        shown = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
        for name in matching(model, pattern):
            layer, layer_name, weight = weights[name]
            if (layer, weight) in excluded:
                continue
            if isinstance(layer, CompressedLayer):
                raise CompressionError(
                    f"{layer_name or 'the layer'} is compressed already, as {'; '.join(layer.described().values())}; "
                    "exclude it, or make it dense again with doping.merge_"
                )
            before = chosen.get((layer, weight))
            if before and before.pattern != shown:
                raise CompressionError(
                    f"{name} is matched by the patterns {before.pattern!r} and {shown!r}; let one of them match it, "
                    "or compress in two calls, the second with exclude"
                )
            chosen.setdefault((layer, weight), _Choice(name, layer, weight, method, shown))
    if not chosen:
        raise CompressionError("exclude leaves no layer of those that the patterns match; nothing would be compressed")
    return list(chosen.values())


def _refuse_shared(model: nn.Module, layers: Mapping[nn.Module, list[_Choice]]) -> None:
    """A tied weight would be tied no more, and both owners larger than before."""
    owners: dict[Tensor, set[tuple[nn.Module, str]]] = {}
    names = {module: name for name, module in model.named_modules()}
    for module in names:
        for parameter_name, parameter in module.named_parameters(recurse=False):
            owners.setdefault(parameter, set()).add((module, parameter_name))
    for choices in layers.values():
        for choice in choices:
            weight = choice.layer._parameters.get(choice.weight)
            if weight is not None and len(owners[weight]) > 1:
                shared = sorted(f"{names[module]}.{name}".lstrip(".") for module, name in owners[weight])
                raise CompressionError(
                    f"{' and '.join(shared)} are one parameter; compressed they would no longer be: exclude "
                    f"{choice.name!r}, or give one of them a weight of its own first"
                )


def _planned(choices: list[_Choice], fresh: bool, small: str) -> _Planned:
    layer = choices[0].layer
    made, kept = [], []
    order = {name: place for place, name in enumerate(weight_names(layer))}
    for choice in sorted(choices, key=lambda choice: order[choice.weight]):
        weight_MN = read(choice.layer, choice.weight, choice.name)
        shape = weight_MN.shape[0], weight_MN.shape[1]
        _check_pattern(choice)
        try:
            plan = plan_at_least(choice.method, shape)
        except BudgetError as error:
            if min(shape) >= SMALL:
                raise BudgetError(f"{choice.name}: {error}, or exclude it", error.nearest) from None
            if small == "raise":
                raise BudgetError(
                    f"{choice.name}: {error}; small='keep' leaves such matrices dense, as does exclude", error.nearest
                ) from None
            kept.append(
                (choice, f"{shape[0]} x {shape[1]} cannot be compressed {choice.method.factor:g}x as {choice.method.name}")
            )
            continue
        except ValueError as error:
            raise CompressionError(f"{choice.name}: {error}") from None
        made.append((choice, plan, _matrix(plan, weight_MN, fresh).train(layer.training)))
    return _Planned(layer, made, kept)


def _check_pattern(choice: _Choice) -> None:
    of_gates = isinstance(choice.layer, nn.LSTM | nn.LSTMCell) and not choice.weight.startswith("weight_hr")
    if choice.method.sparse and choice.method.pattern == "gates" and not of_gates:
        raise CompressionError(
            f"{choice.name}: pattern gates needs the rows of the four gates of an LSTM, which {choice.weight} of a "
            f"{type(choice.layer).__name__} has not; take pattern rows or unstructured"
        )


@torch.no_grad()
def _matrix(plan: Plan, weight_MN: Tensor, fresh: bool) -> Matrix:
    """The matrix that a weight becomes, with its type, device and whether it is trained."""
    wide_MN = widened(weight_MN)
    if fresh:
        matrix = plan.initialized(float(root_mean_square(wide_MN)) or (3 * weight_MN.shape[1]) ** -0.5)
    else:
        matrix = plan.unpruned(wide_MN.clone())
    matrix.to(weight_MN.device, weight_MN.dtype)
    if isinstance(weight_MN, nn.Parameter):
        matrix.requires_grad_(weight_MN.requires_grad)
    return matrix
