"""Fast products with compressed matrices on a CPU, and LSTM layers made of them; NumPy in, NumPy out.

    >>> matrix = Sum(Kronecker(b_RIJ, c_RKL), Sparse.pack(weight_MN, "gates"))      # W = M + S
    >>> layer = Layer(matrix, recurrent, bias_M)                                    # bias_ih + bias_hh
    >>> y_TBH, h_BH, c_BH = layer.forward(x_TBI, h_BH, c_BH)                        # gates in PyTorch's order

Matrices are immutable and check themselves when made (``ValueError``): a ``Sparse`` made of arrays from a file can be given
to the kernels as it is. Their fields are the arrays that training has and a file stores; ``dense()`` writes a matrix out.
``layout.fields(matrix)`` are the fields of the C structure ``doped_matrix`` by name, in the order and padding that the
kernels want: what an export to C writes down.

The kernels are C, a file per concept, compiled for this processor when first used and kept in the user's cache. Without a
compiler the same interface runs on PyTorch, slower, and says so. Threads come from OpenMP, whose pool outlives a call (a
step takes tens of microseconds, so threads cannot be started for each); they wait for each other several times a step, so
more than one pays only where cores are free and layers wide.

Legend: M rows, N columns, R rank or terms, I J rows and columns of a left Kronecker factor, K L of a right one, T steps,
B batch, H hidden units (M = 4 H).
"""

from doping.inference.families.base import StructuredMatrix
from doping.inference.families.dense import Dense
from doping.inference.families.hybrid import Hybrid
from doping.inference.families.kronecker import Kronecker
from doping.inference.families.low_rank import LowRank
from doping.inference.families.matrix import Matrix, Sum, narrowed, widened
from doping.inference.families.monarch import Monarch
from doping.inference.families.sparse import COLUMN_PATTERNS, Sparse
from doping.inference.families.tiles import Tiles
from doping.inference.kernels.build import KernelError
from doping.inference.kernels.layer import Engine, Layer, multiply

__all__ = [
    "COLUMN_PATTERNS", "Dense", "Engine", "Hybrid", "KernelError", "Kronecker", "Layer", "LowRank", "Matrix", "Monarch",
    "Sparse", "StructuredMatrix", "Sum", "Tiles", "multiply", "narrowed", "widened",
]  # fmt: skip
