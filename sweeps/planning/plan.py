"""The plan of a study: which trials it asks for, and how that differs from what it asked for before."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from doping.errors import UserError, one_line
from doping.method import Method
from doping.settings import leaves
from sweeps.results.dense_start import with_start
from sweeps.results.files import write_whole
from sweeps.study.search_space import Space, Together, Values
from sweeps.study.study import Study
from sweeps.study.study_file import StudyCell, Tuning
from sweeps.trials.job import Job, Stage
from sweeps.trials.trial import RESULT_FORMAT, Trial
from tasks.base import TaskSettings
from tasks.registry import TASKS

if TYPE_CHECKING:
    from doping.sizes import PlannedSizes

DataHash = Callable[[TaskSettings], str]
"""Hash of the data of a task; raises ``ValueError`` if it cannot be had."""
PlanSizes = Callable[[TaskSettings, Method], "PlannedSizes"]
"""Sizes of a model; raises ``ValueError`` if the method cannot reach its factor."""


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a study together with the task and the data it is about."""

    name: str
    """Unique in the study, e.g. ``doped_kp + cmr 20x``."""
    space: Space
    """Its task and method, and what is searched."""
    seeds: tuple[int, ...]
    """Seeds of its final trials."""
    data_hash: str
    together: bool = False
    """Whether its space is one of several methods."""

    def trial(self, values: Values, seed: int) -> Trial:
        """The trial of a setting."""
        task, method = self.space.apply(values)
        return Trial(task=task, method=method, seed=seed, data_hash=self.data_hash)

    @property
    def fingerprint(self) -> str:
        """What the proposals of settings are seeded with."""
        return self.trial({}, 0).id


@dataclass(frozen=True)
class StudyPlan:
    """All cells of a study and preset, in order; ``sweeps.planning.due_trials`` has the trials that follow."""

    study: str
    """Name of study and preset, e.g. ``kp_vs_pruning-quick``: the column ``study`` of the results."""
    file: str
    """Name of the plan's own file: as the study, and the base of the seeds if it was given."""
    asked: dict[str, Any]
    """The preset as the study file has it, with what the command line set."""
    data: str
    """Hash of the corpus, and the format of the results."""
    cells: tuple[PlannedCell, ...]
    tuning: Tuning | None
    latency: float | None = None
    """Most microseconds a step that what is searched together may take."""


def cells_of(study: Study, preset: str, seed: int | None) -> list[StudyCell]:
    """Cells of a preset, each method once. With ``seed``, the k-th seed of each becomes ``seed`` + k."""
    cells: dict[Method, StudyCell] = {}
    for cell in study.cells(preset):
        known = cells.get(cell.method, cell)
        cells[cell.method] = replace(known, seeds=tuple(dict.fromkeys((*known.seeds, *cell.seeds))))
    if seed is None:
        return list(cells.values())
    return [replace(cell, seeds=tuple(range(seed, seed + len(cell.seeds)))) for cell in cells.values()]


def cell_names(cells: Sequence[StudyCell]) -> list[str]:
    """A name for each cell: method and factor, and what tells it from others of the same."""
    short = [" ".join(filter(None, (cell.method.label, cell.method.budget))) for cell in cells]
    flat = [dict(leaves(cell.method.complete())) for cell in cells]
    names = []
    for name, own in zip(short, flat, strict=True):
        namesakes = [other for other, its in zip(flat, short, strict=True) if its == name]
        telling = [key for key in own if own[key] is not None and any(other[key] != own[key] for other in namesakes)]
        names.append(", ".join([name, *(f"{key}={json.dumps(own[key])}" for key in telling)]))
    return names


def task_of(study: Study, preset: str) -> TaskSettings:
    """Task of a preset. Its path, if it has one, is taken from the current folder and made absolute."""
    task = study.preset(preset).task
    given = getattr(task.data, "path", None)
    if given is None:
        return task
    path = str(Path(given).expanduser().absolute())
    return task.model_copy(update={"data": task.data.model_copy(update={"path": path})})


def make_plan(study: Study, preset: str, seed: int | None, data_hash: DataHash) -> StudyPlan:
    """Plan a preset of a study. Raises ``UserError`` if its data, or the model it starts from, cannot be had."""
    task, tuning = task_of(study, preset), study.preset(preset).tuning
    cells = cells_of(study, preset, seed)
    if tuning and any(tuning.seed in cell.seeds for cell in cells):
        raise UserError(f"--seed {seed}: {tuning.seed} is the seed of the tuning trials of {study.file}; take another")
    try:
        digest = data_hash(task)
    except (ValueError, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{study.place(('presets', preset, 'task', 'data'))}: {said}") from error
    try:
        task = with_start(task, digest)
    except ValueError as error:
        raise UserError(f"{study.place(('presets', preset, 'task', 'training', 'start_from', 'path'))}: {error}") from error
    alone = [cell for cell in cells if not cell.together]
    planned = tuple(
        PlannedCell(name, Space(task, cell.method, cell.space.searched), cell.seeds, digest)
        for name, cell in zip(cell_names(alone), alone, strict=True)
    )
    if tuning and len(alone) < len(cells):
        planned += (_fit(task, [cell for cell in cells if cell.together], tuning, digest),)
    name = f"{study.name}-{preset}"
    asked = study.content["presets"][preset]
    file = name if seed is None else f"{name}-seed{seed}"
    return StudyPlan(name, file, asked, f"{digest}:{RESULT_FORMAT}", planned, tuning, study.preset(preset).latency)


def _fit(task: TaskSettings, cells: Sequence[StudyCell], tuning: Tuning, digest: str) -> PlannedCell:
    """The one cell of a search together."""
    space = Together(task, [cell.method for cell in cells], tuning.search)
    seeds = tuple(dict.fromkeys(seed for cell in cells for seed in cell.seeds))
    sizes = sorted({cell.method.size for cell in cells if cell.method.size})
    return PlannedCell(" ".join(["fit", *(f"{size / 1000:g} kB" for size in sizes)]), space, seeds, digest, together=True)


def check_sizes(study: Study, preset: str, plan_sizes: PlanSizes) -> dict[Method, PlannedSizes]:
    """Sizes of each method of a preset. Raises ``UserError`` for a factor that a method cannot reach."""
    task = task_of(study, preset)
    sizes: dict[Method, PlannedSizes] = {}
    for cell in study.cells(preset):
        # What a search together proposes and cannot be had is not tried.
        for method in [cell.method] if cell.together else cell.space.sized():
            try:
                sizes[method] = plan_sizes(task, method)
            except Exception as error:
                # What an own task raises is one line, too.
                if task.name in TASKS and not isinstance(error, ValueError):
                    raise
                key = (
                    (*cell.path, getattr(error, "setting", "size" if method.size else "factor"))
                    if method == cell.method
                    else ("presets", preset, "tuning", "search")
                )
                raise UserError(f"{study.place(key)}: {method.label} {method.budget}: {_message(error)}") from error
    return sizes


def cautions(plan: StudyPlan, sizes: Mapping[Method, PlannedSizes]) -> list[str]:
    """Lines with what users should know of the matrices that are planned for the cells of a study."""
    return [
        f"note: {cell.name}: {caution}"
        for cell in plan.cells
        if cell.space.method in sizes
        for caution in sizes[cell.space.method].cautions
    ]


def _message(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else one_line(error)


def save_plan(plan: StudyPlan, jobs: Iterable[Job], folder: Path, command: str = "") -> None:
    """Write the plan and its jobs so far as ``<study>-<preset>.json`` into the folder of plans.

    ``command`` is the one that makes it, without machine and folder: for the reader of the folder.
    """
    trials = [{"id": job.trial.id, "cell": job.cell, "stage": job.stage} for job in jobs]
    content = {"study": plan.study, "asked": plan.asked, "data": plan.data, "command": command, "trials": trials}
    write_whole(folder / f"{plan.file}.json", json.dumps(content, indent=1) + "\n")


@dataclass(frozen=True)
class SavedTrial:
    """A trial that a saved plan asks for."""

    id: str
    cell: str
    stage: Stage


def saved_plans(folder: Path) -> dict[str, tuple[SavedTrial, ...]]:
    """The trials of each study whose plan is in the folder, by the study's name; each trial once."""
    found: dict[str, dict[str, SavedTrial]] = {}
    for path in sorted(folder.glob("*.json")):
        content = _read(path)
        if content:
            trials = [SavedTrial(trial["id"], trial["cell"], trial["stage"]) for trial in content["trials"]]
            found.setdefault(content["study"], {}).update({trial.id: trial for trial in trials})
    return {study: tuple(trials.values()) for study, trials in found.items()}


def changes(plan: StudyPlan, ids: Iterable[str], finished: Iterable[str], folder: Path) -> str | None:
    """One line on how the plan differs from the one saved before, and what that means; None if it does not.

    ``ids`` are the trials that it asks for now, ``finished`` those which have a result.
    """
    before, now = _read(folder / f"{plan.file}.json"), set(ids)
    if not before or (before.get("asked"), before["data"]) == (plan.asked, plan.data):
        return None
    old = {trial["id"] for trial in before["trials"]}
    flat_before, flat_now = dict(_flat(before.get("asked"))), dict(_flat(plan.asked))
    keys = [key for key in flat_before | flat_now if flat_before.get(key) != flat_now.get(key)]
    what = ", ".join(f"{key}: {_said(flat_before, key)} → {_said(flat_now, key)}" for key in keys[:3])
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    reused = len(set(finished) & now)
    return (
        f"the study has changed ({what or 'data or code'}{more}): {reused} finished trials are reused, "
        f"{len(now) - reused} are to run, {len(old - now)} are no longer asked for (kept in trials/, not in results.csv)"
    )


def _read(path: Path) -> dict[str, Any] | None:
    """Content of a plan's file; None if there is none, or none that can be read: the plan is then written anew."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if _is_plan(content) else None


def _is_plan(content: Any) -> bool:
    """Whether it has the shape of a plan. Ids become names of folders, so they are nothing but ids."""
    if not isinstance(content, dict) or not isinstance(content.get("trials"), list):
        return False
    return all(isinstance(content.get(key), str) for key in ("study", "data")) and all(
        isinstance(trial, dict)
        and isinstance(trial.get("id"), str)
        and re.fullmatch("[0-9a-f]{12}", trial["id"])
        and isinstance(trial.get("cell"), str)
        and trial.get("stage") in get_args(Stage)
        for trial in content["trials"]
    )


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if pairs is None or not value:
        yield path, value
    else:
        for key, below in pairs:
            yield from _flat(below, f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}".lstrip("."))


def _said(flat: dict[str, Any], key: str) -> str:
    return json.dumps(flat[key]) if key in flat else "not set"
