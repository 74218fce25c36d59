"""Figures from checkpoints: the pattern of S with the shapes of the factors of M, and the nonzeros gate by gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis import checkpoint
from analysis.checkpoint import GATES, WeightMatrix
from analysis.figures import drawing
from analysis.results import Results
from analysis.section import Section, TableRow

COLOURS = "Blues"
WIDTH, LEFT, GAP, STRIP, BELOW, ABOVE = 6.9, 0.1, 0.25, 0.72, 0.2, 0.42
"""Inches: the whole width; the margin, the gap between two matrices, the height of a matrix, the room below and above it."""
BLOCKS = 160, 40
"""Most blocks that a matrix is shown in, across its outputs and its inputs."""


@dataclass(frozen=True)
class Trained:
    """The first seed of a setting whose trained model is still there."""

    section: Section
    row: TableRow
    matrices: list[WeightMatrix]
    """Those with a sparse part."""

    @property
    def label(self) -> str:
        """Name for readers, with the factor."""
        return f"{self.row.label}, {self.row.asked}"


def draw_patterns(sections: Sequence[Section], _: Results, stem: Path) -> list[Path]:
    """Draw the patterns at the highest factor of a study to ``stem.png`` and ``stem.svg``; returns the paths, none if none.

    Matrices lie on their side: outputs run to the right, gate by gate, inputs down. A shade is the share of nonzeros in a
    block of entries.
    """
    shown = [one for section in sections for one in _trained(section, highest=True)]
    if not shown:
        return []
    down = STRIP + BELOW + ABOVE
    lines = [(one, pair) for one in shown for pair in _pairs(one.matrices)]
    height = len(lines) * down + 0.5
    top = max(float(_blocks(matrix.mask).max()) for one in shown for matrix in one.matrices)
    norm = Normalize(0, 100 * top)
    with drawing.style():
        figure = Figure(figsize=(WIDTH, height))
        across = (WIDTH - 2 * LEFT - GAP) / 2
        for index, (one, pair) in enumerate(lines):
            bottom = height - (index + 1) * down + BELOW
            figure.text(LEFT / WIDTH, (bottom + STRIP + 0.26) / height, one.label, weight="bold")
            for column, matrix in enumerate(pair):
                left = LEFT + column * (across + GAP)
                axes = figure.add_axes((left / WIDTH, bottom / height, across / WIDTH, STRIP / height))
                _pattern(axes, matrix, norm)
        bar = figure.add_axes((0.3, 0.38 / height, 0.4, 0.07 / height))
        figure.colorbar(ScalarMappable(norm, COLOURS), cax=bar, orientation="horizontal", label="Nonzeros in a block, %")
        return drawing.save(figure, stem)


def draw_gates(sections: Sequence[Section], _: Results, stem: Path) -> list[Path]:
    """Draw a heat map of where the nonzeros fell to ``stem.png`` and ``stem.svg``; returns the paths, none if none.

    A line a setting; a cell is the share of nonzeros of a gate over that of all matrices of the model.
    """
    shown = [one for section in sections for one in _trained(section, highest=False)]
    if not shown:
        return []
    names = list(dict.fromkeys(matrix.name for one in shown for matrix in one.matrices))
    shares = np.full((len(shown), len(names) * len(GATES)), np.nan)
    for line, one in enumerate(shown):
        overall = sum(int(matrix.mask.sum()) for matrix in one.matrices) / sum(matrix.mask.size for matrix in one.matrices)
        for matrix in one.matrices:
            start = names.index(matrix.name) * len(GATES)
            shares[line, start : start + len(GATES)] = [share / overall for share in matrix.gate_shares()]
    with drawing.style():
        room = drawing.label_room([one.label for one in shown])[0]
        width, height = room + 0.44 * shares.shape[1] + 0.1, 0.24 * len(shown) + 0.5
        figure = Figure(figsize=(width, height))
        box = (room / width, 0.1 / height, 0.44 * shares.shape[1] / width, 0.24 * len(shown) / height)
        _heat_map(figure.add_axes(box), shares, [one.label for one in shown], names)
        return drawing.save(figure, stem)


def _trained(section: Section, highest: bool) -> list[Trained]:
    rows = [row for row in section.rows if row.sparse]
    if highest:
        most = max((row.factor for row in rows), default=0.0)
        rows = [row for row in rows if row.factor == most]
    found = []
    for row in rows:
        trials = row.finished.sort_values("seed").to_dict("records")
        of_trials = [checkpoint.path_of(Path(trial["folder"]), trial["trial_id"]) for trial in trials]
        paths = [path for path in of_trials if path.is_file()]
        if paths and (matrices := [matrix for matrix in checkpoint.read(paths[0]) if matrix.mask is not None]):
            found.append(Trained(section, row, matrices))
    return found


def _pairs(matrices: Sequence[WeightMatrix]) -> list[Sequence[WeightMatrix]]:
    return [matrices[index : index + 2] for index in range(0, len(matrices), 2)]


def _blocks(mask: Any) -> Any:
    """Share of nonzeros in blocks of the matrix on its side, (blocks of inputs, blocks of outputs)."""
    result = mask.T.astype(float)
    for axis, most in ((1, BLOCKS[0]), (0, BLOCKS[1])):
        edges = np.unique(np.linspace(0, result.shape[axis], min(most, result.shape[axis]) + 1).round().astype(int))
        sums = np.add.reduceat(result, edges[:-1], axis=axis)
        sizes = np.diff(edges)
        result = sums / (sizes if axis == 1 else sizes[:, None])
    return result


def _pattern(axes: Axes, matrix: WeightMatrix, norm: Normalize) -> None:
    m, n = matrix.mask.shape
    image = 100 * _blocks(matrix.mask)
    axes.imshow(image, cmap=COLOURS, norm=norm, aspect="auto", extent=(0, m, n, 0), interpolation="nearest")
    for gate in range(1, len(GATES)):
        axes.axvline(gate * m / len(GATES), color="black", linewidth=0.6)
    factors = ", ".join(f"{name.upper()} {_shape(shape)}" for name, shape in matrix.factors.items())
    axes.set_title(f"{_title(matrix.name)}, {m} × {n}" + (f"; M: {factors}" if factors else ""), loc="left", fontsize=7)
    axes.set_xticks([(gate + 0.5) * m / len(GATES) for gate in range(len(GATES))], GATES)
    axes.tick_params(length=0, pad=1)
    axes.set_yticks([])


def _heat_map(axes: Axes, shares: Any, names: Sequence[str], matrices: Sequence[str]) -> None:
    furthest = max(float(np.nanmax(np.abs(np.log(np.maximum(shares, 0.1))))), 0.05)
    # Logarithmic, so that half as many and twice as many are equally far from white.
    axes.imshow(
        np.log(np.maximum(shares, 0.1)), cmap="PuOr_r", vmin=-furthest, vmax=furthest, aspect="auto", interpolation="nearest"
    )
    for (line, column), share in np.ndenumerate(shares):
        if np.isfinite(share):
            dark = abs(np.log(max(share, 0.1))) > 0.6 * furthest
            axes.text(column, line, f"{share:.2f}", ha="center", va="center", color="white" if dark else "black")
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(shares.shape[1]), [*GATES] * len(matrices))
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    for index, name in enumerate(matrices):
        axes.annotate(
            _title(name),
            xy=(len(GATES) * index - 0.5, 1),
            xycoords=("data", "axes fraction"),
            xytext=(2, 18),
            textcoords="offset points",
            weight="bold",
        )
        if index:
            axes.axvline(len(GATES) * index - 0.5, color="white", linewidth=3)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _shape(shape: tuple[int, ...]) -> str:
    """``20×40``; a Kronecker product of one term does without the number of terms."""
    return "×".join(map(str, shape[1:] if len(shape) == 3 and shape[0] == 1 else shape))


def _title(name: str) -> str:
    """``Input weights, layer 1`` for ``weight_ih_l0``."""
    kind, layer = name.removeprefix("weight_").removesuffix("_reverse").split("_l")
    backward = ", backward" if name.endswith("_reverse") else ""
    return f"{'Input' if kind == 'ih' else 'Recurrent'} weights, layer {int(layer) + 1}{backward}"
