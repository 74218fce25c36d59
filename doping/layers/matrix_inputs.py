"""What each weight matrix of a layer is multiplied with while the layer reads a batch.

Legend: T steps, B batch, H hidden units, I inputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from doping.layers.kinds import CELLS, weight_names


@torch.no_grad()
def matrix_inputs(layer: nn.Module, input: Tensor | PackedSequence, hx: Any = None) -> dict[str, Tensor]:
    """The vectors that each weight matrix is multiplied with, (..., columns), by the name of the matrix.

    For arguments as the layer takes them. There is no dropout between layers. Of a recurrent layer all are (T, B, columns),
    in the order in which they are read: from the end in the reverse direction; for a packed batch they are (steps of all
    sequences together, columns).

    Raises:
        NotImplementedError: an LSTM with ``proj_size``.

    """
    if isinstance(layer, nn.Linear):
        assert isinstance(input, Tensor)
        return {"weight": input}
    if isinstance(layer, CELLS):
        assert isinstance(input, Tensor)
        h = hx[0] if isinstance(hx, tuple) else hx
        return {"weight_ih": input, "weight_hh": input.new_zeros(*input.shape[:-1], layer.hidden_size) if h is None else h}
    assert isinstance(layer, nn.RNNBase)
    if layer.proj_size:
        raise NotImplementedError(f"an LSTM with proj_size={layer.proj_size} does not tell what its projection reads")
    if isinstance(input, PackedSequence):
        x_TBI, lengths_B = pad_packed_sequence(input)
    else:
        batched = input if input.dim() == 3 else input.unsqueeze(0 if layer.batch_first else 1)
        x_TBI = batched.transpose(0, 1) if layer.batch_first else batched
        lengths_B = torch.full((x_TBI.shape[1],), x_TBI.shape[0])
    steps_TB, batch = torch.arange(x_TBI.shape[0])[:, None].expand(x_TBI.shape[:2]), torch.arange(x_TBI.shape[1])
    read_TB = steps_TB < lengths_B
    # The steps of each sequence from its end; what is behind the end stays there, read last, and is left out below.
    backwards_TB = torch.where(read_TB, lengths_B - 1 - steps_TB, steps_TB)
    ways = ("", "_reverse") if layer.bidirectional else ("",)
    states = _states(layer, hx, x_TBI, len(ways))
    inputs = {}
    for number in range(layer.num_layers):
        outputs = []
        for place, suffix in enumerate(ways):
            read_TBI = x_TBI[backwards_TB, batch] if suffix else x_TBI
            first = [part[None, number * len(ways) + place] for part in states]
            h_TBH = _outputs(layer, f"_l{number}{suffix}", read_TBI, first)
            inputs[f"weight_ih_l{number}{suffix}"] = read_TBI
            inputs[f"weight_hh_l{number}{suffix}"] = torch.cat([first[0], h_TBH[:-1]])
            outputs.append(h_TBH[backwards_TB, batch] if suffix else h_TBH)
        x_TBI = torch.cat(outputs, dim=-1)
    assert list(inputs) == weight_names(layer)
    if isinstance(input, PackedSequence):
        return {name: vectors_TBN[read_TB] for name, vectors_TBN in inputs.items()}
    return inputs


def _states(layer: nn.RNNBase, hx: Any, x_TBI: Tensor, ways: int) -> list[Tensor]:
    """Hidden state, and of an LSTM the cell state, each (layers · directions, B, H)."""
    if hx is None:
        zeros = x_TBI.new_zeros(layer.num_layers * ways, x_TBI.shape[1], layer.hidden_size)
        return [zeros, zeros] if layer.mode == "LSTM" else [zeros]
    parts = list(hx) if isinstance(hx, tuple) else [hx]
    return [part if part.dim() == 3 else part.unsqueeze(1) for part in parts]


def _outputs(layer: nn.RNNBase, suffix: str, x_TBI: Tensor, first: list[Tensor]) -> Tensor:
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if layer.bias else ("weight_ih", "weight_hh")
    weights = [getattr(layer, kind + suffix) for kind in kinds]
    run: Any = getattr(torch, layer.mode.lower())
    state = tuple(first) if layer.mode == "LSTM" else first[0]
    h_TBH: Tensor = run(x_TBI, state, weights, layer.bias, 1, 0.0, False, False, False)[0]
    return h_TBH
