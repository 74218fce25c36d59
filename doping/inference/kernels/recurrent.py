"""One recurrent layer of any kind in one direction: GRU, RNN, and LSTM with or without a projection.

Legend: T steps, B batch, I inputs, H hidden units, O outputs (H, or those of the projection), M rows of a weight: 4 H of
an LSTM, 3 H of a GRU, H of an RNN.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from doping.inference.families.matrix import Matrix
from doping.inference.families.sparse import Array
from doping.inference.kernels.int8.recurrent import Int8Recurrent
from doping.inference.kernels.layer import Engine, Layer, default_engine
from doping.inference.kernels.native import NativeRecurrent

RecurrentCell = Literal["lstm", "gru", "rnn_tanh", "rnn_relu"]
CELLS: tuple[RecurrentCell, ...] = get_args(RecurrentCell)
"""In the order of ``enum doped_cell``."""
GATES: dict[RecurrentCell, int] = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


class Recurrent:
    """A recurrent layer with compressed weights, as ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` computes it, gates in their order.

    Args:
        cell: which.
        input: weight of the inputs, (M, I).
        recurrent: weight of the state, (M, O).
        projection: of an LSTM, (O, H); none by default.
        input_bias: (M,); none by default.
        recurrent_bias: (M,), given where ``input_bias`` is.
        reverse: run from the last step to the first.
        engine: ``c`` or ``torch``; by default C if there is a compiler, else PyTorch, saying so. ``int8``: in int8
            arithmetic, values rounded to 8 bits if they are not narrow.

    Raises:
        ValueError: if shapes do not fit each other, or a matrix has no product in int8.
        KernelError: if ``engine`` is ``c`` or ``int8`` and the kernels cannot be compiled.

    """

    def __init__(
        self,
        cell: RecurrentCell,
        input: Matrix,
        recurrent: Matrix,
        projection: Matrix | None = None,
        input_bias: Array | None = None,
        recurrent_bias: Array | None = None,
        *,
        reverse: bool = False,
        engine: Engine | None = None,
    ):
        rows = input.shape[0]
        self.reverse = reverse
        self.input_size, self.output_size, self.hidden_size = input.shape[1], recurrent.shape[1], rows // GATES[cell]
        self.has_cell_state = cell == "lstm"
        expected = (self.output_size, self.hidden_size)
        fits = projection.shape == expected if projection else self.output_size == self.hidden_size
        if rows % GATES[cell] or recurrent.shape[0] != rows or not fits or (projection and cell != "lstm"):
            shapes = [matrix.shape for matrix in (input, recurrent, projection) if matrix is not None]
            raise ValueError(f"weights of shapes {shapes} make no {cell}")
        for bias in (input_bias, recurrent_bias):
            if bias is not None and bias.shape != (rows,):
                raise ValueError(f"a bias has shape {bias.shape}; expected ({rows},)")
        engine = engine or default_engine()
        self._fused: Layer | None = None
        if cell == "lstm" and projection is None:  # its step has a kernel of its own
            bias = None if input_bias is None or recurrent_bias is None else input_bias + recurrent_bias
            self._fused = Layer(input, recurrent, bias, reverse=reverse, engine=engine)
            return
        matrices, biases = (input, recurrent, projection), (input_bias, recurrent_bias)
        if engine == "int8":
            self._run = Int8Recurrent(CELLS.index(cell), matrices, biases, reverse).run
        elif engine == "c":
            self._run = NativeRecurrent(CELLS.index(cell), matrices, biases, reverse).run
        else:
            from doping.inference.kernels.pytorch_recurrent import TorchRecurrent

            self._run = TorchRecurrent(cell, matrices, biases, reverse).run

    def forward(self, x_TBI: Array, *state: Array) -> tuple[Array, ...]:
        """Run over a sequence; the state that is given is left as it is.

        Args:
            x_TBI: (steps, batch, inputs).
            *state: the hidden state (batch, outputs), and of an LSTM the cell state (batch, hidden); zeros by default.

        Returns:
            Outputs (steps, batch, outputs) in the order of the steps, and the last state; new arrays.

        Raises:
            ValueError: if a shape is not the expected one.

        """
        x_TBI = np.ascontiguousarray(x_TBI, np.float32)
        if x_TBI.ndim != 3 or x_TBI.shape[2] != self.input_size or x_TBI.shape[1] == 0:
            raise ValueError(f"the input has shape {x_TBI.shape}; expected (steps, batch, {self.input_size})")
        sizes = (self.output_size, self.hidden_size) if self.has_cell_state else (self.output_size,)
        shapes = [(x_TBI.shape[1], size) for size in sizes]
        if state and [part.shape for part in state] != shapes:
            raise ValueError(f"the state has shapes {[part.shape for part in state]}; expected {shapes}")
        if self._fused:
            return self._fused.forward(x_TBI, *state)
        last = [np.array(part, np.float32) for part in state] if state else [np.zeros(shape, np.float32) for shape in shapes]
        return self._run(x_TBI, last[0], last[1] if self.has_cell_state else None), *last
