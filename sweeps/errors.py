"""Mistakes of users, each said in one line: what was given, what was expected, what to do."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from tasks.base import TaskSettings
from tasks.registry import class_of

KeyPath = tuple[str | int, ...]
"""Place in nested settings, e.g. ``("runs", 0, "factor")``."""


def suggestion(given: str, known: Iterable[str], several: str = "known are") -> str:
    """``did you mean 'x'?`` where something known is close to ``given``, else a list of all that is known."""
    names = list(known)
    close = difflib.get_close_matches(given, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"{several} {', '.join(names)}" if names else f"{several} none"


def dotted(path: Sequence[str | int]) -> str:
    """A key path as text: ``runs[0].factor``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def first_mistake(
    error: ValidationError, model: type[BaseModel], content: Any, known: Iterable[str] = ()
) -> tuple[KeyPath, str]:
    """The first mistake of a failed validation of ``content``: its key path, and what was given and expected, in one line.

    ``known`` are keys on the top level that ``model`` itself does not have.
    """
    first, *others = error.errors(include_url=False)
    # A key that is misspelt is also missing: the key that is there says more.
    beside = (other for other in others if other["type"] == "extra_forbidden" and other["loc"][:-1] == first["loc"][:-1])
    mistake = next(beside, first)
    path, kind, given = _written(mistake["loc"], content), mistake["type"], reprlib.repr(mistake["input"])
    if kind == "extra_forbidden":
        keys = [*_keys(model, path[:-1], content), *(known if len(path) == 1 else ())]
        return path, f"unknown key; {suggestion(str(path[-1]), keys)}"
    if kind == "missing":
        return path, "this key is missing"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", mistake["ctx"]["expected"])
        word = mistake["input"] if isinstance(mistake["input"], str) else ""
        return path, f"{given} is not known; {suggestion(word, choices)}"
    if kind == "value_error":
        return path, mistake["msg"].removeprefix("Value error, ")
    if kind in ("too_short", "too_long"):
        most = kind == "too_long"
        limit = f"{'at most' if most else 'at least'} {mistake['ctx']['max_length' if most else 'min_length']:,}"
        return path, f"{given} was given, {mistake['ctx']['actual_length']:,} values, expected {limit}"
    if mistake["loc"][-1:] == ("int",) and path[-1:] != ("int",):
        return path, f"{given} was given, expected a number"
    expected = mistake["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    for technical, plain in (("array", "a list"), ("object", "keys with values"), ("dictionary", "keys with values")):
        expected = plain if expected in (technical, f"an {technical}") else expected
    return path, f"{given} was given, expected {expected[:1].lower()}{expected[1:]}"


def _written(path: KeyPath, content: Any) -> KeyPath:
    """The place of a mistake, without the names of alternatives that pydantic puts between the keys of the user."""
    written: list[str | int] = []
    for number, part in enumerate(path):
        is_last = number == len(path) - 1
        there = isinstance(content, dict) and part in content
        if there or isinstance(part, int) or (is_last and isinstance(content, dict)):
            written.append(part)
            content = content[part] if there or (isinstance(content, list) and isinstance(part, int)) else None
    return tuple(written)


def _keys(model: type[BaseModel], path: Sequence[str | int], content: Any) -> list[str]:
    """Keys that the settings at ``path`` below ``model`` may have."""
    current = model
    for part in path:
        content = content.get(part) if isinstance(content, dict) else None
        field = current.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field else None
        if inner is TaskSettings:
            inner = class_of(content or {})
        current = inner or current
    return list(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for argument in get_args(annotation) if (model := _model_in(argument))), None)
