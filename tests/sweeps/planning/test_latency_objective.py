"""A study that names latency as its objective: measured alone, searched for, and chosen by."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import small_text
from fake_training import outcome
from forked.python import PYTHON

from sweeps.optuna_view.entries import OptunaEntries
from sweeps.optuna_view.journal import open_journal
from sweeps.planning.due_trials import DueTrials
from sweeps.planning.plan import make_plan
from sweeps.planning.search import Tried, optuna_result, propose
from sweeps.results.folder import ResultsFolder
from sweeps.study.study import load, with_settings
from sweeps.trials.outcome import Outcome, Progress, Report
from sweeps.trials.trial import Trial
from sweeps.worker.execute import execute
from sweeps.worker.pause_others import Pauses

ROOT = Path(__file__).parents[3]
SHARES = [None, 0.3, 0.6]


def study(tmp_path: Path, tuning: str = "objective: latency, tolerance: 0.1") -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(
        f"""\
description: tiny
presets:
  quick:
    task: {{model: {{hidden: 20}}}}
    seeds: [1]
    tuning: {{trials: 8, parallel: 1, {tuning}, search: {{structured_share: [null, 0.3, 0.6]}}}}
    runs: [{{method: doped_kp, factor: 5}}]
"""
    )
    return path


def validation(trial: Trial) -> float:
    """The three settings have validations of 10, 10.5 and 12."""
    return {None: 10.0, 0.3: 10.5, 0.6: 12.0}[trial.method.structured_share]


def latency(trial: Trial, folder: Path) -> float:
    """The better a setting, the slower."""
    return 100 / validation(trial)


def train(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    report(Progress(0.5, 1))
    return outcome(trial, validation(trial))


def run(path: Path, out: Path) -> tuple[DueTrials, ResultsFolder]:
    """All trials that a study asks for, one after the other."""
    folder = ResultsFolder(out)
    folder.prepare()
    plan = make_plan(load(str(path)), "quick", None, lambda task: "0" * 64)
    due = DueTrials(plan, folder)
    entries = OptunaEntries(open_journal(out, print), plan.study, plan, folder)
    jobs = list(due.jobs.values())
    while jobs:
        for job in jobs:
            assert execute(job, folder, train, lambda progress: None, 1, latency).kind == "done"
            entries.tell(job, folder.results([job])[job.trial.id])
        jobs = due.advance()
    entries.agree(due.jobs.values(), due.rows())
    return due, folder


def chosen(due: DueTrials) -> list[float | None]:
    return [job.trial.method.structured_share for job in due.jobs.values() if job.stage == "final"]


@pytest.mark.parametrize(
    ("tuning", "share"),
    [("objective: quality", None), ("objective: latency, tolerance: 0.1", 0.3), ("objective: latency, tolerance: 0.5", 0.6)],
)
def test_the_fastest_setting_that_is_good_enough_is_run_with_every_seed(tmp_path: Path, tuning: str, share: Any) -> None:
    due, _ = run(study(tmp_path, tuning), tmp_path / "out")
    assert {job.trial.method.structured_share for job in due.jobs.values() if job.stage == "tuning"} == set(SHARES)
    assert chosen(due) == [share]


def test_the_latency_of_every_trial_is_in_its_row_and_in_optuna(tmp_path: Path) -> None:
    due, _ = run(study(tmp_path), tmp_path / "out")
    for trial_id, row in due.rows().items():
        assert row.latency_us == latency(due.jobs[trial_id].trial, Path())
        assert row.latency_hardware
    kept = optuna.load_study(study_name="tiny-quick: doped_kp 5x, by latency", storage=open_journal(tmp_path / "out", print))
    own = [row for trial_id, row in due.rows().items() if due.jobs[trial_id].stage == "tuning"]
    assert {tuple(trial.values) for trial in kept.trials} == {(row.validation, row.latency_us) for row in own}


def test_a_result_without_a_latency_will_not_do(tmp_path: Path) -> None:
    run(study(tmp_path, "objective: quality"), tmp_path / "out")
    by_quality = ResultsFolder(tmp_path / "out")
    by_quality.prepare()
    plan = make_plan(load(str(study(tmp_path))), "quick", None, lambda task: "0" * 64)
    assert DueTrials(plan, by_quality).rows() == {}
    due, _ = run(study(tmp_path), tmp_path / "out")
    assert all(row.latency_us for row in due.rows().values())


def test_what_has_no_latency_counts_as_failed(tmp_path: Path) -> None:
    due, _ = run(study(tmp_path), tmp_path / "out")
    row = next(iter(due.rows().values()))
    assert optuna_result(row, "latency")[1] == [row.validation, row.latency_us]
    for status in ("stopped", "diverged", "failed"):
        state, values = optuna_result(row.model_copy(update={"status": status, "latency_us": None}), "latency")
        assert (state.name, values) == ("FAIL", None)


def test_proposals_follow_from_the_results_alone(tmp_path: Path) -> None:
    due, _ = run(study(tmp_path), tmp_path / "out")
    row = next(iter(due.rows().values()))
    searched = {"structured_share": SHARES}
    tried = [Tried({"structured_share": share}, row) for share in (*SHARES, None)] + [Tried({"structured_share": 0.3}, None)]
    first = propose(searched, tried, 6, "cell", "latency")
    assert first["structured_share"] in SHARES
    assert propose(searched, tried, 6, "cell", "latency") == first


def test_a_tolerance_needs_the_objective(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tolerance needs objective: latency"):
        load(str(study(tmp_path, "tolerance: 0.1")))


def _work(ticks: Any, stop: Any) -> None:
    with Pauses() as pauses:
        while not stop.is_set():
            pauses.pause()
            ticks.value += 1
            time.sleep(0.005)


def test_others_stand_still_while_one_measures() -> None:
    context = multiprocessing.get_context("fork")
    ticks, stop = context.Value("i", 0), context.Event()
    worker = context.Process(target=_work, args=(ticks, stop))
    with Pauses() as own:
        worker.start()
        _until(lambda: ticks.value > 3)
        with own.alone():
            before = ticks.value
            time.sleep(0.1)
            assert ticks.value == before
        _until(lambda: ticks.value > before + 3)
    stop.set()
    worker.join(10)
    assert worker.exitcode == 0


def _measure(measuring: Any) -> None:
    with Pauses() as pauses, pauses.alone():
        measuring.set()
        time.sleep(60)


@pytest.fixture
def started() -> Iterator[Any]:
    """Starts functions in processes, and ends these."""
    context = multiprocessing.get_context("fork")
    processes = []

    def start(of: Any, *arguments: Any) -> int:
        processes.append(context.Process(target=of, args=arguments))
        processes[-1].start()
        return int(processes[-1].pid)

    yield start
    for process in processes:
        process.kill()
        process.join()


needs_holders = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the kernel does not tell who holds a lock")


@needs_holders
@pytest.mark.parametrize("works", [True, False], ids=["a trial", "one that measures"])
def test_nobody_waits_for_what_is_stopped(works: bool, started: Any) -> None:
    ticks, event = multiprocessing.Value("i", 0), multiprocessing.Event()
    process = started(_work, ticks, event) if works else started(_measure, event)
    _until((lambda: ticks.value > 3) if works else event.is_set)
    os.kill(process, signal.SIGSTOP)
    start = time.monotonic()
    with Pauses() as own, own.alone():
        assert time.monotonic() - start < 10


@needs_holders
def test_of_two_the_one_that_runs_is_waited_for(started: Any) -> None:
    stopped, ticks, event = multiprocessing.Value("i", 0), multiprocessing.Value("i", 0), multiprocessing.Event()
    os.kill(started(_work, stopped, event), signal.SIGSTOP)
    started(_work, ticks, event)
    _until(lambda: ticks.value > 3)
    with Pauses() as own, own.alone():
        before = ticks.value
        time.sleep(0.1)
        assert ticks.value == before


def _until(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.exhaustive
@pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler")
def test_the_shipped_study_measures_and_chooses(tmp_path: Path) -> None:
    command = [*PYTHON, "sweeps/run.py", "--study", "fast_kp", "--preset", "smoke", "--wandb", "off"]
    command += ["--set", "task.data.corpus=text", "--set", f"task.data.path={small_text.PATH}"]
    subprocess.run([*command, "--out", str(tmp_path)], cwd=ROOT, check=True, capture_output=True, timeout=240)
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["latency_us"]) > 0 for row in rows)
    for cell in ("doped_kp 5x", "doped_kp 8x"):
        tuned = [row for row in rows if (row["cell"], row["stage"]) == (cell, "tuning")]
        limit = min(float(row["validation"]) for row in tuned) * 1.05
        fastest = min((row for row in tuned if float(row["validation"]) <= limit), key=lambda row: float(row["latency_us"]))
        finals = [row for row in rows if (row["cell"], row["stage"]) == (cell, "final")]
        assert len(finals) == 2
        assert {_share(row) for row in finals} == {_share(fastest)}


def _share(row: dict[str, str]) -> float | None:
    share: float | None = json.loads(row["settings"])["method"]["structured_share"]
    return share


def test_a_named_study_can_be_given_the_objective_on_the_command_line() -> None:
    changed = with_settings(load("pareto"), "quick", ["tuning.objective=latency", "tuning.tolerance=0.02"])
    tuning = changed.preset("quick").tuning
    assert tuning is not None
    assert (tuning.objective, tuning.tolerance) == ("latency", 0.02)
