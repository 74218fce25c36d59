"""``deploy_``: the compressed layers of a model on the kernels, in place."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import numpy.typing as npt
import torch
from torch import nn

from doping.deployment.layers import DeployedCell, DeployedLinear, DeployedRecurrent, mode_of
from doping.deployment.packing import packed
from doping.errors import CompressionError, UnfinishedError
from doping.inference import from_torch
from doping.inference.bundle.weights import matrix_of
from doping.inference.kernels import Dense, Matrix, narrowed
from doping.layers.compressed import CompressedLayer, compressed_layers
from doping.matrices.base import array
from doping.matrices.budget import TOLERANCE

Model = TypeVar("Model", bound=nn.Module)
Values = Literal["float32", "int8"]


@torch.no_grad()
def deploy_(model: Model, *, values: Values = "float32") -> Model:
    """Put the compressed layers of a model onto the kernels, in place; all else stays as it is.

    A layer takes and gives then what it did in evaluation: states, packed sequences, ``batch_first``. It runs on the
    CPU, and has no parameters: it cannot be trained any more, so keep a copy of the model to go on with. The model can
    be pickled, copied, and given to ``torch.export`` and ``torch.compile``.

    Args:
        model: with layers that :func:`doping.compress_` made, their pruning over.
        values: ``int8`` stores each weight in a byte, with a scale for each row; outputs are then those of rounded weights.

    Returns:
        The model.

    Raises:
        CompressionError: there is no compressed layer, or ``values`` is unknown.
        UnfinishedError: a layer is larger than its method says.

    """
    if values not in ("float32", "int8"):
        raise CompressionError(f"values is {values!r}; expected 'float32' or 'int8'")
    layers = list(compressed_layers(model))
    if not layers:
        raise CompressionError("the model has no compressed layer to deploy; compress_ makes them")
    for name, layer in layers:
        size, planned = layer.size().values, layer.planned_size().values
        if size > planned * (1 + TOLERANCE):
            raise UnfinishedError(
                f"{name or 'the layer'} has {size:,} values, and {planned:,} are planned: its pruning is not over; "
                "go on training, or annealer.finish_(at_once=True)"
            )
    made = [(layer, _deployed(layer, values)) for _, layer in layers]
    for layer, deployed in made:
        _become_(layer, deployed)
    return model


def kernel_matrices(layer: CompressedLayer, values: Values = "float32") -> dict[str, Matrix]:
    """All weight matrices of a layer as the kernels take them, by their names in PyTorch."""
    made: dict[str, Matrix] = {
        name: matrix_of(*from_torch.described_matrix(m), m.shape) for name, m in layer.named_matrices()
    }
    made |= {name: Dense(_array(layer, name)) for name in layer.kept_dense}
    made |= {
        name: Dense(_array(layer, name)) for name, _ in layer.named_parameters(recurse=False) if name.startswith("weight")
    }
    return {name: narrowed(matrix) for name, matrix in made.items()} if values == "int8" else made


def _deployed(layer: CompressedLayer, values: Values) -> nn.Module:
    matrices = kernel_matrices(layer, values)
    if isinstance(layer, nn.Linear):
        bias = {} if layer.bias is None else {"bias": _array(layer, "bias")}
        return DeployedLinear(layer, packed("linear", {"weight": matrices["weight"]}, bias))
    if isinstance(layer, nn.RNNCellBase):
        return DeployedCell(layer, _direction(layer, matrices, ""))
    assert isinstance(layer, nn.RNNBase)
    suffixes = [
        f"_l{i}{way}" for i in range(layer.num_layers) for way in ("", "_reverse")[: 2 if layer.bidirectional else 1]
    ]
    return DeployedRecurrent(layer, {f"packed{suffix}": _direction(layer, matrices, suffix) for suffix in suffixes})


def _direction(layer: CompressedLayer, matrices: dict[str, Matrix], suffix: str) -> Any:
    kinds = {"input": "ih", "recurrent": "hh", "projection": "hr"}
    own = {
        kind: matrices[f"weight_{short}{suffix}"] for kind, short in kinds.items() if f"weight_{short}{suffix}" in matrices
    }
    biased = ("input", "recurrent") if layer.bias else ()
    biases = {f"{kind}_bias": _array(layer, f"bias_{kinds[kind]}{suffix}") for kind in biased}
    return packed(mode_of(layer).lower(), own, biases, reverse=suffix.endswith("_reverse"))


def _array(layer: nn.Module, name: str) -> npt.NDArray[Any]:
    return array(getattr(layer, name))


def _become_(layer: nn.Module, deployed: nn.Module) -> None:
    """Make a layer another one without moving it, so that all who hold it see the new one; hooks are kept."""
    kept = {name: value for name, value in vars(layer).items() if name.endswith("_hooks") or name == "training"}
    layer.__dict__.clear()
    layer.__class__ = type(deployed)
    layer.__dict__.update({**vars(deployed), **kept})
