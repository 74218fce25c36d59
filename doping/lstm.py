"""An ``nn.LSTM`` whose weight matrices are compressed.

The weights are composed once a forward pass and handed to PyTorch's fused LSTM. ``torch.nn.utils.parametrize`` and ``prune``
do not work on ``nn.LSTM``, which keeps flat copies of its weights (pytorch#65688, #33618).

Legend: T steps, B batch, H hidden units, I inputs, M = 4·H rows of a weight (the gates input, forget, cell, output stacked).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from doping.matrices import Matrix, Shape, Size, plan_matrix
from doping.matrices.base import Plan, uniform
from doping.method import Method

State = tuple[Tensor, Tensor]
"""Hidden and cell state, each (layers · directions, B, H)."""


def weight_shapes(input_size: int, hidden_size: int, num_layers: int = 1, bidirectional: bool = False) -> dict[str, Shape]:
    """Shapes (4·H, inputs) of the weight matrices of an LSTM, by the names that ``nn.LSTM`` gives them, in its order."""
    directions = 2 if bidirectional else 1
    shapes = {}
    for layer in range(num_layers):
        inputs = input_size if layer == 0 else directions * hidden_size
        for suffix in ("", "_reverse")[:directions]:
            shapes[f"weight_ih_l{layer}{suffix}"] = (4 * hidden_size, inputs)
            shapes[f"weight_hh_l{layer}{suffix}"] = (4 * hidden_size, hidden_size)
    return shapes


class CompressedLSTM(nn.Module):
    """Long short-term memory with compressed weights: arguments, inputs and outputs are those of ``nn.LSTM``.

    ``method`` says what every weight matrix is, but for those named in ``keep_dense``, such as ``weight_ih_l0`` of an LSTM
    with few inputs (``proj_size`` of ``nn.LSTM`` is not offered). ``init_range`` replaces the range ± 1 / √H in which
    ``nn.LSTM`` draws weights and biases; compressed weights get the same variance.

    Raises:
        ValueError: if there is no weight of a name in ``keep_dense``.
        BudgetError: if a weight cannot be compressed by the method's factor.

    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        method: Method,
        init_range: float | None = None,
        keep_dense: Collection[str] = (),
    ):
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.method = method
        self.keep_dense = frozenset(keep_dense)
        bound = init_range or hidden_size**-0.5
        shapes = weight_shapes(input_size, hidden_size, num_layers, bidirectional)
        if unknown := sorted(set(keep_dense) - set(shapes)):
            raise ValueError(f"keep_dense names {', '.join(unknown)}; the weights are {', '.join(shapes)}")
        self.matrices = nn.ModuleDict()
        self.biases = nn.ParameterDict()
        for name, shape in shapes.items():
            self.matrices[name] = self._plan(name, shape).initialized(std=bound / 3**0.5)
            if bias:
                self.biases[name.replace("weight", "bias")] = nn.Parameter(uniform(shape[0]) * bound / 3**0.5)

    @classmethod
    def from_lstm(cls, lstm: nn.LSTM, method: Method) -> CompressedLSTM:
        """The nearest compressed LSTM to a trained one, at the method's factor (biases are copied).

        Raises:
            ValueError: if the LSTM has projections.
            BudgetError: if a weight cannot be compressed by the method's factor.

        """
        if lstm.proj_size:
            raise ValueError(f"the LSTM has proj_size={lstm.proj_size}; only LSTMs without projections can be compressed")
        shape_only = Method(name="dense")
        compressed = cls(
            lstm.input_size, lstm.hidden_size, lstm.num_layers, lstm.bias, lstm.batch_first, lstm.dropout,
            lstm.bidirectional, method=shape_only,
        )  # fmt: skip
        compressed.method = method
        for name, dense in compressed._named_matrices():
            compressed.matrices[name] = plan_matrix(method, dense.shape).fitted(getattr(lstm, name))
        weight = lstm.get_parameter("weight_ih_l0")
        compressed.to(weight.device, weight.dtype)
        with torch.no_grad():
            for name, bias in compressed.biases.items():
                bias.copy_(getattr(lstm, name))
        return compressed.train(lstm.training)

    @torch.no_grad()
    def start_from(self, dense: CompressedLSTM) -> None:
        """Take the weights and biases of a dense LSTM to start training with: nothing is pruned yet.

        Raises:
            RuntimeError: if it has another shape.

        """
        self.biases.load_state_dict(dense.biases.state_dict())
        for name, matrix in self._named_matrices():
            matrix.load_state_dict(self._plan(name, matrix.shape).started(dense._matrix(name).dense()).state_dict())

    def _plan(self, name: str, shape: Shape) -> Plan:
        return plan_matrix(Method() if name in self.keep_dense else self.method, shape)

    @torch.no_grad()
    def to_lstm(self) -> nn.LSTM:
        """A plain ``nn.LSTM`` with the composed weights."""
        lstm = nn.LSTM(
            self.input_size, self.hidden_size, self.num_layers, self.bias, self.batch_first, self._dropout_in_force,
            self.bidirectional,
        )  # fmt: skip
        weights = {name: matrix.dense() for name, matrix in self._named_matrices()} | dict(self.biases.items())
        first = next(iter(weights.values()))
        lstm.to(first.device, first.dtype).load_state_dict(weights)
        return lstm.train(self.training)

    def size(self) -> Size:
        """Size of all weight matrices at this moment; biases are not counted."""
        return sum((matrix.size() for matrix in self.weight_matrices()), Size(0, 0, 0))

    def weight_matrices(self) -> Iterator[Matrix]:
        """The weight matrices, in the order of ``nn.LSTM``."""
        return (matrix for _, matrix in self._named_matrices())

    @torch.no_grad()
    def matrix_inputs(self, x: Tensor | PackedSequence, state: State | None = None) -> dict[str, Tensor]:
        """The vectors that each weight matrix is multiplied with while it reads a batch, by the name of the matrix.

        There is no dropout between layers. For ``x`` and ``state`` as in ``forward``, with a batch, all are
        (T, B, columns), in the order in which they are read: from the end in the reverse direction. For a packed batch they
        are (steps of all sequences together, columns).
        """
        if isinstance(x, PackedSequence):
            x_TBI, lengths_B = pad_packed_sequence(x)
        else:
            x_TBI = x.transpose(0, 1) if self.batch_first else x
            lengths_B = torch.full((x_TBI.shape[1],), x_TBI.shape[0])
        steps_TB, batch = torch.arange(x_TBI.shape[0])[:, None].expand(x_TBI.shape[:2]), torch.arange(x_TBI.shape[1])
        read_TB = steps_TB < lengths_B
        # The steps of each sequence from its end; what is behind the end stays there, read last, and is left out below.
        backwards_TB = torch.where(read_TB, lengths_B - 1 - steps_TB, steps_TB)
        flat, inputs = self._compose(), {}
        first = zip(*(state or self._zeros(x_TBI, x_TBI.shape[1])), strict=True)  # of each layer and direction
        for layer in range(self.num_layers):
            outputs = []
            for suffix in ("", "_reverse") if self.bidirectional else ("",):
                read_TBI = x_TBI[backwards_TB, batch] if suffix else x_TBI
                weights, flat = flat[: 4 if self.bias else 2], flat[4 if self.bias else 2 :]
                h_1BH, c_1BH = (part[None] for part in next(first))
                h_TBH, *_ = torch.lstm(read_TBI, (h_1BH, c_1BH), weights, self.bias, 1, 0.0, False, False, False)
                inputs[f"weight_ih_l{layer}{suffix}"] = read_TBI
                inputs[f"weight_hh_l{layer}{suffix}"] = torch.cat([h_1BH, h_TBH[:-1]])
                outputs.append(h_TBH[backwards_TB, batch] if suffix else h_TBH)
            x_TBI = torch.cat(outputs, dim=-1)
        if isinstance(x, PackedSequence):
            return {name: vectors_TBN[read_TB] for name, vectors_TBN in inputs.items()}
        return inputs

    def forward(self, x: Tensor | PackedSequence, state: State | None = None) -> tuple[Tensor | PackedSequence, State]:
        """Run over a batch of sequences.

        Args:
            x: (T, B, I), (B, T, I) if ``batch_first``, (T, I) without a batch, or a packed batch.
            state: hidden and cell state to start with, (layers · directions, B, H) or without a batch
                (layers · directions, H); zeros by default.

        Returns:
            The outputs of the last layer, in the form of the input, and the last state.

        Raises:
            ValueError: if the input or the state has the wrong number of dimensions or features.

        """
        if isinstance(x, PackedSequence):
            return self._forward_packed(x, state)
        if x.dim() not in (2, 3):
            raise ValueError(f"the input has {x.dim()} dimensions; expected 3, or 2 without a batch")
        if x.dim() == 2:
            batch_dim = 0 if self.batch_first else 1
            if state is not None:
                state = (state[0].unsqueeze(1), state[1].unsqueeze(1))
            output, (h, c) = self._run(x.unsqueeze(batch_dim), state)
            return output.squeeze(batch_dim), (h.squeeze(1), c.squeeze(1))
        return self._run(x, state)

    def _run(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        self._check_features(x)
        batch = x.shape[0 if self.batch_first else 1]
        state = self._zeros(x, batch) if state is None else state
        self._check_state_shape(state, batch)
        output, h, c = torch.lstm(
            x, state, self._compose(), self.bias, self.num_layers, self._dropout_in_force, self.training,
            self.bidirectional, self.batch_first,
        )  # fmt: skip
        return output, (h, c)

    def _forward_packed(self, x: PackedSequence, state: State | None) -> tuple[PackedSequence, State]:
        self._check_features(x.data)
        batch = int(x.batch_sizes[0])
        if state is None:
            state = self._zeros(x.data, batch)
        elif x.sorted_indices is not None:
            state = (state[0].index_select(1, x.sorted_indices), state[1].index_select(1, x.sorted_indices))
        self._check_state_shape(state, batch)
        output, h, c = torch.lstm(
            x.data, x.batch_sizes, state, self._compose(), self.bias, self.num_layers, self._dropout_in_force,
            self.training, self.bidirectional,
        )  # fmt: skip
        if x.unsorted_indices is not None:
            h, c = h.index_select(1, x.unsorted_indices), c.index_select(1, x.unsorted_indices)
        return PackedSequence(output, x.batch_sizes, x.sorted_indices, x.unsorted_indices), (h, c)

    def _compose(self) -> list[Tensor]:
        """The weights and biases of this pass in the order of ``nn.LSTM``; noise is drawn here, once."""
        flat: list[Tensor] = []
        names = list(self.matrices)
        for first, second in zip(names[::2], names[1::2], strict=True):
            flat += [self._matrix(first).sample(), self._matrix(second).sample()]
            if self.bias:
                flat += [self.biases[first.replace("weight", "bias")], self.biases[second.replace("weight", "bias")]]
        return flat

    @property
    def _dropout_in_force(self) -> float:
        return self.dropout if self.num_layers > 1 else 0.0

    def _zeros(self, x: Tensor, batch: int) -> State:
        zeros = x.new_zeros(self.num_layers * (2 if self.bidirectional else 1), batch, self.hidden_size)
        return zeros, zeros

    def _check_features(self, x: Tensor) -> None:
        if x.shape[-1] != self.input_size:
            raise ValueError(f"the input has {x.shape[-1]} features; expected input_size={self.input_size}")

    def _check_state_shape(self, state: State, batch: int) -> None:
        expected = (self.num_layers * (2 if self.bidirectional else 1), batch, self.hidden_size)
        for part in state:
            if part.shape != expected:
                raise ValueError(f"the state has shape {tuple(part.shape)}; expected {expected}")

    def _matrix(self, name: str) -> Matrix:
        matrix = self.matrices[name]
        assert isinstance(matrix, Matrix)
        return matrix

    def _named_matrices(self) -> Iterator[tuple[str, Matrix]]:
        return ((name, self._matrix(name)) for name in list(self.matrices))

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, method={self.method.label}"
