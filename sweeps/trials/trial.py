"""A trial: everything that defines one training, and the id that follows from it."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from doping.errors import without_home
from doping.method import Method
from doping.settings import Settings
from tasks.base import TaskSettings
from tasks.registry import AnyTask

RESULT_FORMAT = 1
"""Raised when the same settings give another result than before, so that old results are not taken for new ones."""


WHERE: dict[str, Any] = {"task": {"data": {"path"}, "training": {"start_from": {"path"}}}}
"""Fields that say where something lies; others say what it is."""


class Trial(Settings):
    """One training, defined in full. Equal trials have equal ids, and a trial is run once in a results folder."""

    task: AnyTask
    """Data, model and training."""
    method: Method
    """How the LSTM is compressed."""
    seed: int = Field(ge=0)
    """Seed of every random choice."""
    data_hash: str
    """Hash of the corpus as it is read."""

    @model_validator(mode="before")
    @classmethod
    def _as_it_was_written(cls, given: Any) -> Any:
        """A hybrid method that is written without ``free_rows`` is of the time when they were stacked."""
        method = given.get("method") if isinstance(given, dict) else None
        if isinstance(method, dict) and str(method.get("name")).endswith("hmd"):
            return {**given, "method": {"free_rows": "stacked", **method}}
        return given

    @field_validator("method")
    @classmethod
    def _without_idle_settings(cls, method: Method) -> Method:
        """Settings that the method ignores take their defaults: they must not make two trials of one."""
        fields = Method.model_fields.items()
        idle = {name: field.default for name, field in fields if not method.uses(name)}
        return method.model_copy(update=idle)

    @cached_property
    def settings(self) -> str:
        """All fields as canonical JSON: sorted keys, no blanks."""
        return _canonical(self.model_dump(mode="json"))

    @cached_property
    def id(self) -> str:
        """First 12 hex digits of the SHA-256 of all fields and ``RESULT_FORMAT``.

        Where the text and the model to start from lie is left out, because ``data_hash`` and the id of its trial say what
        they are; and so are fields that were added later, while they have their default (``added_later`` in
        ``lightning_modules.settings``).
        """
        fields = self.model_dump(mode="json", exclude=WHERE)
        return hashlib.sha256(_canonical(fields | {"format": RESULT_FORMAT}).encode()).hexdigest()[:12]

    @property
    def task_label(self) -> str:
        """Short name of the task, e.g. ``embedded-character``."""
        return self.task.label

    @cached_property
    def built(self) -> tuple[TaskSettings, Method]:
        """The task at the width of the method, and the method for matrices of that width: what a model is built from.

        Raises:
            ValueError: the method has no such size or width.

        """
        from doping.sizes import resolved

        task, method = resolved(self.task, self.method)
        return task, method

    @property
    def label(self) -> str:
        """Name in messages, e.g. ``doped_kp + cmr 20x seed 1``."""
        return label(self.method, self.seed)


def for_others(settings: str) -> str:
    """Settings of a trial as they are given away: its paths relative to the current folder, or to ``~``.

    They are no part of its id, and would say how a home folder is called.
    """
    content = json.loads(settings)
    for part in (content["task"]["data"], content["task"]["training"].get("start_from")):
        if part and part.get("path"):
            path, here = Path(part["path"]).absolute(), Path.cwd()
            part["path"] = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    return without_home(_canonical(content))


def label_of(settings: str) -> str:
    """The label of a trial, from its settings as a row has them; nothing of its task is imported."""
    try:
        written = json.loads(settings)
        return label(Method.model_validate(written["method"]), int(written["seed"]))
    except (ValueError, KeyError, TypeError):
        return "a trial of another version"


def label(method: Method, seed: int) -> str:
    """Name of a trial in messages, e.g. ``doped_kp + cmr 20x seed 1``."""
    return " ".join(filter(None, (method.label, method.budget, f"seed {seed}")))


def _canonical(fields: dict[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
