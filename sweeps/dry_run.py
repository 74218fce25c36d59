"""What ``--list`` and ``--dry-run`` print: the studies there are, and what one of them would run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_modules.settings import Method
from sweeps import study as studies
from sweeps.files import shown
from sweeps.folder import ResultsFolder
from sweeps.plan import cells_of, task_of
from sweeps.rows import Row
from sweeps.study import Study
from sweeps.tally import Tally, duration
from sweeps.trial import Trial

if TYPE_CHECKING:
    from lightning_modules.sizes import PlannedSizes


def list_studies() -> Iterator[str]:
    """Lines with the name, description and presets of every study that comes with the project."""
    for name in studies.names():
        study = studies.load(name)
        counts = {preset: sum(len(cell.seeds) for cell in study.cells(preset)) for preset in study.parsed.presets}
        yield f"{name}: {study.parsed.description}"
        yield "    " + ", ".join(f"{preset} ({count} trials)" for preset, count in counts.items())


def describe(
    study: Study, preset: str, seed: int | None, sizes: Mapping[Method, PlannedSizes], folder: ResultsFolder, workers: int
) -> Iterator[str]:
    """Lines with every cell of a preset, its sizes and what is finished of it, and an estimate of time and disk.

    The data is not read, so trials are recognized by all else that defines them.
    """
    finished = _finished_without_data(folder)
    task = task_of(study, preset)
    cells = cells_of(study, preset, seed)
    of_cell = [[Trial(task=task, method=cell.method, seed=n, data_hash="") for n in cell.seeds] for cell in cells]
    trials = [trial for cell in of_cell for trial in cell]
    rows = {trial.id: finished[trial.id] for trial in trials if trial.id in finished}
    yield f"{study.name}-{preset}: {len(trials)} trials of {trials[0].task_label}, {len(rows)} of them finished"
    yield f"{'method':20} {'factor':>7} {'values':>11} {'bytes':>11} {'multiply-adds':>13}  {'seeds':12} finished"
    for cell, its_trials in zip(cells, of_cell, strict=True):
        size = sizes[cell.method].compressed
        done = sum(trial.id in rows for trial in its_trials)
        yield (
            f"{cell.method.label:20} {cell.method.factor:>7g} {size.values:>11,} {size.bytes:>11,} "
            f"{size.multiply_adds:>13,}  {' '.join(map(str, cell.seeds)):12} {done} of {len(cell.seeds)}"
        )
    left = len(trials) - len(rows)
    if not rows:
        yield f"time and disk: unknown until a trial of this preset is finished in {shown(folder.path)}"
    else:
        used = sum(_disk_used(folder.of(row.trial_id)) for row in rows.values()) / len(rows)
        seconds = Tally(trials, workers, dict(rows)).seconds_left()
        yield f"time: about {duration(seconds)} for the {left} left with {workers} workers, by those that are finished"
        yield f"disk: about {left * used / 1e6:.1f} MB more in {shown(folder.path)}"


def _finished_without_data(folder: ResultsFolder) -> dict[str, Row]:
    """Rows in a folder by the id that their trials have without the hash of the data."""
    found = {}
    for path in folder.trials.glob("*/row.json"):
        row = folder.row(path.parent.name)
        if row:
            trial = Trial.model_validate_json(row.settings)
            found[Trial(task=trial.task, method=trial.method, seed=trial.seed, data_hash="").id] = row
    return found


def _disk_used(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
