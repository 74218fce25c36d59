"""The weights of an export to C: constant arrays as text or in one binary file, and the structures that point to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from doping.inference.bundle.file import Bundle
from doping.inference.bundle.weights import LayerWeights, cells, table, table_arrays
from doping.inference.families import int8_layout
from doping.inference.families.layout import fields
from doping.inference.kernels import Dense, Matrix
from doping.inference.kernels.int8.native import declarations as int8_declarations
from doping.inference.kernels.native import declarations

NUMBERS_A_LINE = 12
ALIGNMENT = 64
"""Bytes at multiples of which arrays of a binary file start: a cache line."""

C_TYPES = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "uint32": "uint32_t",
    "int32": "int32_t",
}

BINARY_FILE = """
#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights.bin is little-endian: for this processor, export with --weights text"
#endif

#ifdef __cplusplus
extern "C" const unsigned char @symbol@[];
#else
extern const unsigned char @symbol@[];
#endif
"""


class Weights:
    """Collects the header of the weights and, where they are binary, the file that it points into."""

    def __init__(self, symbol: str | None, *, int8: bool = False):
        """``symbol``: what the linker calls a binary file; None for text. ``int8``: whether products are in int8."""
        self.lines: list[str] = []
        self.int8 = int8
        self.file = bytearray()
        self._symbol = symbol

    def add(self, name: str, array: npt.NDArray[Any]) -> None:
        """Declare a flat constant array."""
        if self._symbol is None:
            self.lines += text_array(name, array)
            return
        self.file += bytes(-len(self.file) % ALIGNMENT)
        pointer = f"(const {C_TYPES[array.dtype.name]} *)({self._symbol} + {len(self.file)})"
        self.lines.append(f"#define {name} ({pointer}) /* {array.size} */")
        self.file += np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()

    def matrix(self, matrix: Matrix, name: str, *, gates: bool = False) -> str:
        """Declare a matrix' arrays; gives the initializer of its structure. ``gates``: its rows are those of a layer."""
        if self.int8:
            laid_out = int8_layout.fields(matrix, int8_layout.fitting_bits(matrix), gates=gates)
            return self._structure(int8_declarations().typeof("int8_matrix"), laid_out, name)
        return self._structure(declarations().typeof("doped_matrix"), fields(matrix), name)

    def _structure(self, kind: Any, laid_out: Mapping[str, Any], name: str) -> str:
        """Declare the arrays of a structure; gives its initializer, without field names: C++17 has none."""
        initializers = []
        for field, described in kind.fields:
            value = laid_out.get(field, 0)
            if described.type.kind == "struct":
                initializers.append(self._structure(described.type, value or {}, f"{name}_{field}"))
            elif isinstance(value, int):
                initializers.append(str(value))
            elif value.size:
                self.add(f"{name}_{field}", value)
                initializers.append(f"{name}_{field}")
            else:  # C has no empty arrays; the kernels do not look at them
                initializers.append("0")
        return f"{{{', '.join(initializers)}}}"

    def layer(self, cell: LayerWeights) -> str:
        """Declare a layer's arrays; gives the initializer of its structure."""
        matrices = [
            self.matrix(matrix, f"{name}_{cell.name}", gates=True)
            for name, matrix in (("input", cell.input), ("recurrent", cell.recurrent))
        ]
        bias, values = "0", cell.bias
        if self.int8:
            values = int8_layout.in_gate_order(np.zeros(cell.input.shape[0], np.float32) if values is None else values)
        if values is not None:
            bias = f"bias_{cell.name}"
            self.add(bias, values)
        return f"{{{matrices[0]},\n     {matrices[1]},\n     {bias}, {int(cell.reverse)}}}"


def weights_of(bundle: Bundle, symbol: str | None, *, int8: bool = False) -> Weights:
    """All tensors of a model as C, in a binary file of that symbol or, if there is none, as text; the bundle is narrow if
    products are to be in int8.

    Raises:
        ValueError: a matrix has no product in int8.

    """
    weights = Weights(symbol, int8=int8)
    if symbol is not None:
        weights.lines += BINARY_FILE.replace("@symbol@", symbol).splitlines()
    layers = [weights.layer(cell) for cell in cells(bundle)]
    prefix, known = ("int8", int8_declarations()) if int8 else ("doped", declarations())
    order = ", ".join(name for name, _ in known.typeof(f"{prefix}_matrix").fields)
    weights.lines += ["", f"/* Matrices: {order}. */"]
    weights.lines += [f"static const {prefix}_layer layers[MODEL_STATES] = {{", *(f"    {layer}," for layer in layers), "};"]
    model = bundle.description.model
    if model.kind != "lstm":
        softmax = table(bundle.tensors, "softmax.weight")
        if int8 and isinstance(softmax, Dense) and model.kind == "classifier":  # few rows, computed in float32
            weights.add("softmax_weight", softmax.weight)
            weights.add("softmax_scales", int8_layout.known(softmax.weight_scale))
        else:
            weights.lines.append(f"static const {prefix}_matrix softmax = {weights.matrix(softmax, 'softmax')};")
        weights.add("softmax_bias", bundle.tensors["softmax.bias"])
        embedding = table(bundle.tensors, "embedding")
        for name, array in table_arrays("embedding", embedding).items():  # of two factors U is the one called embedding
            weights.add(re.sub("_scale$", "_scales", name.replace(".u", "").replace(".", "_")), array)
        weights.lines += _strings("model_tokens[MODEL_VOCABULARY]", model.tokens)
    if model.kind == "classifier":
        weights.add("attention", bundle.tensors["attention"])
        weights.lines += _strings("model_labels[MODEL_LABELS]", model.labels)
    return weights


def text_array(name: str, array: npt.NDArray[Any]) -> list[str]:
    """Declaration of a flat constant array; nine digits bring a float32 back exactly."""
    flat = array.ravel()
    number = "%.9g" if flat.dtype.kind == "f" else "%d"
    lines = ["", f"static const {C_TYPES[flat.dtype.name]} {name}[{flat.size}] = {{"]
    for start in range(0, flat.size, NUMBERS_A_LINE):
        line = flat[start : start + NUMBERS_A_LINE].tolist()
        lines.append("    " + ", ".join([number] * len(line)) % tuple(line) + ",")
    return [*lines, "};"]


def _strings(declared: str, tokens: Sequence[str]) -> list[str]:
    """Declaration of an array of constant strings."""
    return ["", f"const char *const {declared} = {{", *(f"    {_string(token)}," for token in tokens), "};"]


def _string(token: str) -> str:
    """A C string; every byte that is not a plain letter, digit or blank as an octal escape."""
    plain = b" .,;:!'()[]<>=+-*/_@#&"
    return '"' + "".join(chr(b) if bytes([b]).isalnum() or b in plain else f"\\{b:03o}" for b in token.encode()) + '"'
