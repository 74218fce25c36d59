"""A bundle as C sources: the kernels, the weights as constant arrays, an interface, a demo that checks itself, a Makefile.

What is the same for all models lies in ``doping/inference/exporters/c_template``; written here are the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from doping.errors import InferenceError
from doping.inference.bundle.description import summary
from doping.inference.bundle.file import Bundle
from doping.inference.bundle.weights import cells, table
from doping.inference.exporters.c_names import kernel_names, model_name, renamed, short_names
from doping.inference.exporters.c_weights import text_array, weights_of
from doping.inference.kernels.build import FOLDER as KERNELS
from doping.inference.kernels.build import HEADERS, NAMES, SOURCES
from doping.inference.kernels.workspace import layer_workspace, multiply_workspace
from doping.inference.models.language_model import LanguageModel
from doping.inference.models.lstm import Lstm
from doping.inference.runtime import runnable

TEMPLATE = Path(__file__).parent / "c_template"

EXPECTED_STEPS = 12
"""Steps of the demo: more than the eight that the kernels run at a time, and no multiple of them. A classifier reads texts
of one word, of two, and so on up to this."""
EXPECTED_OUTPUTS = 16
"""Outputs of each step or text that the demo compares; fewer where the model has fewer."""


def write_c(bundle: Bundle, folder: Path, name: str | None = None, weights: Literal["text", "binary"] = "text") -> None:
    """Write the sources to a folder, which is made if need be.

    Args:
        bundle: The model.
        folder: Where to.
        name: Begins the name of every function and constant; by default made of the folder's name.
        weights: ``text`` writes constant arrays in C; ``binary`` a file that the assembler includes, for large models.

    Raises:
        InferenceError: the folder cannot be written, the name is no C identifier, or a value is not finite.

    """
    name = model_name(name, folder)
    interface = (TEMPLATE / "model.h").read_text().replace('#include "sizes.h"\n', _sizes(bundle))
    made = weights_of(bundle, f"{name}_weights" if weights == "binary" else None)
    files: dict[str, str | bytes] = {
        f"{name}.h": renamed(interface, name),
        "weights.h": _guarded("WEIGHTS_H", ['#include "kernels/doped_lstm.h"', '#include "model.h"', *made.lines]),
        "expected.h": _expected(bundle),
        "README.md": _readme(bundle, name),
        "model.h": short_names(interface, name),
        f"kernels/{NAMES.name}": kernel_names(HEADERS, name),
    }
    for file in ("model.c", "main.c", "Makefile"):
        files[file] = (TEMPLATE / file).read_text()
    for source in (*SOURCES, *HEADERS):
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


def _sizes(bundle: Bundle) -> str:
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
    small, full = (_kernel_workspace(bundle, small) for small in (True, False))
    lines += ["", "/* Floats that the kernels need besides the arrays of the model. */", "#ifdef DOPED_SMALL"]
    lines += [f"#define MODEL_KERNELS {small}", "#else", f"#define MODEL_KERNELS {full}", "#endif"]
    return "\n".join(lines) + "\n"


def _kernel_workspace(bundle: Bundle, small: bool) -> int:
    needed = [layer_workspace(cell.input, cell.recurrent, small) for cell in cells(bundle)]
    if bundle.description.model.kind != "lstm":
        needed.append(multiply_workspace(table(bundle.tensors, "softmax.weight"), small))
    return max(needed)


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
        "EXPECTED_H", ["#include <stdint.h>", *sizes, *text_array("expected_inputs", inputs), "", head, *table, "};"]
    )


def _guarded(name: str, lines: Iterable[str]) -> str:
    guard = f"MODEL_{name}"
    return "\n".join([f"/* Written by the export. */\n#ifndef {guard}\n#define {guard}\n", *lines, "\n#endif\n"])
