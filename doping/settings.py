"""What all settings have in common.

The classes are validated when they are made: an unknown key, a wrong type or an impossible value is one line that names
the place.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from doping.errors import SettingsError, suggestion

KeyPath = tuple[str | int, ...]
"""Place in nested settings, e.g. ``("runs", 0, "factor")``."""

HOW_TRAINED = ("task.training.", "task.model.dropout", "task.model.uniform_init")
"""How the keys below ``task`` begin that say how it is trained, not what it is: trials that differ in them only can be
compared, so a study may search them."""


class Settings(BaseModel):
    """Base of all settings: immutable, hashable, and strict about unknown keys.

    Raises:
        SettingsError: made in Python with a setting that is not one, or has a value that it cannot have. The methods of
            pydantic that read (``model_validate``) raise pydantic's own error.

    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    def __init__(self, *positional: Any, **given: Any) -> None:
        kind = type(self)
        if positional:
            shown = reprlib.repr(positional[0])
            raise SettingsError(f"{kind.__name__} was given {shown} without a name; give each setting by its name")
        try:
            super().__init__(**given)
        except ValidationError as error:
            path, message = described_mistake(error, given, lambda path: _keys(kind, path))
            raise SettingsError(f"{kind.__name__}: {dotted(path)}{': ' * bool(path)}{message}") from None

    # Else pydantic would call it for settings in settings as well, and lose the place of a mistake.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self).__name__
        if name not in type(self).model_fields:
            raise SettingsError(f"{kind}: {name}: unknown key; {suggestion(name, type(self).model_fields)}")
        raise SettingsError(f"{kind}: {name} cannot be changed; make another {kind}, with {name}={reprlib.repr(value)}")

    def complete(self) -> dict[str, Any]:
        """All fields as JSON has them, also those that ``added_later`` leaves out of what is written."""
        written = self.model_dump(mode="json")
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: value.complete() if isinstance(value, Settings) else written.get(name, value)
            for name, value in fields.items()
        }


def _keys(kind: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Keys that the settings at ``path`` below ``kind`` may have."""
    for part in path:
        field = kind.model_fields.get(str(part))
        kind = (model_in(field.annotation) if field else None) or kind
    return list(kind.model_fields)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The settings in the type of a field; none where it is a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for argument in get_args(annotation) if (model := model_in(argument))), None)


def dotted(path: Sequence[str | int]) -> str:
    """A key path as text: ``runs[0].factor``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def described_mistake(error: ValidationError, content: Any, keys: Callable[[KeyPath], Iterable[str]]) -> tuple[KeyPath, str]:
    """The first mistake of a failed validation of ``content``: its key path, and what was given and expected, in one line.

    ``keys`` are those that there may be at a path.
    """
    first, *others = error.errors(include_url=False)
    # A key that is misspelt is also missing: the key that is there says more.
    beside = (other for other in others if other["type"] == "extra_forbidden" and other["loc"][:-1] == first["loc"][:-1])
    mistake = next(beside, first)
    path, kind, given = _written(mistake["loc"], content), mistake["type"], reprlib.repr(mistake["input"])
    if kind == "extra_forbidden":
        return path, f"unknown key; {suggestion(str(path[-1]), keys(path[:-1]))}"
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
    expected = mistake["msg"].removeprefix("Input should be ").removeprefix("a valid ").partition(", unable to parse")[0]
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


def one_of(names: Callable[[], Collection[str]]) -> BeforeValidator:
    """Refuses a name that is none of these at the time, as a ``Literal`` does."""

    def validate(name: Any) -> Any:
        if not isinstance(name, str) or name not in names():
            *most, last = (f"'{known}'" for known in names())
            expected = f"{', '.join(most)} or {last}"
            raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
        return name

    return BeforeValidator(validate)


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
