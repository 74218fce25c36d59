"""Makes results that look like those of a sweep, from formulas and a fixed seed: nothing here was measured.

``python tests/support/synthetic_results.py DIR`` writes those of a large study, to look at the figures.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doping.families import is_doped

COLUMNS = [
    *("study", "trial_id", "task", "method", "cmr", "cf_requested", "cf_unit", "cf_values", "cf_bytes"),
    *("values", "bytes", "multiply_adds", "dense_values", "dense_bytes", "dense_multiply_adds"),
    *("seed", "metric", "validation", "test", "best_validation", "status", "error", "seconds", "steps"),
    *("peak_memory_mb", "data_hash", "commit", "started", "host", "hardware", "versions", "settings"),
]
OPTIONAL = ["stage", "cell", "latency_us", "bundle_bytes", "deployed_bytes", "model_bytes", "measures"]
"""Written where a row has them."""
CURVE_COLUMNS = ["trial_id", "step", "epoch", "sparsity", "cmr_probability", "training_loss", "validation"]
WATCHED = [
    *("energy_structured", "energy_sparse", "validation_without_sparse", "validation_without_structured"),
    *("gradient_structured", "gradient_sparse"),
]
"""Columns of curves that were watched closely."""
DENSE_VALUES = 128_000
STEPS = 1000
# Loss at 10x in percent of dense, and how it grows with the factor.
QUALITY = {
    "dense": (0.0, 0.0),
    "pruned": (8.0, 0.45),
    "lmf": (17.0, 0.35),
    "hmd": (12.0, 0.4),
    "kp": (24.0, 0.1),
    "doped_lmf": (9.5, 0.5),
    "doped_hmd": (8.6, 0.5),
    "doped_kp": (7.0, 0.5),
}


def settings(method: str, factor: float, seed: int, cmr: float = 0.0, **changes: Any) -> dict[str, Any]:
    """Settings of a trial; ``changes`` by dotted path with ``__`` for the dot, e.g. ``method__annealing__length=0.3``."""
    result: dict[str, Any] = {
        "task": {
            "name": "language_model",
            "data": {"corpus": "embedded", "level": "character", "path": None, "limit": None},
            "model": {"layers": 1, "hidden": 125, "dropout": 0.2, "uniform_init": None},
            "training": {"epochs": 8, "learning_rate": 0.002},
        },
        "method": {
            "name": method,
            "factor": factor,
            "unit": "values",
            "structured_share": None,
            "left_shape": None,
            "annealing": {"start": 0.15, "length": 0.55, "exponent": 3.0, "interval": 10},
            "cmr": {"probability": cmr, "anneal": True, "on": "both"},
        },
        "seed": seed,
        "data_hash": "synthetic-data",
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = result
        for parent in parents:
            place = place[parent]
        place[last] = value
    return result


def trial(
    method: str, factor: float = 1.0, seed: int = 1, cmr: float = 0.0, base: float = 1.8, **changes: Any
) -> dict[str, Any]:
    """A finished row of results; top-level columns and dotted settings may be changed by keyword."""
    columns = {name: changes.pop(name) for name in list(changes) if name in (*COLUMNS, *OPTIONAL)}
    of_trial = settings(method, factor, seed, cmr, **changes)
    noise = random.Random(f"{method} {factor} {seed} {cmr} {sorted(changes.items())}")
    at_ten, growth = QUALITY[method]
    loss = at_ten * (factor / 10) ** (growth if factor > 1 else 0) * (0.93 if cmr else 1.0)
    validation = base * (1 + loss / 100) + noise.gauss(0, 0.006 * base / 1.8)
    values = DENSE_VALUES if method == "dense" else round(DENSE_VALUES / factor * noise.uniform(0.995, 1.0))
    nonzeros = values if method == "pruned" else round(0.8 * values) if is_doped(method) else 0
    size_bytes = 4 * values + 2 * nonzeros
    row: dict[str, Any] = {
        "study": "synthetic",
        "trial_id": hashlib.sha256(f"{of_trial} {columns}".encode()).hexdigest()[:12],
        "task": "embedded-character",
        "method": method,
        "cmr": cmr,
        "cf_requested": factor,
        "cf_unit": "values",
        "cf_values": DENSE_VALUES / values,
        "cf_bytes": 4 * DENSE_VALUES / size_bytes,
        "values": values,
        "bytes": size_bytes,
        "multiply_adds": values + (500 if method in ("lmf", "hmd", "kp") else 0),
        "dense_values": DENSE_VALUES,
        "dense_bytes": 4 * DENSE_VALUES,
        "dense_multiply_adds": DENSE_VALUES,
        "seed": seed,
        "metric": "bits_per_character",
        "validation": round(validation, 6),
        "test": round(validation * 1.01 + noise.gauss(0, 0.002), 6),
        "best_validation": round(validation * 0.98, 6),
        "status": "finished",
        "error": "",
        "seconds": round(noise.uniform(20, 40), 1),
        "steps": STEPS,
        "peak_memory_mb": 512,
        "data_hash": "synthetic-data",
        "commit": "synthetic",
        "started": "2026-01-01T00:00:00+00:00",
        "host": "synthetic",
        "hardware": "synthetic: no such machine",
        "versions": "python=3.11.0 torch=2.13.0",
        "settings": json.dumps(of_trial, sort_keys=True, separators=(",", ":")),
    }
    row |= columns
    if row["status"] != "finished":
        worst = math.inf if row["status"] == "diverged" else ""
        row |= {"validation": worst, "test": worst}
    if row["status"] == "failed":
        unknown = ("cf_values", "cf_bytes", "values", "bytes", "multiply_adds", "metric", "best_validation", "steps")
        row |= dict.fromkeys(unknown, "")
    return row


def curve(row: dict[str, Any], points: int = 25) -> list[dict[str, Any]]:
    """A curve that fits ``row``: it falls, rises in the last stretch of the annealing, and recovers."""
    of_trial = json.loads(row["settings"])["method"]
    start, length = of_trial["annealing"]["start"], of_trial["annealing"]["length"]
    sparse = row["method"] == "pruned" or is_doped(row["method"])
    final = 1 - 1 / row["cf_requested"] * (0.8 if is_doped(row["method"]) else 1.0)
    end = row["validation"] if row["status"] == "finished" else 2.2
    noise = random.Random(row["trial_id"])
    lines = []
    for index in range(1, points + 1):
        share = index / points
        t = min(max((share - start) / length, 0.0), 1.0)
        sparsity = final * (1 - (1 - t) ** 3) if sparse else 0.0
        hump = 0.0
        if sparse:
            hump = (0.03 if row["cmr"] else 0.12) * sparsity**12 * max(0.0, 1 - 3 * max(0.0, share - start - length))
        level = end * (1 + 0.35 * math.exp(-7 * share) - 0.35 * math.exp(-7)) - 0.05 * (1 - sparsity) + hump
        lines.append(
            {
                "trial_id": row["trial_id"],
                "step": round(STEPS * share),
                "epoch": 8 * share,
                "sparsity": round(sparsity, 6),
                "cmr_probability": row["cmr"] * (1 - t),
                "training_loss": round(0.7 * level, 6),
                "validation": round(level + (noise.gauss(0, 0.004) if index < points else -hump), 6),
            }
        )
    return lines


def tuned(rows: list[dict[str, Any]], budget: int) -> list[dict[str, Any]]:
    """The rows with their cells, and before them so many trials of tuning for each cell, the last of them stopped early."""
    cells: dict[str, dict[str, Any]] = {}
    for row in rows:
        row |= {"stage": "final", "cell": f"{row['method']}{' + cmr' if row['cmr'] else ''} {row['cf_requested']:g}x"}
        cells.setdefault(row["cell"], row)
    tried = []
    for cell, row in cells.items():
        for index in range(budget):
            status = "stopped" if index == budget - 1 else "finished"
            columns: dict[str, Any] = {"stage": "tuning", "cell": cell, "study": row["study"], "status": status}
            rate = {"task__training__learning_rate": round(0.001 * 1.5**index, 6)}
            tried.append(trial(row["method"], row["cf_requested"], 100, row["cmr"], **columns, **rate))
    return [*tried, *rows]


def watched(line: dict[str, Any]) -> dict[str, Any]:
    """What a line of a curve has beside, where S and M were watched closely."""
    left = 1 - line["sparsity"]
    return line | {
        "energy_structured": round(1 - 0.6 * left, 6),
        "energy_sparse": round(0.6 * left, 6),
        "validation_without_sparse": round(line["validation"] * (1 + left), 6),
        "validation_without_structured": round(line["validation"] * (2 - left), 6),
        "gradient_structured": 1.0,
        "gradient_sparse": round(0.5 + left, 6),
    }


def study(factors: list[float], methods: list[tuple[str, float]], seeds: int = 3, **changes: Any) -> list[dict[str, Any]]:
    """Rows of dense and of each (method, CMR probability) at each factor."""
    rows = [trial("dense", seed=seed, **changes) for seed in range(1, seeds + 1)]
    for factor in factors:
        for method, cmr in methods:
            rows += [trial(method, factor, seed, cmr, **changes) for seed in range(1, seeds + 1)]
    return rows


def write(
    folder: Path,
    rows: list[dict[str, Any]],
    only_curves: Sequence[dict[str, Any]] = (),
    points: int = 25,
    closely: bool = False,
) -> Path:
    """Write ``results.csv`` and ``curves.csv``, the latter of ``only_curves`` too; returns the folder.

    ``closely``: with the columns WATCHED, filled for doped methods.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = [*COLUMNS, *(name for name in OPTIONAL if any(name in row for row in rows))]
    curves = {row["trial_id"]: (row, curve(row, points)) for row in (*rows, *only_curves)}
    lines = [
        watched(line) if closely and is_doped(row["method"]) else line
        for row, of_trial in curves.values()
        for line in of_trial
    ]
    of_curves = [*CURVE_COLUMNS, *(WATCHED if closely else [])]
    for name, header, data in (("results.csv", columns, rows), ("curves.csv", of_curves, lines)):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, header, lineterminator="\n")
            writer.writeheader()
            writer.writerows(data)
    return folder


FULL = [("pruned", 0.0), ("lmf", 0.0), ("hmd", 0.0), ("kp", 0.0)]
FULL += [(f"doped_{name}", cmr) for name in ("lmf", "hmd", "kp") for cmr in (0.0, 0.3)]

if __name__ == "__main__":
    everything = study([5, 10, 20, 40], FULL)
    everything += study([20], [("doped_kp", cmr) for cmr in (0.1, 0.5, 0.7)])[3:]
    for row in everything:
        row["latency_us"] = round(40 + row["multiply_adds"] / 500, 1)
    write(Path(sys.argv[1]), tuned(everything, 8), closely=True)
