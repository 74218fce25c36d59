"""Ways in which files are wrong: values of another kind, keys that are missing or misspelt, bytes that are lost."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3.5, -0.0, 1e-320, 1e308, 10**9, 2**32, 2**64, 10**400, float("nan"), float("inf")),
    *("", " ", "x", "é", "\u202e", "a\nb", "\0", "..", "../../x", "/", "~", "1", "nan", "null", "=1+1", "a$b^$c", "%s{0}"),
    *("x" * 3000, "module:Class", "dense", "20us", "64kB", [], {}, [[]], [None], [1] * 200),
    *({"": 1}, {"a": {"b": {}}}, {"named": "ptb_medium"}),
)
"""What somebody, or a program, may write in place of anything."""


def structure(content: Any, draw: random.Random) -> Any:
    """Content of a file with one or two places altered, at any depth."""
    content = copy.deepcopy(content)
    for _ in range(draw.choice((1, 1, 2))):
        places = list(_places(content))
        if not places:
            return draw.choice(ODD)
        inside, key = draw.choice(places)
        match draw.randrange(6):
            case 0:
                del inside[key]
            case 1 if isinstance(inside, dict):
                inside[_misspelt(str(key), draw)] = inside.pop(key)
            case 2 if isinstance(inside, list):
                inside.append(copy.deepcopy(inside[key]))
            case 3:
                inside[key] = [inside[key]] if draw.random() < 0.5 else {"x": inside[key]}
            case 4:
                other, at = draw.choice(places)
                # What stands elsewhere in the same file is of the right spelling at the wrong place.
                # Taken first, for ``other`` may be what ``inside`` holds.
                inside[key] = copy.deepcopy(other[at]) if other is not inside else draw.choice(ODD)
            case _:
                inside[key] = draw.choice(ODD)
    return content


def damage(data: bytes, draw: random.Random) -> bytes:
    """Bytes of a file after a fault of a disk, a program or a person."""
    at = draw.randrange(len(data) + 1)
    match draw.randrange(8):
        case 0:
            return data[:at]
        case 1:
            return data[at:]
        case 2:
            return data[:at] + bytes(draw.randrange(256) for _ in range(draw.choice((1, 4, 64)))) + data[at + 1 :]
        case 3:
            return data[:at] + data[at + draw.randrange(1, 40) :]
        case 4:
            return data[:at] + bytes(len(data) - at)
        case 5:
            lines = data.splitlines(keepends=True)
            draw.shuffle(lines)
            return b"".join(lines)
        case 6:
            lines = data.splitlines(keepends=True) or [b""]
            return b"".join([*lines, draw.choice(lines)])
        case _:
            return data[:at] + json.dumps(draw.choice(ODD)).encode() + data[at:]


def damage_file(path: Path, draw: random.Random) -> str:
    """Alter a file in one way, or put something else in its place; returns what was done."""
    kind = draw.random()
    if kind < 0.03:
        path.unlink()
        return "removed"
    if kind < 0.06:
        path.unlink()
        path.mkdir()
        return "a folder in its place"
    data = path.read_bytes()
    if path.suffix == ".json" and kind < 0.7:
        path.write_text(json.dumps(structure(json.loads(data), draw)), encoding="utf-8")
        return "other values"
    path.write_bytes(damage(data, draw))
    return "other bytes"


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with a key or an index of it, at any depth."""
    for key, value in list(content.items() if isinstance(content, dict) else enumerate(content)):
        yield content, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _misspelt(word: str, draw: random.Random) -> str:
    at = draw.randrange(len(word) + 1)
    return draw.choice((word[:at] + word[at + 1 :], word[:at] + "x" + word[at:], word.upper(), ""))
