"""What a study may search: for each setting a range or a list of choices, and which methods it concerns.

A setting is named by its dotted key: one of ``Method`` (``annealing.length``, ``cmr.probability``), or one of the task
(``task.training.learning_rate``). What would make the models incomparable is not searched: the data, the width
and depth, how long is trained, and the compression factor, which is chosen.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from doping.errors import UserError, suggestion
from doping.method import Method
from doping.settings import HOW_TRAINED, leaf, leaves, set_leaf
from tasks.base import TaskSettings

BUDGET = ("task.training.epochs", "task.training.validations", "task.training.start_from")
"""Of the settings in HOW_TRAINED, which may be searched, these may not, nor what is in them: they say how much is trained,
and from which weights ..."""
FREE = ("task.training.start_from.distillation",)
"""... and this, which is free again."""
CHOSEN = ("name", "method", "factor", "unit", "pattern")
"""Settings of a method that make it another cell."""


class Range(BaseModel):
    """Numbers from ``low`` to ``high``, both included; whole ones if both ends are written without a point."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    low: int | float
    high: int | float
    log: bool = False
    """Whether small numbers are searched as finely as large ones."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low is {self.low:g} and high is {self.high:g}: expected low < high")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low:g}: a logarithmic range begins above 0")
        return self

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def holds(self, value: object) -> bool:
        """Whether a value lies in it."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


Choices = Annotated[list[Any], Field(min_length=2, max_length=1000)]
Searched = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")],
    Discriminator(lambda given: "choices" if isinstance(given, list) else "range"),
]
"""The values that are tried for one setting."""

Values = Mapping[str, Any]
"""Values of the searched settings, by their keys."""


class Space:
    """The searched settings that have an effect on one method."""

    def __init__(self, task: TaskSettings, method: Method, searched: Mapping[str, Searched]) -> None:
        """Raises ``SpaceError`` if a key or a value is impossible, or the written setting is not in the space."""
        self.task, self.method = task, method
        for key in searched:
            _check_key(key, task, method)
        self.searched = {key: values for key, values in searched.items() if _concerns(key, method)}
        for key, values in self.searched.items():
            written = self.written[key]
            held = values.holds(written) if isinstance(values, Range) else written in values
            if not held:
                raise SpaceError(
                    key,
                    f"{method.label} has {written!r}, which is tried first, but that is not among the values to search",
                )
        for key, variant in self._corners():
            tried = json.dumps(dict(variant))
            try:
                _, varied = self.apply(variant)
            except ValueError as error:
                raise SpaceError(key, f"{_said(error)} ({tried})") from error
            if varied.label != method.label:
                raise SpaceError(key, f"{tried} makes {varied.label} of {method.label}: give it a run of its own")

    @property
    def written(self) -> dict[str, Any]:
        """The values that the study file itself gives, or the defaults."""
        content = {**self.method.complete(), "task": self.task.complete()}
        return {key: leaf(content, key) for key in self.searched}

    def apply(self, values: Values) -> tuple[TaskSettings, Method]:
        """Task and method with these values. Raises ``ValueError`` if they are impossible."""
        method, task = self.method.complete(), self.task.complete()
        for key, value in values.items():
            set_leaf(method if not key.startswith("task.") else {"task": task}, key, value)
        return type(self.task).model_validate_json(json.dumps(task)), Method.model_validate_json(json.dumps(method))

    def sized(self) -> Iterator[Method]:
        """Methods that cover the sizes which the search can ask for; the written one is the first."""
        yield self.method
        of_size = [key for key in self.searched if key.split(".")[0] in Method.SIZED_BY]
        for key in of_size:
            for value in _ends(self.searched[key]):
                yield self.apply({key: value})[1]

    def _corners(self) -> Iterator[tuple[str, Values]]:
        """The ends of every pair of settings, all else as written: no rule of the settings concerns more than two."""
        for key, values in self.searched.items():
            yield from ((key, {key: value}) for value in _ends(values))
        for one, other in itertools.combinations(self.searched, 2):
            for first, second in itertools.product(_ends(self.searched[one]), _ends(self.searched[other])):
                yield other, {one: first, other: second}


RUN = "run"
"""Key of the choice among the runs of a ``Together``."""


class Together(Space):
    """Several methods searched as one: which of them, and the settings that each has, chosen together.

    A value of a setting that the chosen method does not have is without effect.
    """

    def __init__(self, task: TaskSettings, methods: Sequence[Method], searched: Mapping[str, Searched]) -> None:
        """Raises ``SpaceError`` as that of one method does."""
        self._spaces = {
            " ".join(filter(None, (method.label, method.budget))): Space(task, method, searched) for method in methods
        }
        self.task, self.method = task, methods[0]
        self.searched = {RUN: list(self._spaces)} if len(self._spaces) > 1 else {}
        for space in self._spaces.values():
            self.searched |= space.searched

    @property
    def written(self) -> dict[str, Any]:
        """The first method as it is written, and of the settings that it does not have what the first one that does says."""
        values: dict[str, Any] = {}
        for space in reversed(self._spaces.values()):
            values |= space.written
        return {RUN: next(iter(self._spaces)), **values} if RUN in self.searched else values

    def apply(self, values: Values) -> tuple[TaskSettings, Method]:
        """Task and method with these values. Raises ``ValueError`` if they are impossible."""
        space = self._spaces[values[RUN]] if RUN in values else next(iter(self._spaces.values()))
        return space.apply({key: value for key, value in values.items() if key in space.searched})

    def sized(self) -> Iterator[Method]:
        """The methods as they are written: what is proposed beside them and cannot be had is not tried."""
        return (space.method for space in self._spaces.values())


class SpaceError(UserError):
    """Something wrong with the search of one setting."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _concerns(key: str, method: Method) -> bool:
    """Whether a setting has an effect on a method."""
    if key == "units" and method.name == "dense" and method.size:
        return False  # its width follows from the size
    return key.startswith("task.") or method.uses(key.split(".")[0])


def _check_key(key: str, task: TaskSettings, method: Method) -> None:
    settings = {**method.complete(), "task": task.complete()}
    known = [name for name, _ in leaves(settings)]
    allowed = [name for name in known if _may_be_searched(name)]
    if key in known and not _may_be_searched(key):
        raise SpaceError(key, "this is chosen by a study, not searched: results would not be comparable")
    if key not in known:
        raise SpaceError(key, f"no such setting; {suggestion(key, allowed)}")


def _may_be_searched(key: str) -> bool:
    if key.startswith("task."):
        return key in FREE or (key.startswith(HOW_TRAINED) and not key.startswith(BUDGET))
    return key not in CHOSEN


def _ends(values: Searched) -> list[Any]:
    return [values.low, values.high] if isinstance(values, Range) else values


def _said(error: ValueError) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return error.errors()[0]["msg"].removeprefix("Value error, ")
    return str(error)
