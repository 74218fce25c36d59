"""The plan of a study: which trials it asks for, and how that differs from what it asked for before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_modules.settings import Corpus, Method, TaskSettings
from sweeps.errors import UserError
from sweeps.files import write_whole
from sweeps.study import Study
from sweeps.study_file import Cell
from sweeps.trial import Trial

if TYPE_CHECKING:
    from lightning_modules.sizes import PlannedSizes

DataHash = Callable[[Corpus], str]
"""Hash of a corpus; raises ``ValueError`` if it cannot be had."""
PlanSizes = Callable[[TaskSettings, Method], "PlannedSizes"]
"""Sizes of a model; raises ``ValueError`` if the method cannot reach its factor."""


@dataclass(frozen=True)
class Plan:
    """All trials of a study and preset, in order, each once."""

    study: str
    """Name of study and preset, e.g. ``kp_vs_pruning-quick``: the column ``study`` of the results."""
    file: str
    """Name of the plan's own file: as the study, and the base of the seeds if it was given."""
    asked: dict[str, Any]
    """The preset as the study file has it, with what the command line set."""
    trials: tuple[Trial, ...]


def cells_of(study: Study, preset: str, seed: int | None) -> list[Cell]:
    """Cells of a preset. With ``seed``, the k-th seed of each becomes ``seed`` + k."""
    cells = study.cells(preset)
    if seed is None:
        return cells
    return [Cell(cell.method, tuple(range(seed, seed + len(cell.seeds))), cell.path) for cell in cells]


def task_of(study: Study, preset: str) -> TaskSettings:
    """Task of a preset. Its path, if it has one, is taken from the current folder and made absolute."""
    task = study.preset(preset).task
    if task.data.path is None:
        return task
    path = str(Path(task.data.path).expanduser().absolute())
    return task.model_copy(update={"data": task.data.model_copy(update={"path": path})})


def make_plan(study: Study, preset: str, seed: int | None, data_hash: DataHash) -> Plan:
    """Plan a preset of a study. Raises ``UserError`` if its data cannot be had."""
    task = task_of(study, preset)
    try:
        digest = data_hash(task.data)
    except ValueError as error:
        raise UserError(f"{study.place(('presets', preset, 'task', 'data'))}: {error}") from error
    trials = {
        trial.id: trial
        for cell in cells_of(study, preset, seed)
        for trial in (Trial(task=task, method=cell.method, seed=n, data_hash=digest) for n in cell.seeds)
    }
    name = f"{study.name}-{preset}"
    asked = study.content["presets"][preset]
    return Plan(name, name if seed is None else f"{name}-seed{seed}", asked, tuple(trials.values()))


def check_sizes(study: Study, preset: str, plan_sizes: PlanSizes) -> dict[Method, PlannedSizes]:
    """Sizes of each method of a preset. Raises ``UserError`` for a factor that a method cannot reach."""
    task = task_of(study, preset)
    sizes: dict[Method, PlannedSizes] = {}
    for cell in study.cells(preset):
        try:
            sizes[cell.method] = plan_sizes(task, cell.method)
        except ValueError as error:
            raise UserError(f"{study.place((*cell.path, 'factor'))}: {cell.method.name}: {error}") from error
    return sizes


def save_plan(plan: Plan, folder: Path) -> None:
    """Write the plan as ``<study>-<preset>.json`` into the folder of plans."""
    content = {"study": plan.study, "asked": plan.asked, "trials": [trial.id for trial in plan.trials]}
    write_whole(folder / f"{plan.file}.json", json.dumps(content, indent=1) + "\n")


def saved_plans(folder: Path) -> dict[str, tuple[str, ...]]:
    """Ids of the trials of each study whose plan is in the folder, by the study's name; each id once."""
    ids: dict[str, dict[str, None]] = {}
    for path in sorted(folder.glob("*.json")):
        content = _read(path)
        if content:
            ids.setdefault(content["study"], {}).update(dict.fromkeys(content["trials"]))
    return {study: tuple(trials) for study, trials in ids.items()}


def changes(plan: Plan, folder: Path, finished: Iterable[str]) -> str | None:
    """One line on how the plan differs from the one saved before, and what that means; None if it does not."""
    before = _read(folder / f"{plan.file}.json")
    new = [trial.id for trial in plan.trials]
    if not before or set(before["trials"]) == set(new):
        return None
    flat_before, flat_now = dict(_flat(before["asked"])), dict(_flat(plan.asked))
    keys = [key for key in flat_before | flat_now if flat_before.get(key) != flat_now.get(key)]
    what = ", ".join(f"{key}: {_said(flat_before, key)} → {_said(flat_now, key)}" for key in keys[:3])
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    reused = len(set(finished) & set(new))
    dropped = len(set(before["trials"]) - set(new))
    return (
        f"the study has changed ({what or 'data or code'}{more}): {reused} finished trials are reused, "
        f"{len(new) - reused} are to run, {dropped} are no longer asked for (kept in trials/, not in results.csv)"
    )


def _read(path: Path) -> dict[str, Any] | None:
    """Content of a plan's file; None if there is none, or none that can be read: the plan is then written anew."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) and {"study", "asked", "trials"} <= content.keys() else None


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if pairs is None or not value:
        yield path, value
    else:
        for key, below in pairs:
            yield from _flat(below, f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}".lstrip("."))


def _said(flat: dict[str, Any], key: str) -> str:
    return json.dumps(flat[key]) if key in flat else "not set"
