"""Finds, reads and checks studies. Every mistake is a ``UserError`` that names the file and the key, or the flag."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doping.errors import UserError, suggestion
from doping.settings import KeyPath, dotted
from sweeps.results.files import shown
from sweeps.study import strict_yaml
from sweeps.study.named_tasks import over_defaults, written_out
from sweeps.study.search_space import Range
from sweeps.study.study_file import KeyMistake, Preset, StudyCell, StudyFile, expand, parse
from tasks.registry import trust

DEEPEST = 20
"""Keys in one another that ``--set`` takes."""
STUDIES = Path(__file__).parents[1] / "studies"
"""Folder of the studies that come with the project."""


@dataclass(frozen=True)
class Study:
    """A study file that was read and found right."""

    name: str
    """Name of the file, without its ending."""
    file: str
    """The file, as messages show it."""
    content: dict[str, Any]
    """What the file says, with what the command line sets."""
    parsed: StudyFile
    """The same, checked."""
    set_keys: tuple[KeyPath, ...] = ()
    """Keys that were set on the command line."""

    def preset(self, name: str) -> Preset:
        """The preset of this name. Raises ``UserError`` if there is none."""
        if name not in self.parsed.presets:
            raise UserError(f"{self.file}: no preset {name!r}; {suggestion(name, self.parsed.presets, 'it has')}")
        return self.parsed.presets[name]

    def cells(self, preset_name: str) -> list[StudyCell]:
        """Every method at every factor that the preset asks for, in the order of the file."""
        return expand(preset_name, self.preset(preset_name))

    def place(self, path: KeyPath) -> str:
        """Where a key was given: the file and the key, or the flag that set it."""
        return _place(self.file, path, self.set_keys)


def names() -> list[str]:
    """Names of the studies that come with the project."""
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def load(study: str) -> Study:
    """Read a study by its name, or by the path of a file that ends in ``.yaml`` or ``.yml``."""
    path = Path(study)
    if path.suffix not in (".yaml", ".yml"):
        if study not in names():
            raise UserError(f"no study {study!r}; {suggestion(study, names())}; or give the path of a .yaml file")
        path = STUDIES / f"{study}.yaml"
    file = shown(path)
    content = _with_named_tasks(_plain(strict_yaml.parse(_read(path), file), file), file)
    return Study(path.stem, file, content, _parse(content, file))


def with_settings(study: Study, preset: str, settings: Sequence[str]) -> Study:
    """The study with keys of a preset set anew, each given as ``key=value`` like ``task.training.epochs=2``."""
    study.preset(preset)
    content = json.loads(json.dumps(study.content))
    paths = []
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not all(key.split(".")) or len(key.split(".")) > DEEPEST:
            raise UserError(f"--set {reprlib.repr(setting)}: expected key=value, such as task.training.epochs=2")
        path: KeyPath = ("presets", preset, *_parts(key))
        _put(content, path, _plain(strict_yaml.parse(value, f"--set {key}"), f"--set {key}"), key)
        content = _with_named_tasks(content, study.file, [path])
        paths.append(path)
    return Study(study.name, study.file, content, _parse(content, study.file, paths), tuple(paths))


def _parts(key: str) -> KeyPath:
    """The keys of a dotted one. Below ``tuning.search`` the searched setting is one key, with its dots."""
    parts: list[str | int] = [int(part) if part.isdecimal() and len(part) < 10 else part for part in key.split(".")]
    if parts[:2] == ["tuning", "search"] and len(parts) > 2:
        ends = 1 if len(parts) > 3 and parts[-1] in Range.model_fields else 0
        setting = ".".join(map(str, parts[2 : len(parts) - ends]))
        return (*parts[:2], setting, *parts[len(parts) - ends :])
    return tuple(parts)


def _with_named_tasks(content: Any, file: str, set_keys: Sequence[KeyPath] = ()) -> Any:
    """The same content, with the settings of tasks that it names."""
    presets = content.get("presets") if isinstance(content, dict) else None
    for name, preset in presets.items() if isinstance(presets, dict) else ():
        if isinstance(preset, dict) and "task" in preset:
            try:
                task = written_out(preset["task"])
                trust(task)  # who runs a study names its task
                preset["task"] = over_defaults(task)
            except ValueError as error:
                raise UserError(f"{_place(file, ('presets', name, 'task'), set_keys)}: {error}") from error
    return content


def _parse(content: Any, file: str, set_keys: Sequence[KeyPath] = ()) -> StudyFile:
    try:
        return parse(content)
    except KeyMistake as mistake:
        raise UserError(f"{_place(file, mistake.path, set_keys)}: {mistake}") from mistake


def _place(file: str, path: KeyPath, set_keys: Sequence[KeyPath]) -> str:
    for key in set_keys:
        # The mistake lies in what was set, or what was set lies in what is wrong (a run, say).
        if path[: len(key)] == key or (len(path) > 2 and key[: len(path)] == path):
            return f"--set {dotted(max(path, key, key=len)[2:])}"
    return f"{file}: {dotted(path)}" if path else file


def _put(content: Any, path: KeyPath, value: Any, key: str) -> None:
    for part in path[:-1]:
        content = _child(content, part, key, make=True)
    if isinstance(content, dict):
        content[str(path[-1])] = value
    else:
        _child(content, path[-1], key)
        content[path[-1]] = value


def _child(content: Any, part: str | int, key: str, make: bool = False) -> Any:
    if isinstance(content, dict):
        return content.setdefault(str(part), {}) if make else content[str(part)]
    if isinstance(content, list) and isinstance(part, int) and part < len(content):
        return content[part]
    given = f"{len(content)} entries, counted from 0" if isinstance(content, list) else f"the value {reprlib.repr(content)}"
    raise UserError(f"--set {key}: there is no {reprlib.repr(part)}, only {given}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"no study file {shown(path)}; give a file that exists, or one of {', '.join(names())}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{shown(path)}: not a text file in UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise UserError(f"{shown(path)}: cannot be read: {error.strerror}") from error


def _plain(content: Any, source: str) -> Any:
    """The same content made of JSON's types only."""
    try:
        return json.loads(json.dumps(content, default=repr))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source}: an alias contains itself") from error
