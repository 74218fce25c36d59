"""A bundle as C sources: the kernels, the weights as constant arrays, an interface, a demo that checks itself, a Makefile.

What is the same for all models lies in ``doping/inference/exporters/c_template``; written here are the numbers.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from doping.errors import InferenceError
from doping.inference.bundle.description import summary
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.weights import Cell, cells, table
from doping.inference.kernels import Matrix
from doping.inference.kernels.layout import Fields, fields
from doping.inference.models.language_model import LanguageModel
from doping.inference.models.lstm import Lstm
from doping.inference.runtime import runnable

PACKAGE = Path(__file__).parent
TEMPLATE = PACKAGE / "c_template"
KERNELS = tuple(PACKAGE / "kernels" / name for name in ("doped_lstm.h", "doped_lstm.c"))

EXPECTED_STEPS = 12
"""Steps of the demo: more than the eight that the kernels run at a time, and no multiple of them. A classifier reads texts
of one word, of two, and so on up to this."""
EXPECTED_OUTPUTS = 16
"""Outputs of each step or text that the demo compares; fewer where the model has fewer."""

NUMBERS_A_LINE = 12

C_TYPES = {"float32": "float", "int8": "int8_t", "uint16": "uint16_t", "uint32": "uint32_t", "int32": "int32_t"}


def write_c(bundle: Bundle, folder: Path) -> None:
    """Write the sources to a folder, which is made if need be.

    Raises:
        InferenceError: the folder cannot be written, or a value is not finite.

    """
    files = {
        "sizes.h": _sizes(bundle),
        "weights.h": _weights(bundle),
        "expected.h": _expected(bundle),
        "README.md": (TEMPLATE / "README.md").read_text().replace("@SUMMARY@", "  \n".join(summary(bundle.description))),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in (*KERNELS, *(TEMPLATE / name for name in ("model.h", "model.c", "main.c", "Makefile"))):
            shutil.copyfile(source, folder / source.name)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="ascii" if name.endswith(".h") else "utf-8")
    except OSError as error:
        raise InferenceError(f"cannot write to {folder}: {error.strerror}; give another folder") from error


def _sizes(bundle: Bundle) -> str:
    model = bundle.description.model
    lstm = model.lstm
    directions = 2 if lstm.bidirectional else 1
    words = 0 if model.kind == "lstm" else len(model.tokens)
    labels = len(model.labels) if model.kind == "classifier" else 0
    sizes = {
        "VOCABULARY": words,
        "LABELS": labels,
        "WORDS": int(model.kind == "classifier" or (model.kind == "language_model" and model.level == "word")),
        "EMBEDDING": lstm.input_size if words else 0,
        "INPUTS": 1 if words else lstm.input_size,
        "OUTPUTS": labels or words or directions * lstm.hidden_size,
        "LAYERS": lstm.layers,
        "DIRECTIONS": directions,
        "HIDDEN": lstm.hidden_size,
        "NARROW_EMBEDDING": int("embedding_scale" in bundle.tensors),
    }
    comments = {
        "VOCABULARY": "tokens; 0: an LSTM alone",
        "LABELS": "of a classifier; 0: it is none",
        "WORDS": "1: tokens are words, 0: characters",
        "NARROW_EMBEDDING": "1: int8 times a scale a token",
    }
    lines = [
        f"#define MODEL_{name} {size}" + (f" /* {comments[name]} */" if name in comments else "")
        for name, size in sizes.items()
    ]
    return _guarded("SIZES_H", lines)


def _weights(bundle: Bundle) -> str:
    """All tensors as arrays, and the structures that point to them."""
    lines, layers = [], []
    for cell in cells(bundle):
        arrays, layer = _layer(cell)
        lines += arrays
        layers.append(layer)
    lines += ["", "static const doped_layer layers[MODEL_STATES] = {", *(f"    {layer}," for layer in layers), "};"]
    model = bundle.description.model
    if model.kind != "lstm":
        arrays, softmax = _matrix(table(bundle.tensors, "softmax.weight"), "softmax")
        lines += [*arrays, f"static const doped_matrix softmax = {softmax};"]
        lines += _array("softmax_bias", bundle.tensors["softmax.bias"])
        embedding = table(bundle.tensors, "embedding")
        lines += _array("embedding", embedding.weight)
        if embedding.weight_scale is not None:
            lines += _array("embedding_scales", embedding.weight_scale)
        lines += _strings("model_tokens[MODEL_VOCABULARY]", model.tokens)
    if model.kind == "classifier":
        lines += _array("attention", bundle.tensors["attention"])
        lines += _strings("model_labels[MODEL_LABELS]", model.labels)
    return _guarded("WEIGHTS_H", ['#include "doped_lstm.h"', '#include "model.h"', *lines])


def _layer(cell: Cell) -> tuple[list[str], str]:
    """Declarations of a layer's arrays, and the initializer of its structure."""
    input_arrays, input_fields = _matrix(cell.input, f"input_{cell.name}")
    recurrent_arrays, recurrent_fields = _matrix(cell.recurrent, f"recurrent_{cell.name}")
    lines, bias = input_arrays + recurrent_arrays, "0"
    if cell.bias is not None:
        bias = f"bias_{cell.name}"
        lines += _array(bias, cell.bias)
    structure = f".input = {input_fields}, .recurrent = {recurrent_fields}, .bias = {bias}, .reverse = {int(cell.reverse)}"
    return lines, f"{{{structure}}}"


def _matrix(matrix: Matrix, name: str) -> tuple[list[str], str]:
    """Declarations of a matrix' arrays, and the initializer of its structure."""
    lines: list[str] = []
    initializers = []
    laid_out: Fields = fields(matrix)
    for field, value in laid_out.items():
        if isinstance(value, int):
            initializers.append(f".{field} = {value}")
        elif value.size:  # C has no empty arrays; the kernels do not look at them
            lines += _array(f"{name}_{field}", value)
            initializers.append(f".{field} = {name}_{field}")
    return lines, f"{{{', '.join(initializers)}}}"


def _array(name: str, array: npt.NDArray[Any]) -> list[str]:
    """Declaration of a flat constant array; nine digits bring a float32 back exactly."""
    flat = array.ravel()
    number = "%.9g" if flat.dtype.kind == "f" else "%d"
    lines = ["", f"static const {C_TYPES[flat.dtype.name]} {name}[{flat.size}] = {{"]
    for start in range(0, flat.size, NUMBERS_A_LINE):
        line = flat[start : start + NUMBERS_A_LINE].tolist()
        lines.append("    " + ", ".join([number] * len(line)) % tuple(line) + ",")
    return [*lines, "};"]


def _expected(bundle: Bundle) -> str:
    """Inputs of the demo, and what Python computes from them."""
    model = runnable(bundle)
    if isinstance(model, Lstm):
        random = np.random.default_rng(0)
        inputs = random.standard_normal((EXPECTED_STEPS, model.input_size)).astype(np.float32)
        outputs = model.forward(inputs[:, None])[0][:, 0]
    else:
        inputs = (np.arange(EXPECTED_STEPS) % len(model.vocabulary)).astype(np.int32)
        if isinstance(model, LanguageModel):
            outputs = model.forward(inputs[:, None])[0][:, 0]
        else:
            outputs = np.stack([model.forward(inputs[: last + 1]) for last in range(EXPECTED_STEPS)])
    shown = outputs[:, :EXPECTED_OUTPUTS]
    rows = [", ".join(["%.9g"] * len(row)) % tuple(row.tolist()) for row in shown]
    table = [f"    {{{row}}}," for row in rows]
    sizes = [f"#define EXPECTED_STEPS {EXPECTED_STEPS}", f"#define EXPECTED_OUTPUTS {shown.shape[1]}"]
    head = "static const float expected_outputs[EXPECTED_STEPS][EXPECTED_OUTPUTS] = {"
    return _guarded(
        "EXPECTED_H", ["#include <stdint.h>", *sizes, *_array("expected_inputs", inputs), "", head, *table, "};"]
    )


def _strings(declared: str, tokens: Sequence[str]) -> list[str]:
    """Declaration of an array of constant strings."""
    return ["", f"const char *const {declared} = {{", *(f"    {_string(token)}," for token in tokens), "};"]


def _string(token: str) -> str:
    """A C string; every byte that is not a plain letter, digit or blank as an octal escape."""
    plain = b" .,;:!'()[]<>=+-*/_@#&"
    return '"' + "".join(chr(b) if bytes([b]).isalnum() or b in plain else f"\\{b:03o}" for b in token.encode()) + '"'


def _guarded(name: str, lines: Iterable[str]) -> str:
    guard = f"MODEL_{name}"
    return "\n".join([f"/* Written by the export. */\n#ifndef {guard}\n#define {guard}\n", *lines, "\n#endif\n"])
