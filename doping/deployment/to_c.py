"""``to_c``: compressed layers, one above the other, as C sources."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from itertools import pairwise
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from doping.deployment.deploy import deploy_
from doping.deployment.layers import DeployedCell, DeployedLinear, DeployedRecurrent
from doping.deployment.packing import Unpacked
from doping.errors import CompressionError, InferenceError, as_path
from doping.inference.exporters.c import EXPECTED_STEPS, TEMPLATE
from doping.inference.exporters.c_names import kernel_names, model_name, renamed, short_names
from doping.inference.exporters.c_weights import Weights, text_array
from doping.inference.kernels.build import FLOAT32, NAMES
from doping.inference.kernels.build import FOLDER as KERNELS
from doping.inference.kernels.recurrent import CELLS
from doping.layers.compressed import CompressedLayer
from doping.method import Values

ACTIVATIONS = {nn.ReLU: "RELU", nn.Tanh: "TANH", nn.Sigmoid: "SIGMOID"}
SKIPPED = (nn.Dropout, nn.Identity)
"""Nothing in evaluation."""
DEPLOYED = (DeployedLinear, DeployedRecurrent, DeployedCell)
STACK = TEMPLATE / "stack"


@torch.no_grad()
def to_c(
    layers: nn.Module | Sequence[nn.Module],
    folder: str | PathLike[str],
    name: str | None = None,
    *,
    values: Values | None = None,
) -> None:
    """Write compressed layers as C sources, each reading the outputs of the one before: kernels, weights, an interface, a
    demo that checks itself (``make check``), and no other library.

    The sources read one sequence at a time, (steps, inputs) -> (steps, outputs), and keep the state between calls. A cell is
    called with one step; its state is read and written in the structure that each call is given.

    Args:
        layers: one layer or several, or an ``nn.Sequential`` of them: LSTM (with projections too), GRU, RNN, their
            cells, Linear that :func:`doping.compress_` made, and ReLU, Tanh, Sigmoid between them. They stay as they are.
        folder: where to; it is made if need be.
        name: begins the name of every function and constant; by default made of the folder's name.
        values: how weights are stored, as of :func:`doping.deploy_`; products are in float32.

    Raises:
        CompressionError: a layer is not supported, is deployed in int8 arithmetic, or does not take what the one before
            gives.
        UnfinishedError: the pruning of a layer is not over.
        InferenceError: the folder cannot be written, or the name is no C identifier.

    """
    folder = as_path(folder, "folder")
    name = model_name(name, folder)
    given: Iterable[Any] = layers if isinstance(layers, nn.Sequential | list | tuple) else [layers]
    stack = [_deployed(layer, values) for layer in given if not isinstance(layer, SKIPPED)]
    made = _Stack(stack)
    interface = (STACK / "model.h").read_text().replace('#include "sizes.h"\n', made.sizes())
    files = {
        f"{name}.h": renamed(interface, name),
        "model.h": short_names(interface, name),
        "model.c": (STACK / "model.c").read_text(),
        "main.c": (STACK / "main.c").read_text(),
        "Makefile": (TEMPLATE / "Makefile").read_text(),
        "weights.h": made.weights(),
        "expected.h": _expected(stack, made.inputs),
        f"kernels/{NAMES.name}": kernel_names(FLOAT32.headers, name),
    }
    for source in (*FLOAT32.sources, *FLOAT32.headers):
        files.setdefault(f"kernels/{source.relative_to(KERNELS).as_posix()}", source.read_text())
    try:
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content, encoding="utf-8")
    except OSError as error:
        raise InferenceError(f"cannot write to {folder}: {error.strerror}; give another folder") from error


def _deployed(layer: nn.Module, values: Values | None) -> nn.Module:
    if isinstance(layer, DEPLOYED) and values is not None:
        raise CompressionError(
            f"values={values!r} comes too late: the layers are deployed, and their values are rounded there"
        )
    if type(layer) in ACTIVATIONS or isinstance(layer, DEPLOYED):
        return layer
    if isinstance(layer, CompressedLayer):
        return deploy_(copy.deepcopy(layer).eval().cpu(), values=values)
    kind = type(layer).__name__
    raise CompressionError(
        f"{kind} cannot be written as C; supported are compressed LSTM, GRU, RNN and Linear layers and cells, "
        "ReLU, Tanh and Sigmoid"
        + (
            "; doping.compress_ makes them (Method() keeps a layer dense)"
            if isinstance(layer, nn.RNNBase | nn.RNNCellBase | nn.Linear)
            else ""
        )
    )


class _Stack:
    """The layers as arrays and structures of C."""

    def __init__(self, stack: list[nn.Module]) -> None:
        widths = [_widths(layer) for layer in stack if isinstance(layer, DEPLOYED)]
        if not widths:
            raise CompressionError("there is no compressed layer to write as C; compress_ makes them")
        for (_, given), (taken, _) in pairwise(widths):
            if given != taken:
                raise CompressionError(f"a layer of {taken} inputs reads one of {given} outputs; they must be equal")
        self.inputs, self.outputs = widths[0][0], widths[-1][1]
        self._widest, self._state, self._whole = max(map(max, widths)), 0, False
        self._arrays = Weights(None)
        self._stages: list[str] = []
        self._recurrent: list[str] = []
        self._linear: list[str] = []
        self._biases: list[str] = []
        width = self.inputs
        for layer in stack:
            if isinstance(layer, DeployedLinear):
                self._add_linear(layer)
                width = layer.out_features
            elif isinstance(layer, DeployedRecurrent | DeployedCell):
                self._add_recurrent(layer)
                width = _widths(layer)[1]
            else:
                self._stages.append(f"{{{ACTIVATIONS[type(layer)]}, 0, 1, {width}, 0}}")

    def _unpacked(self, packed: Tensor) -> Unpacked:
        unpacked = Unpacked(packed)
        if unpacked.described.get("arithmetic") == "int8":
            raise CompressionError(
                "a layer is deployed in int8 arithmetic; stacks as C multiply in float32: leave out arithmetic in deploy_"
            )
        return unpacked

    def _add_linear(self, layer: DeployedLinear) -> None:
        unpacked = self._unpacked(layer.packed)
        number = len(self._linear)
        self._stages.append(f"{{LINEAR, {number}, 1, {layer.out_features}, 0}}")
        self._linear.append(self._arrays.matrix(unpacked.matrices["weight"], f"linear_{number}"))
        self._biases.append(self._bias(unpacked, "bias", f"linear_{number}_bias"))

    def _add_recurrent(self, layer: DeployedRecurrent | DeployedCell) -> None:
        both = isinstance(layer, DeployedRecurrent) and layer.bidirectional
        directions, outputs = 1 + both, _widths(layer)[1] // (1 + both)
        self._whole = self._whole or both
        cells = layer.hidden_size if layer.cell == "lstm" else 0
        for place, packed in enumerate(layer.buffers()):
            unpacked, number = self._unpacked(packed), len(self._recurrent)
            if place % directions == 0:
                self._stages.append(f"{{RECURRENT, {number}, {directions}, {outputs}, {cells}}}")
                self._widest = max(self._widest, directions * outputs)
            parts = [
                self._arrays.matrix(unpacked.matrices[kind], f"{kind}_{number}") if kind in unpacked.matrices else "{0}"
                for kind in ("input", "recurrent", "projection")
            ]
            biases = [self._bias(unpacked, f"{kind}_bias", f"{kind}_bias_{number}") for kind in ("input", "recurrent")]
            reverse = int(unpacked.described["reverse"])
            self._recurrent.append(f"{{{', '.join([*parts, *biases])}, {CELLS.index(layer.cell)}, {reverse}}}")
            self._state += outputs + cells

    def _bias(self, unpacked: Unpacked, kind: str, name: str) -> str:
        if kind not in unpacked.arrays:
            return "0"
        self._arrays.add(name, unpacked.arrays[kind])
        return name

    def sizes(self) -> str:
        """The constants of the interface."""
        comments = {"STATE": "floats", "WHOLE": "1: a call reads a whole sequence, because a layer has both directions"}
        # C has no empty arrays.
        sizes = {"INPUTS": self.inputs, "OUTPUTS": self.outputs, "STATE": max(1, self._state), "WHOLE": int(self._whole)}
        return "".join(
            f"#define MODEL_{name} {size}" + (f" /* {comments[name]} */\n" if name in comments else "\n")
            for name, size in sizes.items()
        )

    def weights(self) -> str:
        """The header of all weights."""
        lines = ["/* Written by the export. */", '#include "kernels/doped_lstm.h"', *self._arrays.lines, ""]
        lines += [f"enum {{ STAGES = {len(self._stages)}, WIDEST = {self._widest} }};"]
        for kind, name, items in (
            ("doped_recurrent", "recurrent", self._recurrent or ["{{0}}"]),
            ("doped_matrix", "linear", self._linear or ["{0}"]),
            ("float *const", "linear_bias", self._biases or ["0"]),
            ("stage", "stages", self._stages),
        ):
            lines += [f"static const {kind} {name}[{len(items)}] = {{", *(f"    {item}," for item in items), "};"]
        return "\n".join(lines) + "\n"


def _widths(layer: nn.Module) -> tuple[int, int]:
    """What a layer reads and gives in a step."""
    if isinstance(layer, DeployedLinear):
        return layer.in_features, layer.out_features
    if isinstance(layer, DeployedCell):
        return layer.input_size, layer.hidden_size
    assert isinstance(layer, DeployedRecurrent)
    return layer.input_size, layer.output_size * (1 + layer.bidirectional)


def _steps(cell: DeployedCell, x: Tensor) -> Tensor:
    """The outputs of a cell that is called once a step, (T, H)."""
    state, outputs = None, []
    for step in x:
        state = cell(step, state)
        outputs.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(outputs)


def _expected(stack: list[nn.Module], inputs: int) -> str:
    """Inputs of the demo, and what the layers make of them."""
    random = torch.Generator().manual_seed(0)
    x: Tensor = torch.randn(EXPECTED_STEPS, inputs, generator=random)
    y = x
    for layer in stack:
        found = _steps(layer, y) if isinstance(layer, DeployedCell) else layer(y)
        y = found[0] if isinstance(found, tuple) else found
    lines = [f"#define EXPECTED_STEPS {EXPECTED_STEPS}", *text_array("expected_inputs", x.numpy())]
    return "\n".join(["/* Written by the export. */", *lines, *text_array("expected_outputs", y.numpy())]) + "\n"
