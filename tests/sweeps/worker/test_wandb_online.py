"""W&B online, shown with a stand-in for its server on 127.0.0.1 (``tests.support.wandb_runs.server``)."""

import csv
import json
import os
import shlex
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import small_text
import yaml
from forked.python import PYTHON
from wandb_runs.server import KEY, wandb_server

from sweeps.commands.main import main

ROOT = Path(__file__).parents[3]
WANDB = """
import sys
from wandb.cli.cli import cli
from wandb.wandb_agent import Agent
Agent.POLL_INTERVAL = 0.2
sys.argv[0] = "wandb"
cli()
"""
"""W&B's commands, with an agent that looks at its program more often than every five seconds."""

STUDY = """
description: two short trainings
presets:
  quick:
    task:
      data: DATA
      model: {hidden: 20}
      training: {epochs: 2, batch_size: 8, sequence_length: 20, validations: 4}
    seeds: [1]
    runs:
      - method: dense
      - {method: doped_kp, factor: 5}
"""

TRIAL = """
import sys, time
from pathlib import Path
import sweeps.worker.train as training
from wandb_runs.trials import tiny, run
training.REPORT_SECONDS = training.CHECKPOINT_SECONDS = 0
pause, first_pause = float(sys.argv[2]), int(sys.argv[3])
def report(progress):
    if progress.notice:
        print("notice:", progress.notice, flush=True)
    if progress.validation:
        print("validation", progress.validation, flush=True)
        time.sleep(pause if progress.validation >= first_pause else 0)
run(tiny(), Path(sys.argv[1]), report)
print("done", flush=True)
"""


@pytest.fixture
def server():
    with wandb_server() as started:
        yield started
    assert started.unknown == []


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "short.yaml"
    path.write_text(STUDY.replace("DATA", small_text.YAML))
    return path


def clean_environment(server, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return kept | server.environment() | more


def sweep(study, out, mode, environment):
    """The command as a user gives it; returns its exit code and what it printed."""
    command = [*PYTHON, "sweeps/run.py", "--study", study, "--out", out, "--workers", "1", "--wandb", mode]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


@contextmanager
def trial_process(folder, server, pause=0.0, first_pause=1, mode="online"):
    """A training in a process of its own, which says how far it is, a line a validation, and pauses after each."""
    environment = clean_environment(server, WANDB_MODE=mode, WANDB_SILENT="true", WANDB_RUN_GROUP="g")
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    command = [*PYTHON, "-c", TRIAL, str(folder), str(pause), str(first_pause)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def said(process, word):
    """Wait until a process has said something; returns all that it said until then."""
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if lines[-1].startswith(word):
            return lines
    raise AssertionError(f"it ended without {word!r}: {lines}")


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def steps_of_curve(folder):
    lines = (folder / "curve.csv").read_text().splitlines()
    return [int(line.partition(",")[0]) for line in lines[1:]]


def steps(run):
    return [row["_step"] for row in run.history]


@pytest.mark.slow
def test_a_study_online_and_the_same_study_offline_and_synced_say_the_same(server, study, tmp_path):
    environment = clean_environment(server)
    assert sweep(study, tmp_path / "online", "online", environment)[0] == 0
    online = dict(server.runs)
    assert len(online) == 2
    for trial_id, run in online.items():
        assert steps(run) == steps_of_curve(tmp_path / "online" / "trials" / trial_id)
        assert run.exit_code == 0
        assert run.fields["groupName"] == "short-quick"
        row = json.loads((tmp_path / "online" / "trials" / trial_id / "row.json").read_text())
        assert run.summary["validation"] == pytest.approx(row["validation"])
        assert run.config["seed"] == 1
    assert {run.fields["displayName"] for run in online.values()} == {"dense s1", "doped_kp 5x s1"}

    server.runs.clear()
    assert sweep(study, tmp_path / "offline", "offline", environment)[0] == 0
    assert server.runs == {}, "offline asks for nothing"
    command = [*PYTHON, "-c", WANDB, "sync", str(tmp_path / "offline" / "wandb")]
    for _ in range(2):  # what is synced is not sent again
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    own_time = ("_runtime", "_timestamp")
    plain = lambda run: [{key: row[key] for key in row if key not in own_time} for row in run.history]  # noqa: E731
    assert server.runs.keys() == online.keys()
    for trial_id, run in server.runs.items():
        assert plain(run) == plain(online[trial_id])
        assert run.fields["displayName"] == online[trial_id].fields["displayName"]
        assert run.config == online[trial_id].config
    sent = b"".join(server.bodies)
    for secret in (os.uname().nodename.encode(), str(tmp_path).encode(), str(ROOT).encode(), str(Path.home()).encode()):
        assert len(secret) < 4 or secret not in sent
    assert KEY.encode() not in sent


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_trial_that_is_killed_and_resumed_is_one_run_with_each_step_once(server, tmp_path):
    folder = tmp_path / "trial"
    with trial_process(folder, server, pause=30, first_pause=2) as process:
        said(process, "validation 2")
        until(lambda: server.runs and steps(next(iter(server.runs.values()))))
        os.killpg(process.pid, signal.SIGKILL)
    with trial_process(folder, server) as process:
        said(process, "done")
    (run,) = server.runs.values()
    assert steps(run) == steps_of_curve(folder)
    assert len(steps(run)) == 4


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [("online", "offline"), ("offline", "online")])
def test_a_trial_that_changes_between_online_and_offline_is_one_run_with_each_step_once(first, then, server, tmp_path):
    folder = tmp_path / "trial"
    with trial_process(folder, server, pause=30, first_pause=2, mode=first) as process:
        said(process, "validation 2")
        if first == "online":
            until(lambda: server.runs and steps(next(iter(server.runs.values()))))
        os.killpg(process.pid, signal.SIGKILL)
    with trial_process(folder, server, mode=then) as process:
        said(process, "done")
    # As the documentation has it: what was logged offline, and nothing that was sent already.
    offline = sorted(map(str, folder.glob("wandb/offline-run-*")))
    command = [*PYTHON, "-c", WANDB, "sync", *offline]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(server), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (run,) = server.runs.values()
    assert steps(run) == steps_of_curve(folder)
    assert len(steps(run)) == 4


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_server_that_goes_away_and_comes_back_gets_everything(server, tmp_path):
    folder = tmp_path / "trial"
    with trial_process(folder, server, pause=1) as process:
        said(process, "validation 1")
        server.stop()
        said(process, "validation 3")
        server.start()
        lines = said(process, "done")
    (run,) = server.runs.values()
    assert steps(run) == steps_of_curve(folder)
    assert run.exit_code == 0
    assert not [line for line in lines if line.startswith("notice")]


@pytest.mark.parametrize(
    ("key", "up", "expected"),
    [
        ("f" * 40, True, "refuses the key: run `wandb login --relogin`; or take --wandb offline"),
        (KEY, False, "does not answer"),
    ],
)
def test_a_login_that_does_not_work_is_said_before_anything_starts(
    key, up, expected, server, study, tmp_path, monkeypatch, capsys
):
    for name, value in server.environment(key).items():
        monkeypatch.setenv(name, value)
    if not up:
        server.stop()
    assert main(["--study", str(study), "--out", str(tmp_path / "out"), "--wandb", "online"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --wandb online: {server.url} ")
    assert expected in line
    assert key not in line
    assert list((tmp_path / "out" / "trials").iterdir()) == []


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_login_that_stops_working_is_said_once_and_the_trials_go_on_offline(server, study, tmp_path):
    environment = clean_environment(server)
    server.refuse_after_viewers = 1  # the question at the start; not the first run's
    code, printed = sweep(study, tmp_path / "out", "online", environment)
    assert code == 0, printed
    assert printed.count("W&B's server is lost") == 1
    assert len(list((tmp_path / "out").glob("trials/*/wandb/offline-run-*/run-*.wandb"))) == 2
    assert len(list((tmp_path / "out" / "wandb").glob("run-*/run-*.wandb"))) == 2


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_study_inside_a_sweep_has_runs_of_its_own_and_tells_the_sweep_its_best(server, study, tmp_path):
    config = yaml.safe_load((ROOT / "examples" / "wandb_sweep.yaml").read_text())
    example = {"examples/wandb_sweep.py": str(ROOT / "examples" / "wandb_sweep.py"), "kp_vs_pruning": str(study)}
    own = {"smoke": "quick"}
    config["command"] = [(example | own).get(word, word) for word in config["command"]] + ["task.training.epochs=1"]
    server.sweep_config = yaml.safe_dump(config)
    arguments = {"runs.1.factor": {"value": 10}, "task.training.learning_rate": {"value": 0.003}}
    server.sweep_commands = [[{"type": "run", "run_id": "proposed1", "program": "", "args": arguments}]]
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {shlex.join(PYTHON)} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    environment = clean_environment(server, PATH=path, WANDB_SILENT="true", WANDB_DIR=str(tmp_path))
    agent = [*PYTHON, "-c", WANDB, "agent", "--count", "1", "tester/lstm-doping/sweep1"]
    done = subprocess.run(agent, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    assert "inside a W&B sweep: the trials are runs of their own" in printed
    with (tmp_path / "runs" / "wandb_sweep" / "proposed1" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert server.runs.keys() == {"proposed1"} | {row["trial_id"] for row in rows}
    assert len(rows) == 2
    for row in rows:
        run = server.runs[row["trial_id"]]
        assert run.fields.get("sweep") is None
        assert run.config["task"]["training"]["learning_rate"] == 0.003
        assert run.config["factor"] == (1 if row["method"] == "dense" else 10)
    proposed = server.runs["proposed1"]
    assert proposed.fields["sweep"] == "sweep1"
    assert proposed.summary["validation"] == pytest.approx(min(float(row["validation"]) for row in rows))


def test_the_workspace_and_the_report_are_published(server, tmp_path):
    command = [*PYTHON, "-m", "analysis.wandb_pages", "--study", "short-quick", "--publish", "tester/lstm-doping"]
    done = subprocess.run(
        command, cwd=ROOT, env=clean_environment(server, WANDB_SILENT="true"), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr + str(server.unknown)
    workspace, report = server.views
    assert (workspace["entityName"], workspace["projectName"], workspace["displayName"]) == (
        "tester",
        "lstm-doping",
        "short-quick",
    )
    assert "by_sparsity/validation" in workspace["spec"]
    assert report["displayName"] == "LSTM doping: short-quick"
    assert "by_sparsity/validation" in report["spec"]
    assert done.stdout.splitlines()[0].startswith(f"workspace: {server.url}/tester/lstm-doping")
