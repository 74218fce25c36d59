"""What W&B is told of a trial: one run, whatever happened on the way, with all that was measured and nothing twice."""

import csv
import dataclasses
import errno
import getpass
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from forked.python import PYTHON
from wandb_runs.files import history, inspect, until_whole
from wandb_runs.trials import DOPED, run, tiny

from data import data_hash
from doping import machine
from doping.method import Method
from lightning_modules.callbacks.curve import CurvePoint
from sweeps.results.views import CURVE_COLUMNS
from sweeps.trials.outcome import Interrupted
from sweeps.trials.trial import WHERE, Trial
from sweeps.worker.wandb_folder import run_name
from tasks.language_model import LanguageModelTask

pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).parents[3]
NODE = os.uname().nodename
COLUMN_OF = {
    **{name: name for name in ("validation", "training_loss", "sparsity")},
    **{f"by_sparsity/{name}": name for name in ("validation", "energy_sparse")},
    "by_sparsity/structured_alone": "validation_without_sparse",
    "by_sparsity/sparse_alone": "validation_without_structured",
    **{f"parts/{name}": name for name in ("energy_cross", "validation_slice", "cmr_probability")},
    **{f"parts/{name}": name for name in ("gradient_structured", "gradient_sparse")},
    **{f"size/{name}": name for name in ("values", "bytes")},
}
"""Column of curves.csv that a drawn key has its values from."""

ENVIRONMENT = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_RUN_GROUP": "tiny-quick"}


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A trial that was trained and logged, what came of it, and its folder, which stays as it is."""
    folder = tmp_path_factory.mktemp("logged")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        return tiny(), run(tiny(), folder), folder


def test_the_offline_file_holds_what_was_measured(logged):
    _, outcome, folder = logged
    lines, points = history(folder), table(folder / "curve.csv")
    assert [line["_step"] for line in lines] == [int(point["step"]) for point in points]
    assert len(lines) == 4
    for line, point in zip(lines, points, strict=True):
        expected = {key: float(point[name]) for key, name in COLUMN_OF.items()}
        expected["size/cf_values"] = outcome.dense_values / int(point["values"])
        expected["size/cf_bytes"] = outcome.dense_bytes / int(point["bytes"])
        drawn = {key: value for key, value in line.items() if not key.startswith(("_", "per_matrix/"))}
        assert drawn == pytest.approx(expected)
    matrices = table(folder / "matrices.csv")
    assert len(matrices) == 4 * 2
    for row in matrices:
        line = next(line for line in lines if line["_step"] == int(row["step"]))
        for name in ("sparsity", "energy_structured", "energy_sparse", "energy_cross"):
            assert line[f"per_matrix/{row['matrix']} {name}"] == pytest.approx(float(row[name]))


@pytest.mark.exhaustive
def test_what_stays_as_it_is_is_not_drawn(tmp_path):
    run(tiny(Method()), tmp_path / "dense")
    assert all(
        {key for key in line if not key.startswith("_")} == {"validation", "training_loss"}
        for line in history(tmp_path / "dense")
    )
    run(tiny(Method(name="doped_kp", factor=5)), tmp_path / "doped")
    assert not any("cmr" in key for line in history(tmp_path / "doped") for key in line)


def test_nothing_of_the_machine_is_in_a_run(tmp_path, monkeypatch):
    home = tmp_path / "home-of-somebody"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("SOME_SETTING", "a-value-of-the-environment")
    monkeypatch.setattr("sys.argv", ["/opt/somewhere/program", "--password", "secret-argument"])
    text = tmp_path / "text-of-mine.txt"
    text.write_text("so it goes on and on\n" * 400)
    task = LanguageModelTask(
        data={"corpus": "text", "path": str(text)},
        model={"hidden": 20},
        training={"epochs": 1, "batch_size": 8, "sequence_length": 20, "validations": 2},
    )
    run(Trial(task=task, method=DOPED, seed=1, data_hash=data_hash(task.data)), tmp_path / "trial")
    until_whole(tmp_path / "trial")
    (folder,) = (tmp_path / "trial").glob("wandb/offline-run-*")
    files = [*folder.glob("*.wandb"), *(path for path in (folder / "files").rglob("*") if path.is_file())]
    content = b"".join(path.read_bytes() for path in files)
    assert b"doped_kp 5x cmr 0.3 s1" in content, "the name of the run is found"
    words = [str(tmp_path), str(ROOT), str(Path.cwd()), sys.executable, str(home), "k" * 40, "somewhere", "secret-argument"]
    words += ["a-value-of-the-environment", "text-of-mine", getpass.getuser() + "@", *([NODE] if len(NODE) > 3 else [])]
    assert [word for word in words if word.encode() in content] == []
    header = [json.loads(line) for line in inspect(tmp_path / "trial").splitlines()]
    (started,) = [record["run"] for record in header if record["type"] == "run"]
    assert not started.get("host")
    assert "git" not in started


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (Method(), "dense s1"),
        (Method(name="kp", factor=20), "kp 20x s1"),
        (Method(name="doped_kp", factor=20, cmr={"probability": 0.3}), "doped_kp 20x cmr 0.3 s1"),
        (
            Method(name="doped_kp", factor=12.5, annealing={"start": 0.3, "length": 0.2}),
            "doped_kp 12.5x s1 start 0.3 length 0.2",
        ),
        (Method(name="pruned", factor=10, pattern="gates"), "pruned 10x s1 pattern gates"),
    ],
)
def test_a_run_has_a_short_name_that_says_what_is_unusual(method, name):
    assert run_name(tiny(method)) == name


@pytest.fixture(params=["links", "no links"])
def links(request, tmp_path, monkeypatch):
    if request.param == "no links":

        def refuse(*arguments, **options):
            raise OSError(errno.EPERM, "not here")

        monkeypatch.setattr(Path, "symlink_to", refuse)
    monkeypatch.setenv("LSTM_WANDB_LINKS", str(tmp_path / "wandb"))
    return tmp_path / "wandb"


@pytest.mark.exhaustive(keep=["links"])
@pytest.mark.slow
def test_a_study_has_all_its_runs_in_one_folder_while_they_run(links, tmp_path):
    trials = [tiny(Method()), tiny(), tiny(DOPED, epochs=1)]
    seen = []
    for trial in trials:

        def look(progress):
            if progress.validation == 2:
                seen.append(sorted(links.glob("run-*")))

        (tmp_path / "trials").mkdir(exist_ok=True)
        run(trial, tmp_path / "trials" / trial.id, look)
    assert [len(entries) for entries in seen] == [1, 2, 3]
    run(trials[0], tmp_path / "trials" / trials[0].id)  # again: its entry is replaced
    names = [entry.name.split("-", 2)[2] for entry in links.glob("run-*")]
    assert sorted(names) == sorted(["dense s1", "doped_kp 5x cmr 0.3 s1", f"doped_kp 5x cmr 0.3 s1 {trials[2].id}"])
    for entry in links.glob("run-*"):
        (log,) = entry.glob("run-*.wandb")
        assert log.name == f"run-{entry.name.split('-', 2)[2]}.wandb", "as the dashboard looks for it"
        command = [*PYTHON, "-m", "wandb", "leet", "inspect", "--json", "--summary", str(log)]
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
        assert said["state"] == "finished"
        (original,) = (tmp_path / "trials" / said["run_id"]).glob("wandb/*run-*/*.wandb")
        assert log.read_bytes() == original.read_bytes()


def test_all_columns_of_a_curve_are_in_the_table_of_all_curves():
    fields = [field.name for field in dataclasses.fields(CurvePoint) if field.name != "matrices"]
    assert list(CURVE_COLUMNS) == ["trial_id", *fields]


def test_a_run_says_what_defines_the_trial_and_how_it_ended(logged):
    trial, outcome, folder = logged
    said = json.loads(inspect(folder, "--summary"))
    assert (said["run_id"], said["name"], said["state"]) == (trial.id, "doped_kp 5x cmr 0.3 s1", "finished")
    assert said["config"] == trial.model_dump(mode="json", exclude=WHERE) | {
        "commit": machine.commit(),
        "label": "doped_kp + cmr",
        "factor": 5,
        "cmr": 0.3,
        "anneal_rate": "from 0.15, over 0.55, exponent 3",
    }
    for name in ("validation", "test", "best_validation", "values", "bytes", "multiply_adds", "dense_values"):
        assert said["summary"][name] == pytest.approx(getattr(outcome, name)), name
    records = [json.loads(line) for line in inspect(folder).splitlines()]
    (started,) = [record["run"] for record in records if record["type"] == "run"]
    assert (started["run_group"], started["job_type"], started["project"]) == ("tiny-quick", "doped_kp", "lstm-doping")
    (axis,) = [record["metric"] for record in records if record["type"] == "metric"]
    assert (axis["glob_name"], axis["step_metric"]) == ("by_sparsity/*", "sparsity")


@pytest.mark.slow
def test_a_trial_that_was_interrupted_twice_is_one_run_with_every_point_once(logged, tmp_path, monkeypatch):
    monkeypatch.setattr("sweeps.worker.train.REPORT_SECONDS", 0)
    monkeypatch.setattr("sweeps.worker.train.CHECKPOINT_SECONDS", 0)
    (trial, _, calm), interrupted = logged, tmp_path / "interrupted"
    for share in (0.4, 0.7):

        def stop(progress, share=share):
            if progress.share > share:
                raise Interrupted

        with pytest.raises(Interrupted):
            run(trial, interrupted, stop)
        assert json.loads(inspect(interrupted, "--summary"))["state"] == "failed"
    run(trial, interrupted)
    own_time = ("_runtime", "_timestamp")
    expected = [{key: value for key, value in line.items() if key not in own_time} for line in history(calm)]
    assert [{key: value for key, value in line.items() if key not in own_time} for line in history(interrupted)] == expected
    assert json.loads(inspect(interrupted, "--summary"))["state"] == "finished"


def test_a_step_is_taken_once(tmp_path):
    """What keeps points from standing twice where W&B continues a run: it refuses steps that lie before its last one."""
    import wandb

    # Told by hand: what the environment says is read once a process.
    with wandb.init(dir=tmp_path, project="p", mode="offline") as again:
        for step, value in ((5, 1.0), (10, 2.0), (5, 3.0), (10, 2.0), (15, 4.0)):
            again.log({"value": value}, step=step)
    assert [(line["_step"], line["value"]) for line in history(tmp_path)] == [(5, 1.0), (10, 2.0), (15, 4.0)]


@pytest.mark.exhaustive(keep=["2"])
@pytest.mark.parametrize("every", ["0", "2"])
def test_logging_and_monitoring_change_neither_the_trial_nor_its_result(every, logged, tmp_path, monkeypatch):
    (trial, expected, watched), plain = logged, tmp_path / "plain"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("LSTM_MONITOR_EVERY", every)
    assert run(trial, plain) == expected
    weights = [torch.load(folder / "model.ckpt", weights_only=True)["state_dict"] for folder in (watched, plain)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    measured = [bool(point["energy_sparse"]) for point in table(plain / "curve.csv")]
    assert measured == ([False] * 4 if every == "0" else [False, True, False, True])
    same = ("step", "sparsity", "training_loss", "validation", "values", "bytes")
    pick = lambda folder: [[point[name] for name in same] for point in table(folder / "curve.csv")]  # noqa: E731
    assert pick(watched) == pick(plain)
    assert not (plain / "wandb").exists()


OFFLINE = """
    import sys
    from pathlib import Path
    calls = []
    sys.addaudithook(lambda event, arguments: calls.append((event, str(arguments)))
        if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto") else None)
    from wandb_runs.trials import run, tiny
    run(tiny(epochs=1), Path(sys.argv[1]))
    away = [call for call in calls if "/" not in call[1]]  # sockets of this machine are files
    assert not away, away
"""

REACH_OUT = """
    import socket
    try:
        socket.create_connection(("192.0.2.1", 443), timeout=1)
    except OSError:
        pass
"""


def packets_of(code, *arguments):
    """Packets that a program and its children sent or tried to, in a network of their own that leads nowhere.

    Counted by the kernel, so W&B's own process, which is no Python, is seen too.
    """
    count = "; awk '/^Ip:/ && n++ {print $11 + $13}' /proc/self/net/snmp"
    command = ["unshare", "-rn", "sh", "-c", f'"$0" "$@" >&2 || exit 1{count}', sys.executable, "-c", textwrap.dedent(code)]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_offline_nothing_is_sent(tmp_path):
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("a network of one's own cannot be had here")
    assert packets_of(REACH_OUT) > 0, "a try to send is counted"
    (tmp_path / "trial").mkdir()
    assert packets_of(OFFLINE, tmp_path / "trial") == 0
    assert len(history(tmp_path / "trial")) == 4


def test_every_panel_of_the_workspace_shows_something_that_is_logged(logged):
    from analysis.wandb_pages import pages as wandb_pages

    _, _, folder = logged
    said = json.loads(inspect(folder, "--summary"))
    known = {f"summary:{key}" for key in said["summary"]} | {f"config:{key}.value" for key in said["config"]}
    known |= {key for line in history(folder) for key in line} | set(said["summary"])
    asked = set()
    for panels in wandb_pages.sections().values():
        for panel in panels:
            config = panel._to_model().model_dump(by_alias=True)["config"]
            asked |= {config.get(axis) for axis in ("xAxis", "yAxis", "targetKey")} | set(config.get("metrics") or ())
            asked |= {column["accessor"] for column in config.get("columns", ())}
            asked |= {f"config:{config['groupBy']}"} if config.get("groupBy") else set()
    assert len(asked) > 20
    assert asked - {None} <= known
