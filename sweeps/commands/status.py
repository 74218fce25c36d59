"""What ``--status`` prints: how the studies in a folder fare, told from its files alone, whoever runs them."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from doping.command_line import duration
from doping.errors import UserError, suggestion
from sweeps.planning.plan import SavedTrial, saved_plans
from sweeps.results.files import shown
from sweeps.results.folder import ResultsFolder
from sweeps.results.rows import Row
from sweeps.running.standing import best_per_method
from sweeps.running.time_left import Left, Took, outlook, time_left, work
from sweeps.trials.job import satisfies
from sweeps.trials.trial import Trial, label_of
from sweeps.worker.execute import Kept, read_clock

WATCH_SECONDS = 2.0
"""How often ``--watch`` looks."""

_IDLE_LOOKS = 4
"""How many looks in a row ``--watch`` must find nothing running, to end."""

_FAILURES = 5
"""Failed trials that are told of one by one."""


def describe(folder: ResultsFolder, study: str | None) -> Iterator[str]:
    """Lines on a study in a folder, or on all of them. Raises ``UserError`` if there is none, or if it cannot be read."""
    plans = studies_in(folder, study)
    for number, (name, trials) in enumerate(plans.items()):
        if number:
            yield ""
        yield from _describe(folder, name, trials)
    yield from folder.notices


def show(folder: ResultsFolder, study: str | None, watch: bool) -> None:
    """Print the lines; with ``watch`` again whenever they have changed, in place of those before where there is a terminal,
    until nothing has run for a few looks. Raises ``UserError``.
    """
    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    before: list[str] = []
    idle = 0
    while True:
        lines = list(describe(ResultsFolder(folder.path), study))
        if lines != before:
            if terminal and before:
                _clear(before)
            print("\n".join(lines), flush=True)
            before = lines
        # Between two trials nothing runs for a moment.
        idle = 0 if watch and _runs(folder, study) else idle + 1
        if not watch or idle == _IDLE_LOOKS:
            return
        time.sleep(WATCH_SECONDS)


def _clear(lines: list[str]) -> None:
    """Take lines back from a terminal, as many rows as they fill there."""
    columns, rows = shutil.get_terminal_size()
    filled = sum(max(1, -(-len(line) // columns)) for line in lines)
    # Rows that have left the screen cannot be taken back.
    print(f"\x1b[{min(filled, rows - 1)}F\x1b[J", end="")


def _runs(folder: ResultsFolder, study: str | None) -> bool:
    """Whether a process runs a trial of a study."""
    trials = [saved.id for plan in studies_in(folder, study).values() for saved in plan]
    return any(folder.of(trial_id).is_dir() and folder.is_claimed(trial_id) for trial_id in trials)


def studies_in(folder: ResultsFolder, study: str | None) -> dict[str, tuple[SavedTrial, ...]]:
    """The trials of a study in a folder, or of all studies, by the study's name. Raises ``UserError``."""
    if not folder.path.is_dir():
        raise UserError(f"no folder {shown(folder.path)}: run the study first, or give its folder with --out")
    plans = saved_plans(folder.studies)
    if not plans:
        raise UserError(f"{shown(folder.path)} holds no study: run one first, or give its folder with --out")
    if study is None:
        return plans
    if study not in plans:
        raise UserError(f"no study {study!r} in {shown(folder.path)}; {suggestion(study, plans, 'it holds')}")
    return {study: plans[study]}


@dataclass(frozen=True)
class _Begun:
    """A trial that was begun and has no row."""

    saved: SavedTrial
    trial: Trial | None
    """None where its file is missing or not whole."""
    kept: Kept | None
    runs: bool
    """Whether a process runs it now."""

    @property
    def share(self) -> float:
        return self.kept.progress.share if self.kept else 0.0

    def line(self) -> str:
        label = self.trial.label if self.trial else f"{self.saved.cell}, trial {self.saved.id}"
        if self.kept is None:
            return f"  {label}: {'running' if self.runs else 'begun'}, nothing known of it yet"
        progress = self.kept.progress
        metric = "" if progress.metric is None else f", {progress.metric:.4g}"
        attempt = f", attempt {self.kept.attempts}" if self.kept.attempts > 1 else ""
        what = progress.message if self.runs else "interrupted"
        return f"  {label}: {self.share:.0%}{metric}, {what or 'running'}, {duration(self.kept.seconds)}{attempt}"


def _describe(folder: ResultsFolder, study: str, trials: tuple[SavedTrial, ...]) -> Iterator[str]:
    rows = {saved.id: row for saved in trials if (row := folder.row(saved.id)) and satisfies(row, saved.stage)}
    begun = [_begun(folder, saved) for saved in trials if saved.id not in rows and folder.of(saved.id).is_dir()]
    yield f"{study}: {_counts(trials, rows)}; {_outlook(trials, rows, begun)}; results in {shown(folder.path)}"
    for trial in sorted(begun, key=lambda trial: not trial.runs):
        yield trial.line()
    yield from best_per_method(rows.values())
    failed = [row for row in rows.values() if row.status == "failed"]
    for row in failed[:_FAILURES]:
        label, log = label_of(row.settings), folder.of(row.trial_id) / "log.txt"
        yield f"failed: {label}: {row.error} ({shown(log)})"
    if len(failed) > _FAILURES:
        yield f"and {len(failed) - _FAILURES} more that failed"


def _counts(trials: tuple[SavedTrial, ...], rows: dict[str, Row]) -> str:
    statuses = [row.status for row in rows.values()]
    names = [name for name in ("finished", "diverged", "stopped", "failed") if name in statuses]
    counts = f" ({', '.join(f'{statuses.count(name)} {name}' for name in names)})" if names else ""
    # Which trials follow from tuning is not known before.
    so_far = " so far" if any(saved.stage == "tuning" for saved in trials) else ""
    return f"{len(rows)} of {len(trials)} trials{so_far} have a result{counts}"


def _outlook(trials: tuple[SavedTrial, ...], rows: dict[str, Row], begun: list[_Begun]) -> str:
    if len(rows) == len(trials):
        return "complete"
    running = [trial for trial in begun if trial.runs]
    if not running:
        return "not running"
    ended = sorted((row for row in rows.values() if row.status in ("finished", "stopped")), key=lambda row: row.started)
    known = [Took(row.method, row.seconds, work=work(row.settings)) for row in ended]
    # Of trials that nobody has begun, the files do not say which method they are of: those of the same cell tell.
    cells = {
        saved.cell: Left(rows[saved.id].method, 0.0, work(rows[saved.id].settings)) for saved in trials if saved.id in rows
    }
    left = []
    for trial in begun:
        of = trial.trial
        left.append(Left(of.method.name, trial.share, work(of.settings)) if of else Left("", trial.share))
        if of and trial.runs and trial.kept and trial.share > 0.02:
            known.append(Took(of.method.name, trial.kept.seconds / trial.share, trial.share, work(of.settings)))
    waiting = {saved.id for saved in trials} - rows.keys() - {trial.saved.id for trial in begun}
    left += [cells.get(saved.cell, Left("")) for saved in trials if saved.id in waiting]
    return f"{len(running)} running, {outlook(time_left(known, left, len(running)))}"


def _begun(folder: ResultsFolder, saved: SavedTrial) -> _Begun:
    try:
        trial = Trial.model_validate_json((folder.of(saved.id) / "trial.json").read_bytes())
    except (OSError, ValidationError):
        trial = None
    try:
        runs = folder.is_claimed(saved.id)
    except OSError as error:
        raise UserError(f"cannot tell what runs in {shown(folder.path)}: {error.strerror}") from error
    return _Begun(saved, trial, read_clock(folder.of(saved.id)), runs)
