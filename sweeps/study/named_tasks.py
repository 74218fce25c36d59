"""Tasks that studies can name in place of writing out their settings: ``task: ptb_medium``.

``task: {named: ptb_medium, training: {epochs: 2}}`` changes some of the settings of a named one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from doping.errors import suggestion
from doping.settings import Settings
from sweeps.study import strict_yaml
from tasks.registry import class_of

FOLDER = Path(__file__).parents[2] / "tasks" / "named"
"""A file for each, with the settings that differ from the defaults."""


def names() -> list[str]:
    """All named tasks."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def written_out(task: Any) -> Any:
    """Settings of a task with those of the task that they name, if they name one.

    Raises:
        ValueError: there is no task of that name.

    """
    if isinstance(task, str):
        task = {"named": task}
    if not isinstance(task, Mapping) or "named" not in task:
        return task
    name, own = task["named"], {key: value for key, value in task.items() if key != "named"}
    if name not in names():
        raise ValueError(f"no task is named {name!r}; {suggestion(str(name), names())}")
    path = FOLDER / f"{name}.yaml"
    return merged(strict_yaml.parse(path.read_text(encoding="utf-8"), path.name), own)


def over_defaults(task: Any) -> Any:
    """Settings of a task over those that its class sets: a study that sets one key of ``training`` keeps the others.

    What the class does not set itself is left out, as it is in the class. A task that does not exist is given back as it is:
    whoever checks it says so.
    """
    try:
        fields = class_of(task).model_fields
    except (ValueError, AttributeError, TypeError):
        return task
    defaults = {name: field.default for name, field in fields.items() if isinstance(field.default, Settings)}
    return merged({name: default.model_dump(mode="json", exclude_unset=True) for name, default in defaults.items()}, task)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the keys of ``over``; nested settings are merged key by key."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result
