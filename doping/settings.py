"""What all settings have in common.

The classes are validated when they are made: an unknown key, a wrong type or an impossible value raises
``pydantic.ValidationError``, which names the place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

HOW_TRAINED = ("task.training.", "task.model.dropout", "task.model.uniform_init")
"""How the keys below ``task`` begin that say how it is trained, not what it is: trials that differ in them only can be
compared, so a study may search them."""


class Settings(BaseModel):
    """Base of all settings: immutable, hashable, and strict about unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    def complete(self) -> dict[str, Any]:
        """All fields as JSON has them, also those that ``added_later`` leaves out of what is written."""
        written = self.model_dump(mode="json")
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: value.complete() if isinstance(value, Settings) else written.get(name, value)
            for name, value in fields.items()
        }


def leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All settings below nested ones, by their dotted keys, e.g. ``method.cmr.probability``; a list is one value."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def leaf(settings: Any, key: str) -> Any:
    """The value of a dotted key; None where there is none."""
    for part in key.split("."):
        settings = settings.get(part) if isinstance(settings, dict) else None
    return settings


def set_leaf(settings: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a dotted key, in place. Raises ``KeyError`` where nothing is there to hold it."""
    *parts, last = key.split(".")
    for part in parts:
        settings = settings[part]
    settings[last] = value


def one_of(names: Callable[[], Collection[str]]) -> AfterValidator:
    """Refuses a name that is none of these at the time, as a ``Literal`` does."""

    def validate(name: str) -> str:
        if name not in names():
            *most, last = (f"'{known}'" for known in names())
            expected = f"{', '.join(most)} or {last}"
            raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
        return name

    return AfterValidator(validate)


def added_later(default: Any) -> Any:
    """A field that came after the first results: where it has its default it is left out of everything that is written.

    So the ids of trials, which are hashes of their settings, and the settings in rows stay those of the versions that did
    not have the field. Every setting that is added to an existing class is declared with this; its default must mean what
    was done before, and never changes.
    """
    return Field(default=default, exclude_if=lambda value: value == default)


_UNITS = {"b": 1, "": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}


def byte_size(given: Any) -> Any:
    """Bytes of a text like ``64kB``, ``1.5 MB`` or ``64KiB`` (kB are 1,000 bytes, KiB 1,024); all else stays as it is.

    Raises:
        ValueError: a text that is no size.

    """
    if not isinstance(given, str):
        return given
    written = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)", given.strip())
    if not written or written[2].lower() not in _UNITS:
        raise ValueError(f"{given!r} is no size; expected bytes, or a number with a unit, like 64kB, 1.5MB or 64KiB")
    return int(float(written[1]) * _UNITS[written[2].lower()])


def microseconds(given: Any) -> Any:
    """Microseconds of a text like ``20us``, ``20 µs`` or ``1.5ms``; all else stays as it is.

    Raises:
        ValueError: a text that is no time.

    """
    if not isinstance(given, str):
        return given
    written = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(us|µs|μs|ms)", given.strip())
    if not written:
        raise ValueError(f"{given!r} is no time; expected microseconds, or a number with a unit, like 20us or 1.5ms")
    return float(written[1]) * (1000 if written[2] == "ms" else 1)
