"""Tells apart settings that share a method's name: which settings differ, and a short label for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from doping.patterns import PATTERNS
from doping.settings import HOW_TRAINED, leaves

Flat = dict[str, Any]
"""Settings by dotted path, e.g. ``{"method.cmr.probability": 0.3}``; a list is a value, as a tuple."""

IDENTITY = (
    *("seed", "data_hash", "method.name", "method.factor", "method.unit", "method.size"),
    *("task.name", "task.data.path"),
)
"""Paths that never make a variant: they have a column of their own, or (the path of a text) do not matter."""

SAID = ("method.units", "method.values", "method.embedding_rank", "method.embedding_values", "method.bias")
"""Paths that each variant of a section names if any of them has such a setting."""

CMR = "method.cmr."
PROBABILITY = "method.cmr.probability"
_PHRASES: dict[str, dict[object, str]] = {
    "method.cmr.anneal": {True: "p annealed", False: "p constant"},
    "method.annealing.criterion": {None: "by magnitude", "saliency": "by saliency"},
    "method.pattern": {None: PATTERNS["unstructured"].label, **{name: pattern.label for name, pattern in PATTERNS.items()}},
    "method.values": {None: "float32", "int8": "int8", "int4": "int4"},
    "method.units": {None: ""},
    "method.embedding_rank": {None: ""},
    "method.embedding_values": {None: ""},
    "method.bias": {None: "", False: "no biases"},
    "method.free_rows": {None: "free rows in the input gate", "gates": "free rows in every gate"},
}
"""Values that speak for themselves, without the name of their setting; None where a setting has its default."""
_NAMES = {PROBABILITY: "p =", "method.cmr.on": "on"}
_TRANSPARENT = {"task", "method", "training", "model", "data"}


def flatten(settings: dict[str, Any]) -> Flat:
    """All leaves of nested settings by dotted path."""
    return {path: tuple(value) if isinstance(value, list) else value for path, value in leaves(settings)}


def task_settings(flat: Flat) -> Flat:
    """What makes a task: its settings below ``task``, without those of IDENTITY and HOW_TRAINED."""
    return {
        path: value
        for path, value in flat.items()
        if path.startswith("task.") and not path.startswith(HOW_TRAINED) and path not in IDENTITY
    }


def without_cmr(flat: Flat) -> Flat:
    """The settings of the method, whatever its row dropout: what a method with it and one without have in common."""
    return {path: value for path, value in flat.items() if path.startswith("method.") and not path.startswith(CMR)}


def varying(groups: Iterable[Sequence[Flat]]) -> list[str]:
    """Paths, without those of IDENTITY, that take several values within at least one group; CMR's probability first.

    What the precision of the values decides in a group, such as a training with rounded weights, needs no name of its own.
    """
    paths: set[str] = set()
    for group in groups:
        for path in {path for flat in group for path in flat}:
            # 1 and True, or 0 and False, are equal in Python: compare what would be read.
            if path not in IDENTITY and len({repr(flat.get(path)) for flat in group}) > 1 and not _decided(path, group):
                paths.add(path)
    return sorted(paths, key=lambda path: (path != PROBABILITY, not path.startswith(CMR), path))


def _decided(path: str, group: Sequence[Flat]) -> bool:
    """Whether ``method.values`` decides a setting of the method within a group."""
    if path in SAID or not path.startswith("method."):
        return False
    pairs = {(flat.get("method.values"), repr(flat.get(path))) for flat in group}
    return len(pairs) == len({values for values, _ in pairs})


def describe(flat: Flat, paths: Sequence[str]) -> str:
    """Label of the values at ``paths``, e.g. ``annealing length 0.3, p = 0.5``; empty without paths."""
    return ", ".join(filter(None, (_one(path, flat.get(path)) for path in paths)))


def sort_key(flat: Flat, paths: Sequence[str]) -> tuple[tuple[bool, float, str], ...]:
    """Sorts variants by their values: numbers as numbers, all else as text."""
    values = [flat.get(path) for path in paths]
    return tuple(
        (False, float(value), "") if isinstance(value, int | float) else (True, 0.0, str(value)) for value in values
    )


def _one(path: str, value: object) -> str:
    if path in _PHRASES and value in _PHRASES[path]:
        return _PHRASES[path][value]
    words = [word for word in path.split(".") if word not in _TRANSPARENT] or [path]
    return f"{_NAMES.get(path, ' '.join(words).replace('_', ' '))} {_text(value)}"


def _text(value: object) -> str:
    if value is None:
        return "by default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        short = f"{value:g}"
        # Rows are told apart by their labels: no digit that matters may be lost.
        return short if float(short) == value else repr(value)
    return "×".join(map(_text, value)) if isinstance(value, tuple) else str(value)
