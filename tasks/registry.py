"""The tasks by name. A new one is a file like those beside this one, and a line here."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from types import FunctionType
from typing import Annotated, Any

from pydantic import PlainValidator, SerializeAsAny

from tasks.base import TaskSettings

TASKS = {
    "language_model": "tasks.language_model:LanguageModelTask",
    "intent": "tasks.intent:IntentTask",
    "translation": "tasks.translation:TranslationTask",
}
"""Place of the settings of each task."""

DEFAULT = "language_model"


def settings_class(name: str) -> type[TaskSettings]:
    """Settings of the task of this name; a place like ``package.module:Class`` is a name too.

    Raises:
        ValueError: there is no such task.

    """
    module, colon, attribute = TASKS.get(name, name).partition(":")
    if not colon:
        raise ValueError(f"no task {name!r}; expected one of {', '.join(TASKS)}, or a place like package.module:Class")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"no task {name!r}: {error}") from error
    if isinstance(found, FunctionType):
        from tasks.script import script_class

        return script_class(name, found)
    if not (isinstance(found, type) and issubclass(found, TaskSettings)):
        raise ValueError(f"no task {name!r}: that is neither a class of TaskSettings nor a function that trains")
    return found


def class_of(content: Mapping[str, Any]) -> type[TaskSettings]:
    """Class of the settings that are written as ``content``. Raises ``ValueError`` if there is no such task."""
    return settings_class(content.get("name", DEFAULT))


def _validated(given: Any) -> TaskSettings:
    if isinstance(given, TaskSettings):
        return given
    if not isinstance(given, Mapping):
        raise ValueError(f"{given!r} was given, expected the settings of a task")
    # As JSON, where a list may be a tuple also under strict validation.
    return class_of(given).model_validate_json(json.dumps(given), strict=True)


def data_hash(task: TaskSettings) -> str:
    """Hash of the data of a task. Raises ``DataError`` if they cannot be had."""
    return task.data_hash()


AnyTask = Annotated[SerializeAsAny[TaskSettings], PlainValidator(_validated)]
"""Settings of any task: which class they are of follows from their ``name``."""
