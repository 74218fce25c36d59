"""Published numbers, kept as data in ``paper.yaml``, and which of our rows they stand beside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from analysis import labels
from analysis.section import Section, TableRow


@dataclass(frozen=True)
class Published:
    """A published loss of one method against dense."""

    method: str
    loss: float
    """Percent above dense."""
    source: str
    cmr: bool = False
    factor: float | None = None
    """The compression factor it is at ..."""
    at_least: float | None = None
    """... or, for a method that comes at a size of its own, a bound of it."""

    @property
    def label(self) -> str:
        """Name of the method for readers."""
        return labels.method_name(self.method, self.cmr)

    @property
    def at(self) -> str:
        """The compression factor for readers."""
        return labels.factor(self.factor) if self.factor else f"over {self.at_least:g}×"

    def matches(self, row: TableRow) -> bool:
        """Whether ``row`` is the same method at the same factor."""
        if (row.method, row.cmr) != (self.method, self.cmr):
            return False
        if self.at_least is not None:
            return row.sizes["cf_values"] >= self.at_least
        return row.factor == self.factor


@dataclass(frozen=True)
class PublishedTask:
    """What is published for one task and model."""

    task: str
    model: dict[str, Any]
    metric: str
    dense: dict[str, Any]
    """``validation``, ``test`` and ``source`` of the uncompressed model."""
    methods: list[Published]


@cache
def published() -> list[PublishedTask]:
    """All published numbers."""
    entries = yaml.safe_load(Path(__file__).with_name("paper.yaml").read_text(encoding="utf-8"))
    return [PublishedTask(**{**entry, "methods": [Published(**method) for method in entry["methods"]]}) for entry in entries]


def published_for(section: Section) -> PublishedTask | None:
    """The published numbers for the task and model of ``section``, if there are any."""
    for entry in published():
        model = {key: section.settings.get(f"task.model.{key}") for key in entry.model}
        if (entry.task, entry.metric, entry.model) == (section.task, section.metric, model):
            return entry
    return None


def published_loss(section: Section, row: TableRow) -> float | None:
    """The published loss in percent that belongs to ``row``, if there is one."""
    entry = published_for(section)
    return next((number.loss for number in entry.methods if number.matches(row)), None) if entry else None
