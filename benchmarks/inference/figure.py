"""The benchmark's figure: speed-up against compression factor, batch 1, one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PAPER = (2.5, 5.5)
"""Speed-ups that the paper reports (MLSys 2021, abstract)."""

SERIES = [
    ("doped_kp", "gates", "doped KP, gates", "C0", "-"), ("doped_kp", "rows", "doped KP, rows", "C2", "-"),
    ("doped_kp", "unstructured", "doped KP, single values", "C3", "-"), ("pruned", "gates", "pruned, gates", "C0", "--"),
    ("pruned", "rows", "pruned, rows", "C2", "--"), ("pruned", "unstructured", "pruned, single values", "C3", "--"),
    ("kp", "", "KP alone", "0.4", "-"), ("lmf", "", "LMF", "0.4", "--"), ("hmd", "", "HMD", "0.4", ":"),
]  # fmt: skip
"""Engine, pattern, label, color, line; other doped methods are in the table."""


def draw(rows: list[dict[str, Any]], folder: Path) -> None:
    """Write ``inference_benchmark.png`` and ``.svg``: a column a width, a row a mode."""
    shown = [row for row in rows if row["batch"] == 1 and row["threads"] == 1 and row["values"] == "float32"]
    widths, modes = sorted({row["hidden"] for row in shown}), ["generating", "scoring"]
    figure, axes = plt.subplots(
        2, len(widths), figsize=(3.2 * len(widths) + 2.4, 6), sharex=True, squeeze=False, layout="constrained"
    )
    for column, hidden in enumerate(widths):
        for row, mode in enumerate(modes):
            axis = axes[row][column]
            axis.axhspan(*PAPER, color="0.9", zorder=0, label=f"paper: {PAPER[0]}–{PAPER[1]}x")
            for engine, pattern, label, color, line in SERIES:
                points = sorted(
                    (r["factor"], r["speedup"])
                    for r in shown
                    if (r["hidden"], r["mode"], r["engine"], r["pattern"]) == (hidden, mode, engine, pattern)
                )
                if points:
                    axis.plot(*zip(*points, strict=True), line, color=color, marker="o", markersize=3, label=label)
            axis.set_ylim(bottom=0)
            axis.grid(alpha=0.3)
            axis.set_title(f"{hidden} wide, {mode}", fontsize=10)
            if row == 1:
                axis.set_xlabel("compression factor (values)")
            if column == 0:
                axis.set_ylabel("speed-up over the\nfastest dense engine")
    figure.suptitle("One LSTM layer, batch 1, one thread", fontsize=11)
    figure.legend(
        *max((axis.get_legend_handles_labels() for axis in axes.flat), key=lambda found: len(found[0])),
        loc="outside right center",
        frameon=False,
        fontsize=9,
    )
    for kind in ("png", "svg"):
        figure.savefig(folder / f"inference_benchmark.{kind}", dpi=130)
    plt.close(figure)
