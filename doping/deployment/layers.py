"""Deployed layers: what ``nn.LSTM``, ``nn.GRU``, ``nn.RNN``, their cells and ``nn.Linear`` are after :func:`doping.deploy_`.

They take and give what the originals do in evaluation; there is no dropout between layers. They have no parameters, and
one buffer of bytes for each layer and direction.

Legend: T steps, B batch, I inputs, O outputs of a direction, H hidden units, S states (layers · directions).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from doping.deployment import operators
from doping.inference.kernels.recurrent import GATES, RecurrentCell

State = Tensor | tuple[Tensor, Tensor]


class DeployedLinear(nn.Module):
    """A linear layer on the kernels: (..., in_features) → (..., out_features)."""

    is_deployed = True
    packed: Tensor

    def __init__(self, layer: nn.Linear, packed: Tensor):
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.register_buffer("packed", packed)

    def forward(self, input: Tensor) -> Tensor:
        """As ``nn.Linear``."""
        if input.shape[-1] != self.in_features:
            raise RuntimeError(f"the input has {input.shape[-1]} features; expected in_features={self.in_features}")
        y: Tensor = operators.linear(input, self.packed, self.out_features)
        return y

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"in_features={self.in_features}, out_features={self.out_features}, {self.packed.numel():,} bytes"


class DeployedRecurrent(nn.Module):
    """Layers of an LSTM, a GRU or an RNN on the kernels."""

    is_deployed = True

    def __init__(self, layer: nn.RNNBase, packed: Mapping[str, Tensor]):
        super().__init__()
        self.mode = layer.mode
        self.cell = cell_of(layer.mode)
        self.input_size, self.hidden_size, self.proj_size = layer.input_size, layer.hidden_size, layer.proj_size
        self.num_layers, self.bias, self.batch_first = layer.num_layers, layer.bias, layer.batch_first
        self.dropout, self.bidirectional = layer.dropout, layer.bidirectional
        self.output_size = layer.proj_size or layer.hidden_size
        self._names = list(packed)
        for name, one in packed.items():
            self.register_buffer(name, one)

    def flatten_parameters(self) -> None:
        """Nothing: the kernels have the weights as they want them."""

    def forward(self, input: Tensor | PackedSequence, hx: State | None = None) -> tuple[Tensor | PackedSequence, State]:
        """As the layer that it was.

        Args:
            input: (T, B, I), (B, T, I) if ``batch_first``, (T, I) without a batch, or a packed batch.
            hx: the state to start with, (S, B, O), of an LSTM with the cell state (S, B, H); without a batch (S, O).

        Returns:
            Outputs of the last layer, in the form of the input, and the last state.

        Raises:
            RuntimeError: the input or the state has another shape.

        """
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        if input.dim() not in (2, 3):
            raise RuntimeError(f"the input has {input.dim()} dimensions; expected 3, or 2 without a batch")
        batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        x = input if batched else input.unsqueeze(batch_dim)
        states = self._states(hx, x.shape[batch_dim], batched)
        y, last = self._layers(x.transpose(0, 1) if self.batch_first else x, states, None)
        y = y.transpose(0, 1) if self.batch_first else y
        if not batched:
            y, last = y.squeeze(batch_dim), [part.squeeze(1) for part in last]
        return y, self._given_back(last)

    def _packed(self, input: PackedSequence, hx: State | None) -> tuple[PackedSequence, State]:
        x, lengths = pad_packed_sequence(PackedSequence(input.data, input.batch_sizes))  # sorted by length, as it is packed
        states = self._states(hx, x.shape[1], True)
        if input.sorted_indices is not None:
            states = [part.index_select(1, input.sorted_indices) for part in states]
        y, last = self._layers(x, states, lengths)
        if input.unsorted_indices is not None:
            last = [part.index_select(1, input.unsorted_indices) for part in last]
        packed = pack_padded_sequence(y, lengths)
        made = PackedSequence(packed.data, packed.batch_sizes, input.sorted_indices, input.unsorted_indices)
        return made, self._given_back(last)

    def _layers(self, x: Tensor, states: list[Tensor], lengths: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        if x.shape[-1] != self.input_size:
            raise RuntimeError(f"the input has {x.shape[-1]} features; expected input_size={self.input_size}")
        cells = self.hidden_size if self.cell == "lstm" else 0
        directions, last = 2 if self.bidirectional else 1, []
        for layer in range(self.num_layers):
            outputs = []
            for place in range(layer * directions, (layer + 1) * directions):
                h, c = (states[part][place] if part < len(states) else None for part in (0, 1))
                packed = getattr(self, self._names[place])
                y, *after = operators.recurrent(x, packed, h, c, lengths, self.output_size, cells)
                outputs.append(y)
                last.append(after)
            x = outputs[0] if directions == 1 else torch.cat(outputs, dim=-1)
        if len(last) == 1:
            return x, [part[None] for part in last[0][: 2 if cells else 1]]
        return x, [torch.stack([after[part] for after in last]) for part in range(2 if cells else 1)]

    def _states(self, hx: State | None, batch: int, batched: bool) -> list[Tensor]:
        if hx is None:
            return []
        parts = list(hx) if self.cell == "lstm" else [hx]
        states = len(self._names)
        sizes = [(states, batch, self.output_size), (states, batch, self.hidden_size)]
        found = [part if batched else part.unsqueeze(1) for part in parts if isinstance(part, Tensor)]
        for part, expected in zip(found, sizes, strict=False):
            if tuple(part.shape) != expected:
                raise RuntimeError(f"the state has shape {tuple(part.shape)}; expected {expected}")
        return found

    def _given_back(self, last: list[Tensor]) -> State:
        return (last[0], last[1]) if self.cell == "lstm" else last[0]

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        kinds = f"{self.mode}, {self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"
        return f"{kinds}, {sum(buffer.numel() for buffer in self.buffers()):,} bytes"


class DeployedCell(nn.Module):
    """One step of an LSTM, a GRU or an RNN on the kernels."""

    is_deployed = True
    packed: Tensor

    def __init__(self, layer: nn.RNNCellBase, packed: Tensor):
        super().__init__()
        self.input_size, self.hidden_size = layer.input_size, layer.hidden_size
        self.cell = cell_of(mode_of(layer))
        self.register_buffer("packed", packed)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """As the cell that it was: input (B, I) or (I,), and the state; gives the new one."""
        if input.dim() not in (1, 2) or input.shape[-1] != self.input_size:
            raise RuntimeError(f"the input has shape {tuple(input.shape)}; expected (batch, {self.input_size})")
        batched = input.dim() == 2
        x = input if batched else input[None]
        parts = [] if hx is None else list(hx) if self.cell == "lstm" else [hx]
        h, c = (None, None) if not parts else (*(part if batched else part[None] for part in parts), None)[:2]
        for part in (h, c):
            if part is not None and tuple(part.shape) != (len(x), self.hidden_size):
                raise RuntimeError(f"the state has shape {tuple(part.shape)}; expected {(len(x), self.hidden_size)}")
        cells = self.hidden_size if self.cell == "lstm" else 0
        _, h, c = operators.recurrent(x[None], self.packed, h, c, None, self.hidden_size, cells)
        if not batched:
            h, c = h[0], c[0] if cells else c
        return (h, c) if cells else h

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"{self.cell}, {self.input_size}, {self.hidden_size}, {self.packed.numel():,} bytes"


def mode_of(layer: nn.Module) -> str:
    """What PyTorch calls the kind of a recurrent layer or cell."""
    if isinstance(layer, nn.RNNBase):
        return layer.mode
    if isinstance(layer, nn.RNNCell):
        return f"RNN_{layer.nonlinearity.upper()}"
    return "LSTM" if isinstance(layer, nn.LSTMCell) else "GRU"


def cell_of(mode: str) -> RecurrentCell:
    """The kernel of a kind."""
    return next(cell for cell in GATES if cell == mode.lower())
