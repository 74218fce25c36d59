"""The tasks by name. A new one is a file like those beside this one, and a line here."""

from __future__ import annotations

import importlib
import json
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Annotated, Any

from pydantic import PlainValidator, SerializeAsAny

from doping.errors import DataError, UserError, one_line
from tasks.base import TaskSettings

TASKS = {
    "language_model": "tasks.language_model:LanguageModelTask",
    "intent": "tasks.intent:IntentTask",
    "translation": "tasks.translation:TranslationTask",
}
"""Place of the settings of each task."""

DEFAULT = "language_model"


_trusted: set[str] = set()


def trust(content: Any) -> None:
    """Let this process import the own task that settings or a place name, because its user named it.

    Importing a module runs it. So a place like ``package.module:Class`` in a study that one runs is followed, and one in
    results that somebody else may have written is not.
    """
    name = content.get("name") if isinstance(content, Mapping) else content
    if isinstance(name, str):
        _trusted.add(name)


def settings_class(name: str) -> type[TaskSettings]:
    """Settings of the task of this name; a place like ``package.module:Class`` that is trusted is a name too.

    Raises:
        ValueError: there is no such task, or it is an own one that the user has not named.

    """
    if not isinstance(name, str):
        raise ValueError(f"the name of the task is {name!r}; expected one of {', '.join(TASKS)}, or package.module:Class")
    module, colon, attribute = TASKS.get(name, name).partition(":")
    if not colon:
        raise ValueError(f"no task {name!r}; expected one of {', '.join(TASKS)}, or a place like package.module:Class")
    if name not in TASKS and name not in _trusted:
        raise ValueError(
            f"the task {name!r} is code of its own, which runs only where you name it: in your study, or with --trust {name}"
        )
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise ValueError(f"no task {name!r}; expected a place like package.module:Class")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the module is the user's, and may raise anything
        raise ValueError(f"no task {name!r}: {one_line(error)}") from error
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
    """Hash of the data of a task. Raises ``DataError`` if they cannot be had, whatever an own task raises."""
    try:
        return task.data_hash()
    except (UserError, OSError):
        raise
    except Exception as error:
        if task.name in TASKS:
            raise
        raise DataError(f"data_hash of {task.name}: {one_line(error)} ({_place(error)})") from error


def _place(error: BaseException) -> str:
    """File and line where an error was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


AnyTask = Annotated[SerializeAsAny[TaskSettings], PlainValidator(_validated)]
"""Settings of any task: which class they are of follows from their ``name``."""
