"""The command ``python -m benchmarks.firmware``: what a character model needs on a Cortex-M4, dense and compressed.

Each model is an embedding, an ``nn.LSTM`` of one layer and a softmax over printable characters, with random weights. It is
compressed, exported as C, cross-compiled, run in qemu, and compared with Python.
"""

from __future__ import annotations

import argparse
import csv
import string
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.firmware import image
from doping.command_line import Parser, answer, arguments_or
from doping.errors import InferenceError
from doping.inference.bundle.file import Bundle
from doping.inference.models.language_model import LanguageModel
from doping.inference.runtime import runnable
from doping.machine import ROOT, commit

UNITS = (100, 200, 300)
TOLERANCE = 1e-4
"""How far an output may be from Python's."""
PAGE = ROOT / "docs" / "firmware.md"
ROWS = ROOT / "results" / "firmware.csv"
BEGIN, END = "<!-- rows of results/firmware.csv, by python -m benchmarks.firmware -->", "<!-- end of the rows -->"

Measurement = dict[str, Any]


class Kind(NamedTuple):
    """A way to store the LSTM."""

    label: str
    method: str
    factor: float
    pattern: str
    values: str


KINDS = (
    Kind("dense", "dense", 1, "", "float32"),
    Kind("dense", "dense", 1, "", "int8"),
    Kind("doped KP 20x", "doped_kp", 20, "unstructured", "float32"),
    Kind("doped KP 20x", "doped_kp", 20, "unstructured", "int8"),
    Kind("doped KP 20x, blocks of gates", "doped_kp", 20, "gates", "int8"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return answer(lambda: _command(arguments_or(arguments)))


def _command(arguments: Sequence[str]) -> None:
    parser = Parser(prog="python -m benchmarks.firmware", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--units", metavar="N", type=int, nargs="+", default=list(UNITS), help="default: %(default)s")
    parser.add_argument("--out", metavar="CSV", type=Path, default=ROWS, help="rows to write (default: %(default)s)")
    parser.add_argument("--page", metavar="MD", type=Path, default=PAGE, help="page with the table (default: %(default)s)")
    options: argparse.Namespace = parser.parse_args(arguments)
    if min(options.units) < 1:
        raise InferenceError(f"--units {min(options.units)} was given, expected whole numbers from 1 on")
    if lacking := image.missing():
        raise InferenceError(
            f"{' and '.join(lacking)} not found; install a cross compiler for Cortex-M and qemu (on Debian: apt-get install "
            "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm)"
        )
    about = {"programs": image.versions(), "flags": " ".join((*image.PROCESSOR, *image.FLAGS)), "commit": commit()}
    rows = []
    for units in options.units:
        for kind in KINDS:
            row = measure(units, kind)
            print("  ".join(f"{name} {value}" for name, value in row.items() if value != ""), flush=True)
            rows.append(row | about)
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    write_table(options.page, rows)
    print(f"wrote {options.out} and the table in {options.page}")


def measure(units: int, kind: Kind) -> Measurement:
    """One model on the board.

    Raises:
        InferenceError: it does not compile, does not run, or does not compute what Python does.

    """
    from doping.inference.exporters.c import EXPECTED_OUTPUTS, EXPECTED_STEPS, write_c

    bundle = bundle_of(units, kind)
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "lm"
        write_c(bundle, sources, weights="binary")
        made = image.build(sources)
        memory, symbols, done = image.memory(made), image.symbols(made), image.run(made)
    model = runnable(bundle)
    assert isinstance(model, LanguageModel)
    tokens_TB = np.arange(EXPECTED_STEPS)[:, None] % len(model.vocabulary)
    difference = float(np.abs(done.outputs - model.forward(tokens_TB)[0][:, 0, :EXPECTED_OUTPUTS]).max())
    if not difference <= TOLERANCE:
        raise InferenceError(
            f"{kind.label} of {units} units: outputs are off by {difference:g}; expected at most {TOLERANCE:g}"
        )
    return {
        "units": units,
        **kind._asdict(),
        "lstm_bytes": bundle.description.sizes.bytes,
        "flash": memory.flash,
        "weights": memory.weights,
        "code": memory.flash - memory.weights,
        "ram": memory.ram + done.stack,
        "state": symbols["state"],
        "workspace": symbols["workspace"],
        "stack": done.stack,
        "instructions": done.instructions,
        "off_by": f"{difference:.1g}",
    }


def bundle_of(units: int, kind: Kind) -> Bundle:
    """A character model around an ``nn.LSTM``, compressed."""
    import torch
    from torch import nn

    from doping.inference.bundle.narrowing import narrow
    from doping.layers.lstm import CompressedLSTM
    from doping.method import Method
    from doping.vocabulary import Vocabulary
    from lightning_modules import language_model
    from tasks.bundles import to_bundle
    from tasks.language_model import LanguageModelTask

    torch.manual_seed(0)
    vocabulary = Vocabulary.of(string.printable, "character")
    task = LanguageModelTask.model_validate({"data": {"level": "character"}, "model": {"hidden": units, "layers": 1}})
    model = language_model.RecurrentLanguageModel(task.model, task.training, Method(), len(vocabulary), "character")
    method = {"name": kind.method, "factor": kind.factor} if kind.method != "dense" else {}
    method |= {"pattern": kind.pattern} if kind.pattern else {}
    model.lstm = CompressedLSTM.from_lstm(nn.LSTM(units, units), Method.model_validate(method))
    wide = to_bundle(model.eval(), vocabulary)
    return narrow(wide) if kind.values == "int8" else wide


def table(rows: Sequence[Measurement]) -> str:
    """The rows as Markdown."""
    head = [
        "units",
        "LSTM",
        "values",
        "flash",
        "weights in it",
        "RAM",
        "workspace in it",
        "stack in it",
        "instructions per step",
    ]
    lines = [f"| {' | '.join(head)} |", "|---:|---|---|" + "---:|" * (len(head) - 3)]
    for row in rows:
        sizes = [f"{int(row[name]):,}" for name in ("flash", "weights", "ram", "workspace", "stack", "instructions")]
        lines.append(f"| {row['units']} | {row['label']} | {row['values']} | {' | '.join(sizes)} |")
    return "\n".join(lines)


def write_table(page: Path, rows: Sequence[Measurement]) -> None:
    """Put the table between the page's markers.

    Raises:
        InferenceError: the page has no markers.

    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InferenceError(f"{page} lacks the lines between which the table stands: {BEGIN} and {END}")
    page.write_text(f"{before}{begin}\n\n{table(rows)}\n\n{end}{after}", encoding="utf-8")
