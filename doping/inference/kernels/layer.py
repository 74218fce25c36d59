"""One LSTM layer in one direction, and products with a matrix, on the kernels or without them.

Legend: T steps, B batch, I inputs, H hidden units, M = 4 H rows of a weight, N columns.
"""

from __future__ import annotations

import functools
import sys
from typing import Literal

import numpy as np

from doping.inference.families.matrix import Matrix
from doping.inference.families.sparse import Array
from doping.inference.kernels.build import KernelError
from doping.inference.kernels.int8 import Int8Layer, Int8Matrix, narrow
from doping.inference.kernels.native import NativeLayer, NativeMatrix, kernels

Engine = Literal["c", "torch", "int8"]
"""The C kernels, or PyTorch where there is no compiler; or C in int8 arithmetic."""


MOST_THREADS = 64
"""So many threads of a layer at most: each needs a stack, and the system ends a program that asks for thousands."""


@functools.cache
def default_engine() -> Engine:
    """C if the kernels can be compiled, else PyTorch; then it says once on standard error that this is the slow one."""
    try:
        kernels()
    except KernelError as error:
        print(f"{error}. Running on PyTorch instead, several times slower.", file=sys.stderr)
        return "torch"
    return "c"


class Layer:
    """Long short-term memory with compressed weights, the gates in PyTorch's order (input, forget, cell, output).

    Args:
        input: weight of the inputs, (4·hidden, inputs).
        recurrent: weight of the hidden state, (4·hidden, hidden).
        bias: (4·hidden), the sum of both of PyTorch's; none by default.
        reverse: run from the last step to the first, as the second direction of a bidirectional LSTM.
        threads: how many to use; more than one pays where layers are wide.
        engine: ``c`` or ``torch``; by default C if there is a compiler, else PyTorch, saying so. ``int8``: values are
            rounded to 8 bits if they are not narrow, inputs and state in each step; on one thread.

    Raises:
        ValueError: if shapes do not fit each other.
        KernelError: if ``engine`` is ``c`` or ``int8`` and the kernels cannot be compiled.

    """

    def __init__(
        self,
        input: Matrix,
        recurrent: Matrix,
        bias: Array | None = None,
        *,
        reverse: bool = False,
        threads: int = 1,
        engine: Engine | None = None,
    ):
        self.reverse = reverse
        self.input_size = input.shape[1]
        self.hidden_size = recurrent.shape[1]
        rows = 4 * self.hidden_size
        if input.shape[0] != rows or recurrent.shape[0] != rows:
            raise ValueError(
                f"weights of shapes {input.shape} and {recurrent.shape}; expected {rows} rows, four per hidden unit"
            )
        if bias is not None and bias.shape != (rows,):
            raise ValueError(f"the bias has shape {bias.shape}; expected ({rows},)")
        if not 1 <= threads <= MOST_THREADS:
            raise ValueError(f"threads is {threads}; expected 1 to {MOST_THREADS}: more would only wait for one another")
        if engine == "int8":
            if threads > 1:
                raise ValueError(f"threads is {threads}; int8 arithmetic runs on 1")
            self._run = Int8Layer(narrow(input), narrow(recurrent), bias, reverse).run
        elif (engine or default_engine()) == "c":
            self._run = NativeLayer(input, recurrent, bias, reverse, threads).run
        else:
            from doping.inference.kernels.pytorch import TorchLayer

            self._run = TorchLayer(input, recurrent, bias, reverse, threads).run

    def forward(self, x_TBI: Array, h_BH: Array | None = None, c_BH: Array | None = None) -> tuple[Array, Array, Array]:
        """Run over a sequence; the state that is given is left as it is.

        Args:
            x_TBI: (steps, batch, inputs); any number of steps, also none.
            h_BH: hidden state (batch, hidden) to start with, zeros by default.
            c_BH: cell state (batch, hidden) to start with, zeros by default.

        Returns:
            Outputs (steps, batch, hidden) in the order of the steps, last hidden state, last cell state; new arrays.

        Raises:
            ValueError: if a shape is not the expected one.

        """
        x_TBI = np.ascontiguousarray(x_TBI, np.float32)
        if x_TBI.ndim != 3 or x_TBI.shape[2] != self.input_size or x_TBI.shape[1] == 0:
            raise ValueError(f"the input has shape {x_TBI.shape}; expected (steps, batch, {self.input_size})")
        state = (x_TBI.shape[1], self.hidden_size)
        for part in (h_BH, c_BH):
            if part is not None and part.shape != state:
                raise ValueError(f"the state has shape {part.shape}; expected {state}")
        h_BH, c_BH = (np.zeros(state, np.float32) if part is None else np.array(part, np.float32) for part in (h_BH, c_BH))
        return self._run(x_TBI, h_BH, c_BH), h_BH, c_BH


class Product:
    """A matrix made ready for products, by the C kernels or by PyTorch.

    Raises:
        KernelError: if ``engine`` is ``c`` and the kernels cannot be compiled.

    """

    def __init__(self, matrix: Matrix, engine: Engine | None = None):
        self._shape = matrix.shape
        if engine == "int8":
            self._multiply = Int8Matrix(narrow(matrix)).multiply
        elif (engine or default_engine()) == "c":
            self._multiply = NativeMatrix(matrix).multiply
        else:
            from doping.inference.kernels.pytorch import TorchMatrix

            self._multiply = TorchMatrix(matrix).multiply

    def __call__(self, x_BN: Array) -> Array:
        """Product with each row of ``x``, (batch, n) → (batch, m). Several threads may call it at once.

        Raises:
            ValueError: if ``x`` has the wrong shape.

        """
        x_BN = np.ascontiguousarray(x_BN, np.float32)
        if x_BN.ndim != 2 or x_BN.shape[1] != self._shape[1]:
            raise ValueError(f"the input has shape {x_BN.shape}; expected (batch, {self._shape[1]})")
        return self._multiply(x_BN)


def multiply(matrix: Matrix, x_BN: Array, engine: Engine | None = None) -> Array:
    """One product of a :class:`Product`; prepares the matrix each time, so for trying things out."""
    return Product(matrix, engine)(x_BN)
