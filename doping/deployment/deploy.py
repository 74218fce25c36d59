"""``deploy_``: the compressed layers of a model on the kernels, in place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, get_args

import numpy.typing as npt
import torch
from torch import nn

from doping.deployment.layers import DeployedCell, DeployedLinear, DeployedRecurrent, mode_of
from doping.deployment.packing import packed, ready
from doping.errors import CompressionError, UnfinishedError
from doping.inference import from_torch
from doping.inference.bundle.narrowing import BITS
from doping.inference.bundle.weights import matrix_of
from doping.inference.kernels import Dense, KernelError, Matrix, narrowed
from doping.inference.models.lstm import Arithmetic
from doping.layers.compressed import CompressedLayer, compressed_layers, none_compressed
from doping.layers.kinds import check_module
from doping.matrices.base import array
from doping.matrices.budget import TOLERANCE
from doping.method import Values

Model = TypeVar("Model", bound=nn.Module)


@torch.no_grad()
def deploy_(model: Model, *, values: Values | None = None, arithmetic: Arithmetic = "float32") -> Model:
    """Put the compressed layers of a model onto the kernels, in place; all else stays as it is.

    A layer takes and gives then what it did in evaluation: states, packed sequences, ``batch_first``. It runs on the
    CPU, and has no parameters: it cannot be trained any more, so keep a copy of the model to go on with. The model can
    be pickled, copied, and given to ``torch.export`` and ``torch.compile``.

    Args:
        model: with layers that :func:`doping.compress_` made, their pruning over.
        values: how weights are stored, by default as their methods say. ``int8``: in a byte each, ``int4``: two in a byte,
            with a scale for each row; outputs are then those of rounded weights.
        arithmetic: in which products are computed. ``int8`` rounds what a layer reads to 8 bits too, vector by vector, and
            float32 weights to int8. A matrix that has no product in int8 (S in another pattern than ``tiles``, free rows in
            every gate) is written out in memory.

    Returns:
        The model.

    Raises:
        CompressionError: there is no compressed layer; ``values`` or ``arithmetic`` is unknown, or they contradict; a matrix
            has more columns than int8 arithmetic can sum.
        KernelError: int8 arithmetic, and there is no C compiler.
        UnfinishedError: a layer is larger than its method says.

    """
    for name, given, known in (("values", values, get_args(Values)), ("arithmetic", arithmetic, get_args(Arithmetic))):
        if given not in known and not (name == "values" and given is None):
            raise CompressionError(f"{name} is {given!r}; expected {', '.join(map(repr, known[:-1]))} or {known[-1]!r}")
    if (values, arithmetic) == ("float32", "int8"):
        raise CompressionError(
            "int8 arithmetic multiplies int8 or int4 values; leave values='float32' out, or the arithmetic"
        )
    layers = finished_layers(model)
    made = [(layer, _deployed(layer, values, arithmetic)) for _, layer in layers]
    if arithmetic == "int8":
        _check_int8([deployed for _, deployed in made])
    for layer, deployed in made:
        _become_(layer, deployed)
    return model


def finished_layers(model: nn.Module) -> list[tuple[str, CompressedLayer]]:
    """The compressed layers of a model, with their names.

    Raises:
        CompressionError: there is none.
        UnfinishedError: one is larger than its method says.

    """
    check_module(model)
    layers = list(compressed_layers(model))
    if not layers:
        raise none_compressed(model)
    for name, layer in layers:
        size, planned = layer.size().values, layer.planned_size().values
        if size > planned * (1 + TOLERANCE):
            raise UnfinishedError(
                f"{name or 'the layer'} has {size:,} values, and {planned:,} are planned: its pruning is not over; "
                "go on training, or annealer.finish_(at_once=True)"
            )
    return layers


def kernel_matrices(layer: CompressedLayer, values: Values | None = None, least: Values = "float32") -> dict[str, Matrix]:
    """All weight matrices of a layer as the kernels take them, by their names in PyTorch.

    Their values are those given, or else those of their methods, and ``least`` where these are float32.
    """
    made: dict[str, Matrix] = {
        name: matrix_of(*from_torch.described_matrix(m), m.shape) for name, m in layer.named_matrices()
    }
    made |= {name: Dense(_array(layer, name)) for name in layer.kept_dense}
    made |= {
        name: Dense(_array(layer, name)) for name, _ in layer.named_parameters(recurse=False) if name.startswith("weight")
    }
    for name, matrix in made.items():
        method = layer.methods.get(name)
        own = values or (method.values if method else "float32")
        own = least if own == "float32" else own
        made[name] = matrix if own == "float32" else narrowed(matrix, BITS[own])
    return made


def _check_int8(deployed: Iterable[nn.Module]) -> None:
    """Make them ready to run: what cannot be is said now, not at the first input."""
    try:
        for layer in deployed:
            for packed_N in layer.buffers():
                ready(packed_N)
    except KernelError:
        raise
    except ValueError as error:
        raise CompressionError(f"int8 arithmetic: {error}") from error


def _deployed(layer: CompressedLayer, values: Values | None, arithmetic: Arithmetic) -> nn.Module:
    matrices = kernel_matrices(layer, values, arithmetic)
    if isinstance(layer, nn.Linear):
        bias = {} if layer.bias is None else {"bias": _array(layer, "bias")}
        return DeployedLinear(layer, packed("linear", {"weight": matrices["weight"]}, bias, arithmetic=arithmetic))
    if isinstance(layer, nn.RNNCellBase):
        return DeployedCell(layer, _direction(layer, matrices, "", arithmetic))
    assert isinstance(layer, nn.RNNBase)
    suffixes = [
        f"_l{i}{way}" for i in range(layer.num_layers) for way in ("", "_reverse")[: 2 if layer.bidirectional else 1]
    ]
    return DeployedRecurrent(
        layer, {f"packed{suffix}": _direction(layer, matrices, suffix, arithmetic) for suffix in suffixes}
    )


def _direction(layer: CompressedLayer, matrices: dict[str, Matrix], suffix: str, arithmetic: Arithmetic) -> Any:
    kinds = {"input": "ih", "recurrent": "hh", "projection": "hr"}
    own = {
        kind: matrices[f"weight_{short}{suffix}"] for kind, short in kinds.items() if f"weight_{short}{suffix}" in matrices
    }
    biased = ("input", "recurrent") if layer.bias else ()
    biases = {f"{kind}_bias": _array(layer, f"bias_{kinds[kind]}{suffix}") for kind in biased}
    return packed(mode_of(layer).lower(), own, biases, reverse=suffix.endswith("_reverse"), arithmetic=arithmetic)


def _array(layer: nn.Module, name: str) -> npt.NDArray[Any]:
    return array(getattr(layer, name))


def _become_(layer: nn.Module, deployed: nn.Module) -> None:
    """Make a layer another one without moving it, so that all who hold it see the new one; hooks are kept."""
    kept = {name: value for name, value in vars(layer).items() if name.endswith("_hooks") or name == "training"}
    layer.__dict__.clear()
    layer.__class__ = type(deployed)
    layer.__dict__.update({**vars(deployed), **kept})
