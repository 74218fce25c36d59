"""Runs commands in this process, with trainings that take no time and no worker processes, and says what came of it."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from doping.machine import ROOT
from sweeps.commands.main import main
from sweeps.engines.base import Ended, Event, Reported
from sweeps.engines.launch import Launch
from sweeps.results.folder import ResultsFolder
from sweeps.trials.dotted_names import Functions, load
from sweeps.trials.job import Job
from sweeps.trials.outcome import Outcome, Progress, Report
from sweeps.trials.trial import Trial
from sweeps.worker.execute import Verdict, execute

ALLOWED = (0, 1, 2, 130)
"""Exit codes of a command, whatever it is given."""
MOST_SECONDS = 30.0
"""Longer is a hang."""
LONGEST_LINE = 900


class Harm(AssertionError):  # noqa: N818 - it is not the program that is in error
    """A command did what none may do; the message says what it was given."""


class InProcess:
    """An engine that runs each trial at once, in this process."""

    def __init__(self, launch: Launch) -> None:
        self._folder, self._train = ResultsFolder(launch.folder), load(launch.train)
        self._events: list[Event] = []

    def free(self) -> int:
        """One at a time."""
        return 0 if self._events else 1

    def submit(self, job: Job) -> None:
        """Run a trial to its end."""

        def report(progress: Progress) -> None:
            self._events.append(Reported(job.trial, progress))

        # What the training prints belongs into its log: into the files that ``execute`` turns there.
        with contextlib.redirect_stdout(sys.__stdout__), contextlib.redirect_stderr(sys.__stderr__):
            verdict: Verdict = execute(job.model_copy(update={"time_limit": None}), self._folder, self._train, report, 1)
        self._events.append(Ended(job.trial, verdict.kind, verdict.message))

    def wait(self, seconds: float) -> list[Event]:
        """All that has happened."""
        events, self._events = self._events, []
        return events

    def close(self, grace: float) -> None:
        """Nothing runs between two calls."""


def interrupted(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    """A training during which somebody presses Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)
    done: Outcome = load("fake_training:instant")(trial, directory, report, threads)
    return done


TRAININGS = (
    *("fake_training:instant",) * 3,
    *("fake_training:bowl", "fake_training:crashes_once", "fake_training:crashes_at_seed_2", "fake_training:diverges"),
    "benchmarks.command_fuzz.runner:interrupted",
)
"""Stand-ins for training; what they do is in ``tests/support/fake_training.py``."""


@contextlib.contextmanager
def without_workers() -> Iterator[None]:
    """Within it, trials run in this process."""
    support = str(ROOT / "tests" / "support")
    if support not in sys.path:
        sys.path.append(support)
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)]
    try:
        with mock.patch.object(Launch, "engine", lambda launch, trials, notice: InProcess(launch)):
            yield
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)


@dataclass(frozen=True)
class Said:
    """What a command ended with."""

    code: int
    out: str
    error: str


def study(arguments: Sequence[str], train: str = TRAININGS[0]) -> Said:
    """Run ``sweeps/run.py`` with a stand-in for training. Raises ``Harm``."""
    functions = Functions(train, "fake_training:data_hash", "fake_training:estimate", check_latency="builtins:dict")
    return checked(lambda: main(["--wandb", "off", *arguments], functions), arguments)


def checked(command: Callable[[], int], given: object) -> Said:
    """Run the ``main`` of a command. Raises ``Harm`` unless it ends as a command may."""
    out, error = io.StringIO(), io.StringIO()
    begun = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = command()
        except SystemExit as end:  # after --help
            code = end.code if isinstance(end.code, int) else 1
        except Exception as defect:
            raise Harm(f"{type(defect).__name__}: {defect}; given {given}") from defect
    said = Said(code, out.getvalue(), error.getvalue())
    seconds = time.monotonic() - begun
    wrong = {
        f"exit code {code}": code not in ALLOWED,
        "a traceback": "Traceback" in said.out + said.error,
        "not one line": code == 2 and not (said.error.startswith("error: ") and said.error.count("\n") == 1),
        "a long line": code == 2 and len(said.error) > LONGEST_LINE,
        f"{seconds:.0f} s": seconds > MOST_SECONDS,
    }
    if any(wrong.values()):
        raise Harm(f"{', '.join(name for name, is_so in wrong.items() if is_so)}: {said.error[-1500:]}; given {given}")
    return said
