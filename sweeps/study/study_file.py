"""What a study file may say, and the runs that it asks for.

.. code-block:: yaml

    description: one line, shown by --list
    presets:
      quick:
        task: {data: {corpus: embedded}, model: {hidden: 125}, training: {epochs: 10}}   # or a named one, see below
        seeds: [1]                                     # of all runs that do not name their own
        common: {annealing: {start: 0.1}}              # settings of Method for all runs; a run may override them
        runs:
          - {method: dense, seeds: [1, 2]}
          - {method: [pruned, kp], factor: [5, 10]}    # every method at every factor
          - {method: doped_kp, factor: 20, cmr: {probability: 0.3}}   # and any other setting of Method
          - {method: [dense, pruned], size: 64kB, values: [int8, int4]}   # at most so many bytes as deployed
          - {method: pruned, factor: 10, units: [125, 180], pattern: [gates, tiles]}   # at widths of their own
        tuning:                                        # optional: tune every method at every factor, see Tuning
          trials: 8
          search:
            task.training.learning_rate: {low: 0.003, high: 0.03, log: true}
            annealing.length: [0.3, 0.5, 0.7]

Settings and their defaults are those of ``lightning_modules/settings``, and of the task's class in ``tasks``. A task of
``tasks/named`` is asked for by its name: ``task: ptb_medium``, or ``task: {named: ptb_medium, training: {epochs: 2}}``.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StrictBool,
    ValidationError,
    model_validator,
)

from doping.errors import UserError
from doping.method import ByteSize, Method, MethodName, Rank, Values
from doping.patterns import PatternName
from doping.settings import KeyPath, microseconds
from sweeps.errors import first_mistake
from sweeps.study.named_tasks import merged
from sweeps.study.search_space import Searched, Space, SpaceError
from tasks.registry import AnyTask, trust

Objective = Literal["quality", "latency"]
"""What the settings of a cell are chosen by."""

MicroSeconds = Annotated[PositiveFloat, BeforeValidator(microseconds)]
"""May be written with a unit, like ``20us``."""

_AsList = BeforeValidator(lambda given: given if isinstance(given, list) else [given])
MOST_SEEDS, MOST_CELLS = 10_000, 1_000
"""More than anybody trains: beyond that it is a slip, which would make the program think for minutes, or fill the memory."""
_Seed = Annotated[int, Field(ge=0, lt=2**32)]
_Seeds = Annotated[list[_Seed], Field(min_length=1, max_length=MOST_SEEDS)]
_ModelT = TypeVar("_ModelT", bound=BaseModel)


class KeyMistake(UserError):  # noqa: N818 - a mistake, as users call it
    """Something wrong at a key of a study file."""

    def __init__(self, path: KeyPath, message: str) -> None:
        super().__init__(message)
        self.path = path


class Tuning(BaseModel):
    """How every method at every factor is tuned, each with the same budget, before its best setting is run with all seeds.

    The factor is chosen, all else may be searched (``sweeps.study.search_space``). What the study file itself says is tried
    first; then a sampler proposes settings, learning from the validation of those before.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    trials: Annotated[int, Field(ge=2, le=MOST_CELLS)]
    """Settings that are tried in each cell; a cell whose method has nothing to search is not tuned."""
    search: Annotated[dict[str, Searched], Field(min_length=1)]
    """The values to try, by the key of the setting; a key concerns those methods that it has an effect on."""
    seed: _Seed = 0
    """Seed of all tuning trials: none of ``seeds``, whose results must not be those that were chosen by."""
    early_stopping: bool = True
    """Whether settings that fall behind are stopped early (``sweeps.planning.early_stopping``)."""
    objective: Objective = "quality"
    """``quality``: the setting with the best validation is run with every seed. ``latency``: the fastest one, of those whose
    validation is good enough; the sampler then looks for settings that are better in one of the two. Latency is that of the
    exported model on a CPU, measured at the end of each trial while the others on that machine pause."""
    tolerance: Annotated[float, Field(ge=0)] = 0.01
    """Of a search for latency: how much worse than the best validation of the cell is good enough, as a share of it."""
    together: bool = False
    """Whether all runs but dense ones without a size are searched as one cell, in which the sampler also chooses the run,
    and ``trials`` settings are tried in all. What is proposed and cannot be had is not tried."""
    runners_up: NonNegativeInt = 0
    """Of a search together: how many settings beside the best are run with every seed."""
    parallel: PositiveInt = 2
    """Settings of a cell that are under way at once: more use more workers, fewer learn more from one another."""

    @model_validator(mode="after")
    def _tolerance_is_of_latency(self) -> Self:
        if self.runners_up and not self.together:
            raise ValueError("runners_up needs together: true")
        if self.together and self.objective == "latency":
            raise ValueError("together has the objective quality; give the preset a latency to bound it")
        if "tolerance" in self.model_fields_set and self.objective != "latency":
            raise ValueError("tolerance needs objective: latency")
        return self


class Preset(BaseModel):
    """One size of a study."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: AnyTask
    seeds: _Seeds
    size: ByteSize | None = None
    """Size of all runs that ask for one, in place of theirs: so that one key sets it, as in ``--set size=64kB``."""
    latency: MicroSeconds | None = None
    """Of a search together: most microseconds a step of the exported model."""
    common: dict[str, Any] = {}
    runs: Annotated[list[dict[str, Any]], Field(min_length=1)]
    tuning: Tuning | None = None


class StudyFile(BaseModel):
    """A whole study file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    presets: Annotated[dict[str, Preset], Field(min_length=1)]


_LISTED = ("factor", "size", "units", "values", "pattern", "embedding_rank", "bias")
"""Settings of Method of which a run may give a list: it then stands for a run of each."""


class _Run(BaseModel):
    """What a run says beside settings of Method."""

    model_config = ConfigDict(extra="allow", frozen=True)

    method: Annotated[list[MethodName], _AsList, Field(min_length=1, max_length=100)]
    factor: Annotated[list[float], _AsList, Field(min_length=1, max_length=MOST_CELLS)] = [1.0]
    size: Annotated[list[ByteSize | None], _AsList, Field(min_length=1, max_length=MOST_CELLS)] = [None]
    units: Annotated[list[PositiveInt | None], _AsList, Field(min_length=1, max_length=MOST_CELLS)] = [None]
    values: Annotated[list[Values], _AsList, Field(min_length=1, max_length=MOST_CELLS)] = ["float32"]
    pattern: Annotated[list[PatternName], _AsList, Field(min_length=1, max_length=MOST_CELLS)] = ["unstructured"]
    embedding_rank: Annotated[list[Rank | None], _AsList, Field(min_length=1, max_length=MOST_CELLS)] = [None]
    bias: Annotated[list[StrictBool], _AsList, Field(min_length=1, max_length=MOST_CELLS)] = [True]
    seeds: _Seeds | None = None


@dataclass(frozen=True)
class StudyCell:
    """A method at a factor, the seeds it is run with, the key that asks for it, and what is searched for it."""

    method: Method
    seeds: tuple[int, ...]
    path: KeyPath
    space: Space
    together: bool = False
    """Whether all cells of this mark are searched as one (``together`` of the tuning)."""


def parse(content: Any) -> StudyFile:
    """Check the content of a study file that is to be run, all presets and runs included. Raises ``KeyMistake``."""
    presets = content.get("presets") if isinstance(content, dict) else None
    for name, preset in presets.items() if isinstance(presets, dict) else ():
        if not re.fullmatch(r"\w[\w.-]{0,99}", name):
            raise KeyMistake(("presets", name), "the name of a preset is letters, digits, _ . and -, 100 at most")
        trust(preset.get("task") if isinstance(preset, dict) else None)
    parsed = _checked(StudyFile, content, ())
    for name, preset in parsed.presets.items():
        expand(name, preset)
    return parsed


def expand(preset_name: str, preset: Preset) -> list[StudyCell]:
    """Every method at every factor that a preset asks for, in the order of the file. Raises ``KeyMistake``."""
    top: KeyPath = ("presets", preset_name)
    cells: list[StudyCell] = []
    for number, raw in enumerate(preset.runs):
        path = (*top, "runs", number)
        run = _checked(_Run, raw, path)
        own = run.model_extra or {}
        for at, settings in (((*top, "common"), preset.common), (path, own)):
            if "name" in settings:
                raise KeyMistake((*at, "name"), "unknown key; did you mean 'method'?")
        if preset.size and "size" in run.model_fields_set:
            run = run.model_copy(update={"size": [preset.size]})
        listed = {key: getattr(run, key) for key in _LISTED if key in run.model_fields_set}
        if len(cells) + len(run.method) * math.prod(map(len, listed.values())) > MOST_CELLS:
            raise KeyMistake(path, f"more than {MOST_CELLS:,} methods at factors; a study has at most so many")
        for name, *chosen in itertools.product(run.method, *listed.values()):
            settings = {**merged(preset.common, own), "name": name, **dict(zip(listed, chosen, strict=True))}
            try:
                method = _checked(Method, settings, (), known=("method", "seeds"))
            except KeyMistake as mistake:
                common = mistake.path and mistake.path[0] in preset.common and mistake.path[0] not in own
                place = (*top, "common") if common else path
                raise KeyMistake((*place, *mistake.path), str(mistake)) from mistake
            if not method.uses("pattern"):
                method = method.model_copy(update={"pattern": "unstructured"})
            if preset.task.training.start_from and (method.units or not method.bias):
                setting, whose = ("units", "width") if method.units else ("bias", "biases")
                message = f"a training that starts from a dense model has its {whose}: leave {setting} out"
                raise KeyMistake((*path, setting), message)
            seeds = tuple(run.seeds or preset.seeds)
            cells.append(StudyCell(method, seeds, path, _space(preset, method, seeds, top), _together(preset, method)))
    return cells


def _together(preset: Preset, method: Method) -> bool:
    """Whether a method takes part in a search of several."""
    return bool(preset.tuning and preset.tuning.together) and (method.name != "dense" or method.size is not None)


def _space(preset: Preset, method: Method, seeds: tuple[int, ...], top: KeyPath) -> Space:
    """What is searched for a method of a preset; nothing without tuning."""
    tuning = preset.tuning
    if preset.latency and not (tuning and tuning.together):
        raise KeyMistake((*top, "latency"), "a latency bounds a search of several methods: give it tuning.together: true")
    if tuning and tuning.seed in seeds:
        raise KeyMistake(
            (*top, "tuning", "seed"),
            f"{tuning.seed} is also one of the seeds {', '.join(map(str, seeds))} of the final results: take another",
        )
    try:
        searched = tuning.search if tuning and (_together(preset, method) or not tuning.together) else {}
        return Space(preset.task, method, searched)
    except SpaceError as error:
        raise KeyMistake((*top, "tuning", "search", error.key), str(error)) from error


def _checked(model: type[_ModelT], content: Any, path: KeyPath, known: Iterable[str] = ()) -> _ModelT:
    """Validate strictly, as JSON: there ``true`` is no number, a text is no number, and a list may be a tuple."""
    try:
        return model.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        place, message = first_mistake(error, model, content, known)
        raise KeyMistake((*path, *_as_written(place, content)), message) from error


def _as_written(path: KeyPath, content: Any) -> KeyPath:
    """``path`` without the index of a list that was written as its only element."""
    written: list[str | int] = []
    for part in path:
        if isinstance(part, str) or isinstance(content, list):
            written.append(part)
            try:
                content = content[part]
            except (KeyError, IndexError, TypeError):
                content = None
    return tuple(written)
