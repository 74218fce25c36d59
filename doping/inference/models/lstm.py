"""The layers of an LSTM, run by the kernels.

Legend of dimensions: T steps, B batch, I inputs, H hidden units, D directions, S states (layers · directions).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from doping.errors import InferenceError
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.weights import cells
from doping.inference.kernels import Engine, KernelError, Layer
from doping.inference.kernels.lengths import check_lengths, forward_to_lengths

Arithmetic = Literal["float32", "int8"]
"""In which products are computed; how values are stored is another matter."""
Floats = npt.NDArray[np.float32]
State = tuple[Floats, Floats]
"""Hidden and cell state, each (layers · directions, B, H), in the order of ``nn.LSTM``."""


class FromBundle:
    """What runs from a bundle: it is copied and pickled as the bundle, and made ready to run again in another process."""

    def __init__(self, bundle: Bundle, threads: int = 1, arithmetic: Arithmetic = "float32") -> None:
        self.bundle, self.threads, self.arithmetic = bundle, threads, arithmetic

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.bundle, self.threads, self.arithmetic)


class Lstm(FromBundle):
    """A long short-term memory with compressed weights, as ``nn.LSTM`` computes it, on so many threads.

    Args:
        bundle: what it is made of.
        threads: how many to use.
        arithmetic: ``int8`` rounds inputs and states to 8 bits, and weights where the bundle has them in float32; it runs
            on one thread.

    Raises:
        InferenceError: if the bundle's numbers are not valid, or have no product in int8 where that is wanted.

    """

    def __init__(self, bundle: Bundle, threads: int = 1, arithmetic: Arithmetic = "float32") -> None:
        super().__init__(bundle, threads, arithmetic)
        described = bundle.description.model.lstm
        self.input_size = described.input_size
        self.hidden_size = described.hidden_size
        self.directions = 2 if described.bidirectional else 1
        engine: Engine | None = "int8" if arithmetic == "int8" else None
        checked = cells(bundle)
        try:
            self.cells = [
                Layer(cell.input, cell.recurrent, cell.bias, reverse=cell.reverse, threads=threads, engine=engine)
                for cell in checked
            ]
        except (ValueError, KernelError) as error:
            raise InferenceError(f"int8 arithmetic: {error}" if engine else str(error)) from error

    def zeros(self, batch: int) -> State:
        """The state before the first step."""
        shape = (len(self.cells), batch, self.hidden_size)
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def forward(
        self, x_TBI: npt.ArrayLike, state: State | None = None, lengths_B: npt.ArrayLike | None = None
    ) -> tuple[Floats, State]:
        """Run over a batch of sequences.

        Args:
            x_TBI: inputs, (T, B, I); T may be 0.
            state: hidden and cell state to start with, each (S, B, H); zeros by default. It is not changed.
            lengths_B: steps of each sequence where they differ, (B,), each from 1 to T, in any order; what is behind the
                end of a sequence is not read. Without them a padded sequence is read with its padding, in both directions.

        Returns:
            Outputs of the last layer, (T, B, D·H), zeros behind the end of a sequence, and the state of each sequence
            after its last step.

        Raises:
            InferenceError: if an array has another shape, or a length is not possible.

        """
        x_TBI = np.ascontiguousarray(x_TBI, np.float32)
        if x_TBI.ndim != 3 or x_TBI.shape[1] < 1 or x_TBI.shape[2] != self.input_size:
            raise InferenceError(f"the input has shape {x_TBI.shape}; expected (steps, batch, {self.input_size})")
        h_SBH, c_SBH = self._checked(state, x_TBI.shape[1])
        lengths = None if lengths_B is None else self._lengths(lengths_B, x_TBI)
        outputs, last_h, last_c = x_TBI, [], []
        for first in range(0, len(self.cells), self.directions):
            both = [
                self.cells[s].forward(outputs, h_SBH[s], c_SBH[s])
                if lengths is None
                else forward_to_lengths(self.cells[s], outputs, lengths, h_SBH[s], c_SBH[s])
                for s in range(first, first + self.directions)
            ]
            outputs = both[0][0] if self.directions == 1 else np.concatenate([y for y, _, _ in both], axis=2)
            last_h += [h for _, h, _ in both]
            last_c += [c for _, _, c in both]
        return outputs, (np.stack(last_h), np.stack(last_c))

    @staticmethod
    def _lengths(lengths_B: npt.ArrayLike, x_TBI: Floats) -> npt.NDArray[np.int64]:
        try:
            return check_lengths(lengths_B, *x_TBI.shape[:2])
        except ValueError as error:
            raise InferenceError(str(error)) from None

    def _checked(self, state: State | None, batch: int) -> State:
        if state is None:
            return self.zeros(batch)
        expected = (len(self.cells), batch, self.hidden_size)
        h_SBH, c_SBH = (np.ascontiguousarray(part, np.float32) for part in state)
        if h_SBH.shape != expected or c_SBH.shape != expected:
            raise InferenceError(f"the state has shapes {h_SBH.shape} and {c_SBH.shape}; expected {expected} twice")
        return h_SBH, c_SBH
