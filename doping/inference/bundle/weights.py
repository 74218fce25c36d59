"""The numbers of a bundle, checked, as the matrices that kernels and exporters take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from doping.errors import InferenceError
from doping.inference.bundle.description import LstmDescription
from doping.inference.bundle.file import Bundle, Tensors
from doping.inference.bundle.sparse_arrays import loaded_sparse, stored_sparse
from doping.inference.families import class_of
from doping.inference.families.base import StructuredMatrix
from doping.inference.families.stored import MatrixParts, StructuredParts
from doping.inference.kernels import Dense, LowRank, Matrix, Sparse, Sum, Tiles

Table = Dense | LowRank
"""A matrix with a row for each token or label: an embedding, or the weight of a softmax."""
LARGEST_SCALE = np.finfo(np.float32).max / 128
"""Of a row of narrow values: one beyond that has values that are no float32."""


@dataclass(frozen=True)
class LayerWeights:
    """Weights of one layer in one direction, the gates in PyTorch's order."""

    name: str
    """``l0``, ``l0_reverse``, ``l1``, … as in the names of ``nn.LSTM``."""
    input: Matrix
    recurrent: Matrix
    bias: npt.NDArray[np.float32] | None
    """(4·hidden,), the sum of the two that ``nn.LSTM`` has."""
    reverse: bool
    """Whether it runs from the last step to the first."""


def cells(bundle: Bundle) -> list[LayerWeights]:
    """The layers and directions of a bundle's LSTM, in the order of ``nn.LSTM``.

    Raises:
        InferenceError: a value is not finite, or the indices of a sparse matrix are not those of one.

    """
    for name, tensor in bundle.tensors.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise InferenceError(f"the tensor {name!r} has values that are not finite; export a model that has not diverged")
        if name.endswith("_scale") and not (np.abs(tensor) <= LARGEST_SCALE).all():
            raise InferenceError(f"the tensor {name!r} has scales beyond {LARGEST_SCALE:.3g}; the file is damaged")
    try:
        return list(_cells(bundle.description.model.lstm, bundle.tensors))
    except ValueError as error:
        raise InferenceError(f"{error}; the file is damaged, copy or export it again") from error


def table(tensors: Tensors, name: str) -> Table:
    """A matrix beside the LSTM: an embedding, or the weight of a softmax."""
    if name in tensors:
        return Dense(tensors[name], tensors.get(f"{name}_scale"))
    return LowRank(*(tensors.get(f"{name}.{array}") for array in ("u", "v", "u_scale", "v_scale")))  # type: ignore[arg-type]


def table_arrays(name: str, matrix: Table) -> dict[str, npt.NDArray[Any]]:
    """The arrays of such a matrix by the names that they have in a file."""
    if isinstance(matrix, LowRank):
        return {f"{name}.{part}": array for part, array in matrix.arrays().items()}
    return {part.replace("weight", name): array for part, array in matrix.arrays().items()}


def rows(matrix: Table, indices: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Rows of a matrix, (…,) → (…, columns)."""
    if isinstance(matrix, Dense):
        found: npt.NDArray[np.float32] = matrix.weight[indices]
        return found if matrix.weight_scale is None else found * matrix.weight_scale[indices][..., None]
    weights = rows(Dense(matrix.u, matrix.u_scale), indices)
    if matrix.v_scale is not None:
        weights = weights * matrix.v_scale
    sums = np.zeros((*indices.shape, matrix.shape[1]), np.float32)
    for rank, row in enumerate(matrix.v):  # in the order of the C code, which so gives the same numbers
        sums += weights[..., rank, None] * row.astype(np.float32)
    return sums


def factors(matrix: Table) -> list[npt.NDArray[np.float32]]:
    """Float32 matrices whose product it is: what BLAS, which has no narrow products, multiplies by."""
    wide = matrix.widened()
    return [wide.weight] if isinstance(wide, Dense) else [wide.u, wide.v]


def product(x: npt.NDArray[np.float32], factors: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """That with a matrix of such factors, (…, columns) → (…, rows)."""
    for factor in reversed(factors):
        x = x @ factor.T
    return x


def matrix(lstm: LstmDescription, tensors: Tensors, name: str) -> Matrix:
    """One weight of an LSTM by its name.

    Raises:
        ValueError: the indices of a sparse matrix are not those of one.

    """
    within = f"lstm.{name}."
    own = {key.removeprefix(within): tensor for key, tensor in tensors.items() if key.startswith(within)}
    return matrix_of(lstm.matrices[name], own, lstm.shapes()[name])


def _cells(lstm: LstmDescription, tensors: Tensors) -> Iterator[LayerWeights]:
    for suffix, _ in lstm.cells():
        yield LayerWeights(
            suffix,
            matrix(lstm, tensors, f"weight_ih_{suffix}"),
            matrix(lstm, tensors, f"weight_hh_{suffix}"),
            tensors[f"lstm.bias_{suffix}"] if lstm.bias else None,
            reverse=suffix.endswith("_reverse"),
        )


def matrix_of(parts: MatrixParts, tensors: Tensors, shape: tuple[int, int]) -> Matrix:
    """The matrix of these parts and tensors. Raises ``ValueError`` if the indices of a sparse one are not those of one."""
    structured = _structured(parts.structured, tensors) if parts.structured else None
    if not parts.sparse:
        assert structured
        return structured
    arrays: dict[str, npt.NDArray[Any]] = {
        name.removeprefix("sparse."): tensor for name, tensor in tensors.items() if name.startswith("sparse.")
    }
    sparse = loaded_sparse(parts.sparse, shape, arrays)
    return Sum(structured, sparse) if structured else sparse


def _structured(parts: StructuredParts, tensors: Tensors) -> StructuredMatrix:
    names = (name for name in tensors if not name.startswith("sparse."))
    return class_of(parts.kind)(**{name: tensors[name] for name in names} | parts.implied())


def stored_arrays(matrix: Matrix, parts: MatrixParts) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a matrix by the names that they have in a file; those of S under ``sparse.``.

    Raises:
        ValueError: S cannot be stored so.

    """
    structured, sparse = (matrix.structured, matrix.sparse) if isinstance(matrix, Sum) else (matrix, matrix)
    arrays: dict[str, npt.NDArray[Any]] = {}
    if parts.structured and not isinstance(structured, Sparse | Tiles | Sum):
        arrays = {name: array for name, array in structured.arrays().items() if name not in parts.structured.implied()}
    if parts.sparse and isinstance(sparse, Sparse | Tiles):
        arrays |= {f"sparse.{name}": array for name, array in stored_sparse(sparse, parts.sparse).items()}
    return arrays
