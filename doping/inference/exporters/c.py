"""A bundle as C sources: the kernels, the weights as constant arrays, an interface, a demo that checks itself, a Makefile.

What is the same for all models lies in ``doping/inference/exporters/c_template``; written here are the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from doping.errors import InferenceError
from doping.inference.bundle.description import summary
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.narrowing import all_narrow
from doping.inference.bundle.weights import cells, rows, table
from doping.inference.exporters.c_names import kernel_names, model_name, renamed, short_names
from doping.inference.exporters.c_weights import text_array, weights_of
from doping.inference.kernels import multiply
from doping.inference.kernels.build import FLOAT32, NAMES
from doping.inference.kernels.build import FOLDER as KERNELS
from doping.inference.kernels.int8 import Int8Layer, Int8Matrix
from doping.inference.kernels.int8.native import INSTRUCTION_SETS, INT8
from doping.inference.kernels.int8.native import kernels as int8_kernels
from doping.inference.kernels.workspace import layer_workspace, multiply_workspace
from doping.inference.models.language_model import LanguageModel
from doping.inference.models.lstm import Arithmetic, Lstm
from doping.inference.runtime import runnable

TEMPLATE = Path(__file__).parent / "c_template"

EXPECTED_STEPS = 12
"""Steps of the demo: more than the eight that the kernels run at a time, and no multiple of them. A classifier reads texts
of one word, of two, and so on up to this."""
EXPECTED_OUTPUTS = 16
"""Outputs of each step or text that the demo compares; fewer where the model has fewer."""


def write_c(
    bundle: Bundle,
    folder: Path,
    name: str | None = None,
    weights: Literal["text", "binary"] = "text",
    arithmetic: Arithmetic = "float32",
) -> None:
    """Write the sources to a folder, which is made if need be.

    Args:
        bundle: The model.
        folder: Where to.
        name: Begins the name of every function and constant; by default made of the folder's name.
        weights: ``text`` writes constant arrays in C; ``binary`` a file that the assembler includes, for large models.
        arithmetic: of the products. ``int8`` has kernels for several instruction sets, of which a program takes the fastest
            that its processor has, and plain C; weights that are not narrow are rounded first.

    Raises:
        InferenceError: the folder cannot be written, the name is no C identifier, a value is not finite, or a matrix has no
            product in int8.
        KernelError: there is no compiler for the kernels in int8, which say what the demo must compute.

    """
    name, int8 = model_name(name, folder), arithmetic == "int8"
    if int8:
        bundle = all_narrow(bundle)
    kernels = INT8 if int8 else FLOAT32
    constants = [f"int8_{instructions}" for instructions in INSTRUCTION_SETS] if int8 else []
    try:
        made = weights_of(bundle, f"{name}_weights" if weights == "binary" else None, int8=int8)
    except ValueError as error:
        raise InferenceError(f"int8 arithmetic: {error}") from error
    interface = (TEMPLATE / "model.h").read_text().replace('#include "sizes.h"\n', _sizes(bundle, int8))
    header = "int8/int8.h" if int8 else "doped_lstm.h"
    files: dict[str, str | bytes] = {
        f"{name}.h": renamed(interface, name),
        "weights.h": _guarded("WEIGHTS_H", [f'#include "kernels/{header}"', '#include "model.h"', *made.lines]),
        "expected.h": _expected(bundle, arithmetic),
        "README.md": _readme(bundle, name),
        "model.h": short_names(interface, name),
        f"kernels/{NAMES.name}": kernel_names(kernels.headers, name, constants),
    }
    for file in ("model.c", "main.c", "Makefile"):
        text = (TEMPLATE / file).read_text()
        # In int8 all instruction sets compute the same, bit for bit.
        files[file] = text.replace("-ffp-contract=fast", "-ffp-contract=off") if int8 else text
    for source in (*kernels.sources, *kernels.headers):
        files.setdefault(f"kernels/{source.relative_to(KERNELS).as_posix()}", source.read_text())
    if weights == "binary":
        files["weights.S"] = renamed((TEMPLATE / "weights.S").read_text(), name)
        files["weights.bin"] = bytes(made.file)
    try:
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
        for path in {"weights.S", "weights.bin"} - files.keys():  # of an earlier export
            (folder / path).unlink(missing_ok=True)
    except OSError as error:
        raise InferenceError(f"cannot write to {folder}: {error.strerror}; give another folder") from error


def _readme(bundle: Bundle, name: str) -> str:
    text = (TEMPLATE / "README.md").read_text().replace("@SUMMARY@", "  \n".join(summary(bundle.description)))
    return text.replace("@NAME@", name.upper()).replace("@name@", name)


def _sizes(bundle: Bundle, int8: bool) -> str:
    """The constants of the interface."""
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
        "EMBEDDING_RANK": 0 if model.kind == "lstm" else model.embedding_rank or 0,
        "NARROW_EMBEDDING": int(model.kind != "lstm" and model.values != "float32"),
        "INT8": int(int8),
    }
    comments = {
        "VOCABULARY": "tokens; 0: an LSTM alone",
        "LABELS": "of a classifier; 0: it is none",
        "WORDS": "1: tokens are words, 0: characters",
        "EMBEDDING_RANK": "of an embedding with two factors; 0: it has one",
        "NARROW_EMBEDDING": "1: int8 times a scale a row",
        "INT8": "1: products are in int8 arithmetic",
    }
    lines = [
        f"#define MODEL_{name} {size}" + (f" /* {comments[name]} */" if name in comments else "")
        for name, size in sizes.items()
    ]
    small, full = (_int8_workspace(bundle) if int8 else _kernel_workspace(bundle, small) for small in (True, False))
    lines += ["", "/* Floats that the kernels need besides the arrays of the model. */", "#ifdef DOPED_SMALL"]
    lines += [f"#define MODEL_KERNELS {small}", "#else", f"#define MODEL_KERNELS {full}", "#endif"]
    return "\n".join(lines) + "\n"


def _kernel_workspace(bundle: Bundle, small: bool) -> int:
    needed = [layer_workspace(cell.input, cell.recurrent, small) for cell in cells(bundle)]
    if bundle.description.model.kind != "lstm":
        needed.append(multiply_workspace(table(bundle.tensors, "softmax.weight"), small))
    return max(needed)


def _int8_workspace(bundle: Bundle) -> int:
    """In floats, with what begins it at a multiple of 64 bytes."""
    library = int8_kernels()[1]
    layers = [Int8Layer(cell.input, cell.recurrent, cell.bias) for cell in cells(bundle)]
    needed = [library.int8_workspace(layer.structure) for layer in layers]
    if bundle.description.model.kind == "language_model":
        needed.append(library.int8_multiply_workspace(Int8Matrix(table(bundle.tensors, "softmax.weight")).structure))
    return int(max(needed)) // 4 + 16


def _expected(bundle: Bundle, arithmetic: Arithmetic) -> str:
    """Inputs of the demo, and what Python computes from them."""
    model = runnable(bundle, arithmetic=arithmetic)
    if isinstance(model, Lstm):
        random = np.random.default_rng(0)
        inputs = random.standard_normal((EXPECTED_STEPS, model.input_size)).astype(np.float32)
        outputs = model.forward(inputs[:, None])[0][:, 0]
    else:
        inputs = (np.arange(EXPECTED_STEPS) % len(model.vocabulary)).astype(np.int32)
        if isinstance(model, LanguageModel):
            outputs = _logits(model, inputs.astype(np.int64), arithmetic)
        else:
            outputs = np.stack([model.forward(inputs[: last + 1]) for last in range(EXPECTED_STEPS)])
    shown = outputs[:, :EXPECTED_OUTPUTS]
    rows = [", ".join(["%.9g"] * len(row)) % tuple(row.tolist()) for row in shown]
    table = [f"    {{{row}}}," for row in rows]
    sizes = [f"#define EXPECTED_STEPS {EXPECTED_STEPS}", f"#define EXPECTED_OUTPUTS {shown.shape[1]}"]
    head = "static const float expected_outputs[EXPECTED_STEPS][EXPECTED_OUTPUTS] = {"
    return _guarded(
        "EXPECTED_H", ["#include <stdint.h>", *sizes, *text_array("expected_inputs", inputs), "", head, *table, "};"]
    )


def _logits(model: LanguageModel, tokens: npt.NDArray[np.int64], arithmetic: Arithmetic) -> npt.NDArray[np.float32]:
    """Logits (steps, vocabulary); in int8 the softmax has such products, too, as where Python scores and writes texts."""
    if arithmetic == "float32":
        return model.forward(tokens[:, None])[0][:, 0]
    tensors = model.bundle.tensors
    outputs_T1H, _ = model.lstm.forward(rows(table(tensors, "embedding"), tokens[:, None]))
    logits: npt.NDArray[np.float32] = multiply(table(tensors, "softmax.weight"), outputs_T1H[:, 0], "int8")
    return logits + tensors["softmax.bias"]


def _guarded(name: str, lines: Iterable[str]) -> str:
    guard = f"MODEL_{name}"
    return "\n".join([f"/* Written by the export. */\n#ifndef {guard}\n#define {guard}\n", *lines, "\n#endif\n"])
