"""What all settings have in common.

The classes are validated when they are made: an unknown key, a wrong type or an impossible value raises
``pydantic.ValidationError``, which names the place.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


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


def added_later(default: Any) -> Any:
    """A field that came after the first results: where it has its default it is left out of everything that is written.

    So the ids of trials, which are hashes of their settings, and the settings in rows stay those of the versions that did
    not have the field. Every setting that is added to an existing class is declared with this; its default must mean what
    was done before, and never changes.
    """
    return Field(default=default, exclude_if=lambda value: value == default)
