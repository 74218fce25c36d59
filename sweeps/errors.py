"""Mistakes of users, each said in one line: what was given, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from doping.settings import KeyPath, described_mistake, model_in
from tasks.base import TaskSettings
from tasks.registry import class_of


def first_mistake(
    error: ValidationError, model: type[BaseModel], content: Any, known: Iterable[str] = ()
) -> tuple[KeyPath, str]:
    """The first mistake of a failed validation of ``content``: its key path, and what was given and expected, in one line.

    ``known`` are keys on the top level that ``model`` itself does not have.
    """
    return described_mistake(error, content, lambda path: [*_keys(model, path, content), *(() if path else known)])


def _keys(model: type[BaseModel], path: Sequence[str | int], content: Any) -> list[str]:
    """Keys that the settings at ``path`` below ``model`` may have."""
    current = model
    for part in path:
        content = content.get(part) if isinstance(content, dict) else None
        field = current.model_fields.get(str(part))
        inner = model_in(field.annotation) if field else None
        if inner is TaskSettings:
            inner = class_of(content or {})
        current = inner or current
    return list(current.model_fields)
