"""Shows how a study fares: bars in a terminal, one line per trial elsewhere, or nothing; ``verbose`` shows validations."""

from __future__ import annotations

import math
import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from doping.command_line import duration
from sweeps.results.rows import Row
from sweeps.running.standing import Standing, best_per_method
from sweeps.running.time_left import outlook
from sweeps.trials.outcome import Progress
from sweeps.trials.trial import Trial

if TYPE_CHECKING:
    from rich.console import Group
    from rich.progress import TaskID


class Quiet:
    """Shows nothing, but keeps count; the base of the other displays."""

    def __init__(self, standing: Standing, verbose: bool = False) -> None:
        self.standing, self._verbose = standing, verbose
        self._left: float | None = None
        self._left_due = -math.inf

    def left(self) -> str:
        """The time left, in words. It looks at every trial, so it is worked out anew at most every 50 times its own time."""
        start = time.monotonic()
        if start >= self._left_due:
            self._left = self.standing.seconds_left()
            self._left_due = start + 50 * (time.monotonic() - start)
        return outlook(self._left)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def running(self, trial: Trial, progress: Progress) -> None:
        """A trial reports."""
        run = self.standing.running.get(trial.id)
        before = run.latest if run else None
        self.standing.report(trial, progress)
        if self._verbose and before is None:
            self.notice(f"{trial.label}: begun, trial {trial.id}")
        elif self._verbose and before and progress.metric not in (None, before.metric):
            self.notice(f"{trial.label}: {progress.metric:.4g} at step {progress.step} ({progress.share:.0%})")

    def finished(self, trial: Trial, row: Row) -> None:
        """A trial has a row."""
        self.standing.finish(trial, row)

    def put_back(self, trial: Trial) -> None:
        """A trial does not run any more, and will be run again."""
        self.standing.put_back(trial)

    def notice(self, line: str) -> None:
        """Something that the user should know."""


class Lines(Quiet):
    """A line for every trial that ends: for log files and pipes."""

    def finished(self, trial: Trial, row: Row) -> None:
        """Print the trial's result, the count, and the time left."""
        super().finished(trial, row)
        done, total = len(self.standing.rows), self.standing.due.expected
        left = "" if done == total else f", {self.left()}"
        self.notice(f"[{done:>{len(str(total))}}/{total}] {trial.label}: {_result(row)} ({duration(row.seconds)}){left}")

    def notice(self, line: str) -> None:
        """Print a line."""
        print(line, flush=True)


class Bars(Quiet):
    """A bar for every trial that runs, one for the study, and the best of each method."""

    def __init__(self, standing: Standing, verbose: bool = False) -> None:
        from rich.console import Group
        from rich.live import Live
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as RichProgress
        from rich.text import Text

        super().__init__(standing, verbose)
        note = TextColumn("{task.fields[note]}", markup=False)
        self._bars = RichProgress(TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), note)
        self._study = self._bars.add_task("", total=standing.due.expected, note="")
        self._tasks: dict[str, TaskID] = {}
        self._text, self._group = Text, Group
        self._live = Live(get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def running(self, trial: Trial, progress: Progress) -> None:
        """Move the trial's bar."""
        super().running(trial, progress)
        if trial.id not in self._tasks:
            self._tasks[trial.id] = self._bars.add_task(trial.label, total=1.0, note="")
        metric = "" if progress.metric is None else f"{progress.metric:.4g}"
        note = " ".join(filter(None, [metric, progress.message]))
        self._bars.update(self._tasks[trial.id], completed=progress.share, note=note)

    def finished(self, trial: Trial, row: Row) -> None:
        """Take the trial's bar away and print its result."""
        super().finished(trial, row)
        self._remove(trial)
        self.notice(f"{trial.label}: {_result(row)} ({duration(row.seconds)})")

    def put_back(self, trial: Trial) -> None:
        """Take the trial's bar away."""
        super().put_back(trial)
        self._remove(trial)

    def notice(self, line: str) -> None:
        """Print a line above the bars."""
        self._live.console.print(line, markup=False, highlight=False)

    def _remove(self, trial: Trial) -> None:
        task = self._tasks.pop(trial.id, None)
        if task is not None:
            self._bars.remove_task(task)

    def _render(self) -> Group:
        standing = self.standing
        done, failed = len(standing.rows), standing.count("failed")
        note = self.left() + (f", {failed} failed" if failed else "")
        total = standing.due.expected
        self._bars.update(self._study, completed=done, total=total, description=f"{done} of {total} trials", note=note)
        return self._group(self._bars, self._text("\n".join(best_per_method(standing.rows.values()))))


def display(standing: Standing, quiet: bool, verbose: bool = False) -> Quiet:
    """The display that suits where the output goes."""
    if quiet:
        return Quiet(standing)
    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return Bars(standing, verbose) if terminal else Lines(standing, verbose)


def _result(row: Row) -> str:
    if row.status == "failed":
        return f"failed: {row.error}"
    if row.status == "stopped":
        return f"stopped early at {row.validation:.4g} {row.metric}"
    return "diverged" if row.status == "diverged" else f"{row.validation:.4g} {row.metric}"
