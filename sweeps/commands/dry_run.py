"""What ``--list`` and ``--dry-run`` print: the studies there are, and what one of them would run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from doping.command_line import duration
from doping.errors import UserError
from doping.machine import cores
from doping.method import Method
from sweeps.commands.options import DEFAULT_PRESET
from sweeps.planning.due_trials import DueTrials
from sweeps.planning.plan import StudyPlan, cautions, make_plan, task_of
from sweeps.results.files import shown
from sweeps.results.folder import ResultsFolder
from sweeps.running.standing import Standing
from sweeps.study import named_tasks
from sweeps.study import study as studies
from sweeps.study.study import Study
from sweeps.study.study_file import Preset, expand
from sweeps.trials.dotted_names import Functions, load

if TYPE_CHECKING:
    from doping.sizes import PlannedSizes
    from sweeps.planning.estimate import Estimate

DOPED_TIME = 1.1
"""Time of a training step of a doped method, that of a dense one being 1 (results/step_time.csv: 1.07 to 1.12)."""
LOG_BYTES = 600_000
"""What a trial leaves beside its model: row, curve, log and, most of it, an offline run of W&B."""


def list_studies() -> Iterator[str]:
    """Lines with the name, description and presets of every study that comes with the project."""
    for name in studies.names():
        study = studies.load(name)
        yield f"{name}: {study.parsed.description}"
        yield "    " + ", ".join(f"{key} ({_trials(key, preset)})" for key, preset in study.parsed.presets.items())
    yield f"named tasks, for --set task=NAME: {', '.join(named_tasks.names())}"


def list_times(workers: int, functions: Functions) -> Iterator[str]:
    """Lines with how long ``quick`` of each study takes on this machine, as each becomes known."""
    yield (
        f"quick takes here with {workers} workers, if every trial took as long as a dense one by steps timed now (a doped "
        f"one takes {DOPED_TIME:g} times as long):"
    )
    known: dict[str, str | float] = {}
    for name in studies.names():
        study = studies.load(name)
        if DEFAULT_PRESET not in study.parsed.presets:
            continue
        task = task_of(study, DEFAULT_PRESET)
        key = task.model_dump_json()
        if key not in known:
            try:
                known[key] = load(functions.estimate)(task, max(1, cores() // workers)).seconds
            except (ValueError, OSError):
                known[key] = "not known, for its data are not here: docs/tasks.md"
        seconds, trials = known[key], sum(_counts(name, study.preset(DEFAULT_PRESET)))
        said = seconds if isinstance(seconds, str) else f"about {duration(trials * seconds / min(workers, trials))}"
        yield f"    {name}: {said}"


def _trials(name: str, preset: Preset) -> str:
    final, tried = _counts(name, preset)
    return f"{final + tried} trials, {tried} of them to tune" if preset.tuning else f"{final} trials"


def _counts(name: str, preset: Preset) -> tuple[int, int]:
    """Final trials of a preset, and those of its tuning."""
    cells = expand(name, preset)
    tried = preset.tuning.trials * sum(bool(cell.space.searched) for cell in cells) if preset.tuning else 0
    return sum(len(cell.seeds) for cell in cells), tried


def describe(
    study: Study,
    preset: str,
    seed: int | None,
    sizes: Mapping[Method, PlannedSizes],
    folder: ResultsFolder,
    workers: int,
    functions: Functions,
) -> Iterator[str]:
    """Lines with every cell of a preset, its sizes and what is finished of it, and an estimate of time and disk."""
    task, missing = task_of(study, preset), ""
    try:
        plan = make_plan(study, preset, seed, load(functions.data_hash))
    except UserError as error:
        missing = str(error)
        plan = make_plan(study, preset, seed, lambda corpus: "")
    due = DueTrials(plan, folder)
    rows = due.rows()
    yield f"{plan.study}: {due.expected} trials of {task.label}, {len(rows)} of them finished"
    yield from _cells(plan, due, sizes)
    yield from cautions(plan, sizes)
    if plan.tuning:
        searched = dict.fromkeys(key for cell in plan.cells for key in cell.space.searched)
        yield f"tuned: {plan.tuning.trials} settings a cell, of {', '.join(searched)}; then the best with every seed"
    if missing:
        yield f"time and disk: unknown, because the data cannot be read: {missing}"
        return
    if not task.lstm_shapes():
        yield "sizes, time and disk: known once a trial has run, because the training makes its model itself"
        return
    measured: Estimate = load(functions.estimate)(task, max(1, cores() // workers))
    left = due.expected - len(rows)
    by_rows = Standing(due, workers, dict(rows)).seconds_left() if rows else None
    seconds = left * measured.seconds / min(workers, max(left, 1)) if by_rows is None else by_rows
    source = "steps of the dense model timed now" if by_rows is None else "those that are finished"
    yield f"time: about {duration(seconds)} for the {left} left with {workers} workers, by {source}"
    models = len(plan.cells) * measured.model_bytes + workers * (measured.checkpoint_bytes + measured.model_bytes)
    yield (
        f"disk: at most about {(models + due.expected * LOG_BYTES) / 1e6:,.0f} MB in {shown(folder.path)}: "
        f"the best model of each of {len(plan.cells)} cells ({measured.model_bytes / 1e6:,.1f} MB each), "
        f"a checkpoint for each worker ({measured.checkpoint_bytes / 1e6:,.1f} MB), and logs"
    )


def _cells(plan: StudyPlan, due: DueTrials, sizes: Mapping[Method, PlannedSizes]) -> Iterator[str]:
    rows = due.rows()
    wide = max(len(cell.name) for cell in plan.cells)
    tried = f" {'tried':>8}" if plan.tuning else ""
    yield f"{'':{wide}} {'values':>11} {'bytes':>11} {'multiply-adds':>13}{tried}  finished of seeds"
    for cell in plan.cells:
        size = sizes[cell.space.method].compressed
        jobs = [job for job in due.jobs.values() if job.cell == cell.name]
        done = {stage: sum(job.stage == stage and job.trial.id in rows for job in jobs) for stage in ("tuning", "final")}
        if plan.tuning:
            budget = plan.tuning.trials if cell.space.searched else 0
            tried = f" {done['tuning']:>2} of {budget:>2}"
        numbers = f"{size.values:>11,} {size.bytes:>11,} {size.multiply_adds:>13,}" if size.values else f"{'?':>37}"
        yield (f"{cell.name:{wide}} {numbers}{tried}  {done['final']} of {' '.join(map(str, cell.seeds))}")
