"""The contract of stored matrices, as NumPy arrays: what the kernels take and a file keeps.

Values are float32, or narrow: whole numbers, kept as int8, times a scale of their row, which is in a field of the same name
with ``_scale`` behind it. Rows, because their scales can be taken out of a product: (diag(s) W) x = diag(s) (W x). So it is
with Kronecker factors, (diag(s) B) ⊗ (diag(t) C) = (diag(s) ⊗ diag(t)) (B ⊗ C), if all terms share the scales. Vectors have
no rows, and stay float32.

Legend: M rows, N columns, R rank or terms, I J rows and columns of a left Kronecker factor, K L of a right one, B batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from doping.inference.families.int8_layout import Fields as Int8Fields
from doping.inference.families.layout import Fields
from doping.inference.families.narrow import Bits, Rounding, wide
from doping.inference.families.sparse import Array, Values
from doping.inference.families.stored import StructuredParts

if TYPE_CHECKING:
    from torch import Tensor

    from doping.inference.exporters.onnx_graph import Builder

Shape = tuple[int, int]


@dataclass(frozen=True, eq=False)
class StructuredMatrix(ABC):
    """A matrix given by a few arrays: its fields, by the names that a file has for them. Immutable.

    Raises:
        ValueError: when made of arrays of wrong types or shapes.

    """

    kind: ClassVar[str]
    """Its name in a file."""
    parts: ClassVar[type[StructuredParts]]
    """How it is described in a file."""
    least_bits: ClassVar[dict[str, Bits]] = {}
    """Of arrays that keep more bits where others have 4."""
    rounds_vectors: ClassVar[bool] = False
    """Whether products in int8 round float32 arrays of the matrix, to as many bits as the others have."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """(m, n)."""

    @abstractmethod
    def dense(self) -> Array:
        """The matrix written out, (m, n)."""

    @abstractmethod
    def layout(self) -> Fields:
        """Fields of the C structure ``doped_matrix``, in the order and padding that the kernels want."""

    def int8_layout(self, bits: Bits, units: int) -> Int8Fields:
        """Fields of the C structure ``int8_matrix``; the matrix is narrow.

        Args:
            bits: of a value.
            units: hidden units, if the rows are stacked gates whose product is wanted in gate order; else 0.

        Raises:
            ValueError: it has no product in int8 arithmetic.

        """
        raise ValueError(f"a matrix of kind {self.kind!r} has no product in int8 arithmetic; take float32 arithmetic")

    @abstractmethod
    def torch_product(self, tensors: dict[str, Tensor], x_BN: Tensor) -> Tensor:
        """Product with each row of ``x`` on PyTorch, (B, n) → (B, m); ``tensors`` are its arrays, not narrow, by name."""

    @abstractmethod
    def onnx_product(self, graph: Builder, x: Any) -> Any:
        """Add the product with a batch to a graph, (B, n) → (B, m)."""

    @abstractmethod
    def onnx_composed(self, graph: Builder) -> Any:
        """Add the matrix itself, (m, n), to a graph."""

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays by name, scales included where it is narrow."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    @classmethod
    def may_be_narrow(cls) -> list[str]:
        """Names of the arrays that can have int8 values: those that have a field for their scales."""
        return [name.removesuffix("_scale") for name in cls.__dataclass_fields__ if name.endswith("_scale")]

    def narrowed(self, rounding: Rounding) -> Self:
        """The nearest such matrix with narrow values."""
        arrays = self.widened().arrays()
        for name in self.may_be_narrow():
            arrays[name], arrays[f"{name}_scale"] = rounding.at_least(self.least_bits.get(name, 4)).rows(arrays[name])
        return type(self)(**arrays)

    def widened(self) -> Self:
        """The same matrix with all values in float32."""
        values = {name: array for name, array in self.arrays().items() if not name.endswith("_scale")}
        return type(self)(**{name: wide(array, getattr(self, f"{name}_scale", None)) for name, array in values.items()})


def check(**arrays: tuple[Values, int, Array | None]) -> None:
    """Each is a float32 array of so many dimensions, or an int8 array with a scale a row.

    Raises:
        ValueError: if one is not.

    """
    for name, (array, dimensions, scale) in arrays.items():
        kind = np.float32 if scale is None else np.int8
        if array.dtype != kind or array.ndim != dimensions:
            raise ValueError(f"{name} is {array.dtype} {array.shape}; expected {kind.__name__} of {dimensions} dimensions")
        if scale is not None and (scale.dtype != np.float32 or scale.shape != array.shape[-2:-1]):
            raise ValueError(f"the scales of {name} are {scale.dtype} {scale.shape}; expected float32 {array.shape[-2:-1]}")
