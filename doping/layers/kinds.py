"""The layers of PyTorch that can be compressed, and the names of their weights."""

from __future__ import annotations

from typing import Any

from torch import nn

from doping.errors import CompressionError

CELLS = (nn.LSTMCell, nn.GRUCell, nn.RNNCell)
"""Layers that are called once a time step."""
LAYERS = (nn.LSTM, nn.GRU, nn.RNN, *CELLS, nn.Linear)
"""What can be compressed; subclasses of these too."""
SUPPORTED = ", ".join(layer.__name__ for layer in LAYERS)


def check_module(model: Any) -> None:
    """Raise ``CompressionError`` if this is no module."""
    if not isinstance(model, nn.Module):
        kind = f"the class {model.__name__}, not yet made" if isinstance(model, type) else f"a {type(model).__name__}"
        raise CompressionError(f"the model is {kind}; expected a torch.nn.Module")


def weight_names(layer: nn.Module) -> list[str]:
    """Names of the weight matrices of a layer, in the order of PyTorch."""
    if isinstance(layer, nn.RNNBase):
        kinds = ("ih", "hh", "hr") if layer.proj_size else ("ih", "hh")
        suffixes = ("", "_reverse") if layer.bidirectional else ("",)
        return [f"weight_{kind}_l{i}{suffix}" for i in range(layer.num_layers) for suffix in suffixes for kind in kinds]
    return ["weight_ih", "weight_hh"] if isinstance(layer, CELLS) else ["weight"]


def parameter_names(layer: nn.Module) -> list[str]:
    """Names of weights and biases, in the order of PyTorch, in which optimizers count them."""
    if isinstance(layer, nn.RNNBase):
        names: list[str] = layer._flat_weights_names
        return names
    weights = weight_names(layer)
    return weights + [name.replace("weight", "bias") for name in weights]


def initial_bound(layer: nn.Module) -> float:
    """Range ± in which PyTorch draws the weights and biases of a layer."""
    width = layer.in_features if isinstance(layer, nn.Linear) else layer.hidden_size
    assert isinstance(width, int)
    return float(width**-0.5)
