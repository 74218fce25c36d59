"""The weights of a deployed layer as one tensor of bytes, and the kernels made ready from it.

The bytes are those of a safetensors file: arrays, those of 4 bits with two values in a byte, and what they are as JSON. So
a deployed layer has one buffer, which a state dict, pickle, deepcopy and ``torch.export`` carry like any other; what the
kernels want in memory is made of it when it is first used.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch
from torch import Tensor

from doping.inference.families import class_of
from doping.inference.families.int8_layout import fields
from doping.inference.families.narrow import fit_in_4_bits, from_pairs, in_pairs
from doping.inference.kernels import Dense, Engine, Matrix, Sparse, Sum, Tiles, narrowed
from doping.inference.kernels.layer import Product
from doping.inference.kernels.recurrent import Recurrent

Arrays = dict[str, npt.NDArray[Any]]


def packed(kind: str, matrices: Mapping[str, Matrix], arrays: Mapping[str, npt.NDArray[Any]], **more: Any) -> Tensor:
    """A layer as bytes, (n,) of uint8: its matrices by name, its other arrays, and what else makes it."""
    described: dict[str, Any] = {}
    tensors: Arrays = dict(arrays)
    for name, matrix in matrices.items():
        parts = [matrix.structured, matrix.sparse] if isinstance(matrix, Sum) else [matrix]
        described[name] = {}
        for part in parts:
            if isinstance(part, Sparse | Tiles):
                pattern = part.pattern if isinstance(part, Sparse) else "tiles"
                described[name]["sparse"] = {"pattern": pattern, "shape": part.shape}
                own = {key: getattr(part, key) for key in ("values", "columns", "offsets", "values_scale")}
            else:
                described[name]["structured"] = part.kind
                own = vars(part)
            place = "sparse." if isinstance(part, Sparse | Tiles) else ""
            tensors |= {
                f"{name}.{place}{key}": np.ascontiguousarray(array) for key, array in own.items() if array is not None
            }
    pairs = {name: array.shape for name, array in tensors.items() if fit_in_4_bits(array)}
    tensors |= {name: in_pairs(tensors[name]) for name in pairs}
    header = {"layer": json.dumps({"kind": kind, "matrices": described, "pairs": pairs, **more})}
    return torch.frombuffer(bytearray(safetensors.numpy.save(tensors, header)), dtype=torch.uint8)


class Unpacked:
    """A layer read from its bytes."""

    def __init__(self, packed_N: Tensor) -> None:
        content = packed_N.detach().cpu().numpy().tobytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        self.described: dict[str, Any] = json.loads(header["__metadata__"]["layer"])
        self.arrays: Arrays = safetensors.numpy.load(content)
        for name, shape in self.described.get("pairs", {}).items():
            self.arrays[name] = from_pairs(self.arrays[name], tuple(shape))
        self.matrices = {name: self._matrix(name, parts) for name, parts in self.described["matrices"].items()}

    def _matrix(self, name: str, parts: dict[str, Any]) -> Matrix:
        own = {key.removeprefix(f"{name}."): array for key, array in self.arrays.items() if key.startswith(f"{name}.")}
        of_sparse = {key.removeprefix("sparse."): array for key, array in own.items() if key.startswith("sparse.")}
        found: list[Matrix] = []
        if family := parts.get("structured"):
            found.append(class_of(family)(**{key: array for key, array in own.items() if not key.startswith("sparse.")}))
        if sparse := parts.get("sparse"):
            shape = (sparse["shape"][0], sparse["shape"][1])
            tiled = sparse["pattern"] == "tiles"
            found.append(Tiles(shape, **of_sparse) if tiled else Sparse(sparse["pattern"], shape, **of_sparse))
        return Sum(*found) if len(found) == 2 else found[0]  # type: ignore[arg-type]

    def ready(self) -> Any:
        """What runs it: a ``Product``, or a ``Recurrent``."""
        engine: Engine | None = None
        matrices = self.matrices
        if self.described.get("arithmetic") == "int8":
            engine, matrices = "int8", {name: in_int8(matrix) for name, matrix in matrices.items()}
        if self.described["kind"] == "linear":
            return Product(matrices["weight"], engine)
        return Recurrent(
            self.described["kind"],
            matrices["input"],
            matrices["recurrent"],
            matrices.get("projection"),
            self.arrays.get("input_bias"),
            self.arrays.get("recurrent_bias"),
            reverse=self.described["reverse"],
            engine=engine,
        )


def in_int8(matrix: Matrix) -> Matrix:
    """A narrow matrix as it is if it has a product in int8 arithmetic; else written out, rounded once more.

    So it is with S in another pattern than tiles, and with free rows in every gate. It takes more memory then, and no more
    bytes.
    """
    try:
        fields(matrix)
    except ValueError:
        return narrowed(Dense(matrix.dense()))
    return matrix


_READY: dict[int, tuple[weakref.ref[Tensor], int, Any, npt.NDArray[np.float32] | None]] = {}
"""By the identity of the bytes: they, their version, and what runs."""


def ready(packed_N: Tensor) -> tuple[Any, npt.NDArray[np.float32] | None]:
    """What runs the layer of these bytes, and the bias of a linear layer; made once, and again when the bytes have
    changed.
    """
    key = id(packed_N)
    version = 0 if packed_N.is_inference() else packed_N._version
    known = _READY.get(key)
    if known is None or known[0]() is not packed_N or known[1] != version:
        layer = Unpacked(packed_N)
        known = weakref.ref(packed_N, lambda _: _READY.pop(key, None)), version, layer.ready(), layer.arrays.get("bias")
        _READY[key] = known
    return known[2], known[3]
