"""The same study on a cluster: nodes die and join, the scheduler goes, and the folder holds what was planned."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cluster import dask_cluster, postgresql
from fake_training import TICKS

from doping.machine import cores
from runs import ROOT, STUDY, assert_complete, quality, rows, run, start, until
from sweeps.engines.local import THREAD_VARIABLES
from sweeps.worker.environment import UNLESS_SET


@pytest.fixture
def study(tmp_path):
    """Path of a study with three trials a seed."""

    def write(seeds):
        path = tmp_path / "tiny.yaml"
        path.write_text(STUDY % ", ".join(map(str, range(seeds))))
        return path

    return write


@pytest.fixture
def cluster(tmp_path):
    """A scheduler without workers."""
    with dask_cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory):
    """A cluster that tests share: two nodes with room for a trial each."""
    with dask_cluster(tmp_path_factory.mktemp("nodes")) as cluster:
        cluster.worker(ready=False)
        cluster.worker()
        yield cluster


def done(out):
    return len(list(out.glob("trials/*/row.json")))


def trials_of(node):
    """Process ids of the worker processes that trials run in, on a node."""
    found = subprocess.run(["pgrep", "-f", "sweeps.worker"], capture_output=True, text=True).stdout.split()
    return [int(pid) for pid in found if node in _ancestors(int(pid))]


def _ancestors(pid):
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except FileNotFoundError:
            return
        yield pid


def begun_on(node):
    """Whether a trial has just begun on a node: its lock is held there, and few of its ticks are done."""
    for pid in trials_of(node):
        for open_file in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                lock = open_file.readlink()
            except FileNotFoundError:
                continue  # closed meanwhile
            if lock.match("trials/*/lock"):
                checkpoint = lock.with_name("checkpoint.ckpt")
                return checkpoint.exists() and int(checkpoint.read_text() or TICKS) < TICKS / 2
    return False


def test_a_node_dies_another_joins_and_the_results_are_those_of_one_machine(study, cluster, tmp_path):
    out, calm = tmp_path / "out", tmp_path / "calm"
    with postgresql() as database:
        doomed = cluster.worker(ready=False)
        cluster.worker()
        process = start("slow", study(10), out, *cluster.flags, "--storage", database.url)
        until(lambda: done(out) >= 4 and begun_on(doomed.pid), "trials are under way on both nodes")
        processes = trials_of(doomed.pid)
        cluster.kill(doomed)
        late = cluster.worker(name="late")
        until(lambda: trials_of(late.pid), "the node that came late has a trial")
        said, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "is gone; attempt 2 of 3 follows" in said
        assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()], "a trial ends with its node"
        assert_complete(out, 30, kills=1)
        assert values_in(database.url) == sorted(float(row["validation"]) for row in rows(out))
        assert not (out / "optuna.journal").exists()
    assert run("slow", study(10), calm, "--workers", "2", FAKE_TICK_SECONDS="0")[0] == 0
    assert quality(out) == quality(calm)


def values_in(url):
    """All values of all studies in a database, read without Optuna."""
    import psycopg

    with psycopg.connect(url) as connection:
        return sorted(value for (value,) in connection.execute("SELECT value FROM trial_values"))


def test_a_stop_takes_seconds_and_the_same_command_goes_on(study, two_nodes, tmp_path):
    out = tmp_path / "out"
    process = start("slow", study(3), out, *two_nodes.flags)
    until(lambda: list(out.glob("trials/*/checkpoint.ckpt")), "a trial is under way")
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 8
    assert process.returncode == 130
    assert "to go on: python sweeps/run.py" in err
    assert "Traceback" not in err
    assert not list(out.glob(".shared-*"))
    ticks = {path: path.read_text() for path in out.glob("trials/*/checkpoint.ckpt")}
    time.sleep(0.3)
    assert ticks == {path: path.read_text() for path in ticks}, "nothing runs on"
    assert run("slow", study(3), out, *two_nodes.flags)[0] == 0
    assert_complete(out, 9)


def test_when_the_command_is_killed_its_trials_stop_and_it_goes_on_later(study, two_nodes, tmp_path):
    out = tmp_path / "out"
    process = start("slow", study(3), out, *two_nodes.flags)
    until(lambda: done(out) >= 2, "some trials are done")
    process.kill()
    process.communicate()
    assert run("slow", study(3), out, *two_nodes.flags)[0] == 0
    assert_complete(out, 9)


def test_two_commands_share_a_cluster(study, two_nodes, tmp_path):
    out = tmp_path / "out"
    both = [start("slow", study(3), out, *two_nodes.flags) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert_complete(out, 9)


@pytest.mark.exhaustive
def test_a_node_that_leaves_in_order_costs_no_attempt(study, cluster, tmp_path):
    out = tmp_path / "out"
    leaving = cluster.worker(ready=False)
    cluster.worker()
    process = start("slow", study(4), out, *cluster.flags, "--retries", "0")
    until(lambda: done(out) >= 2 and begun_on(leaving.pid), "trials are under way on both nodes")
    leaving.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert_complete(out, 12)


def test_errors_crashes_and_divergence_are_what_they_are_on_one_machine(study, two_nodes, tmp_path):
    out = tmp_path / "out"
    assert run("crashes_at_seed_2", study(3), out, *two_nodes.flags, "--retries", "1")[0] == 1
    failed = [row for row in rows(out) if row["status"] == "failed"]
    assert [(row["seed"], row["error"]) for row in failed] == [("2", "RuntimeError: out of paper")] * 3
    log = (out / "trials" / failed[0]["trial_id"] / "log.txt").read_text()
    assert log.count("attempt") == 2
    assert "Traceback" in log
    assert run("diverges", study(1), tmp_path / "inf", *two_nodes.flags)[0] == 0
    assert {row["validation"] for row in rows(tmp_path / "inf")} == {"inf"}


def test_a_trial_has_the_environment_that_it_has_on_one_machine(study, two_nodes, tmp_path):
    told = {"WANDB_PROJECT": "mine", "LSTM_DATA": "/corpora", "WANDB_API_KEY": "k" * 40}
    seen = {}
    for place, flags in (("cluster", two_nodes.flags), ("here", ("--workers", str(cores())))):
        out = tmp_path / place
        assert run("notes_environment", study(1), out, *flags, "--wandb", "offline", **told)[0] == 0
        noted = next(out.glob("trials/*/environment.json"))
        seen[place] = json.loads(noted.read_text().replace(str(out), "OUT"))
    there, here = seen["cluster"], seen["here"]
    same = [
        "WANDB_MODE",
        "WANDB_RUN_GROUP",
        "WANDB_CACHE_DIR",
        "WANDB_PROJECT",
        "LSTM_DATA",
        *THREAD_VARIABLES,
        *UNLESS_SET,
    ]
    assert {name: there.get(name) for name in same} == {name: here.get(name) for name in same}
    assert "WANDB_API_KEY" not in there, "secrets do not cross the network"
    assert there["MALLOC_TRIM_THRESHOLD_"] == UNLESS_SET["MALLOC_TRIM_THRESHOLD_"], "Dask's own makes trainings slow"


def one_line(code, err):
    assert code == 2
    assert err.count("\n") == 1, err
    assert err.startswith("error: ")
    return err


def test_trials_share_a_gpu_in_processes_of_their_own(study, cluster, tmp_path):
    cluster.worker("--nthreads", "4", "--resources", "GPU=0.5")
    out = tmp_path / "out"
    code, _, err = run("notes_environment", study(1), out, *cluster.flags)
    assert "offers 0.5 of a GPU and a trial takes 1; see --gpu-share" in one_line(code, err)
    code, said, err = run("notes_environment", study(1), out, *cluster.flags, "--gpu-share", "0.25")
    assert code == 0, err
    assert "2 at a time" in said
    notes = [json.loads(path.read_text()) for path in out.glob("trials/*/environment.json")]
    assert len({note["pid"] for note in notes}) == 2
    assert {note["OMP_NUM_THREADS"] for note in notes} == {"2"}, "they share the threads of their worker"
    assert_complete(out, 3)


def test_the_scheduler_dies(study, cluster, tmp_path):
    cluster.worker()
    out = tmp_path / "out"
    process = start("slow", study(4), out, *cluster.flags)
    until(lambda: done(out) >= 2, "some trials are done")
    cluster.kill(cluster.scheduler)
    begun = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 8
    assert f"the Dask scheduler at {cluster.address} is gone" in one_line(process.returncode, err)


HIDDEN = 'mount -t tmpfs none "$0" && exec "$@"'
COPIED = 'cd "$0" && mkdir -p ../{up,w} && mount -t overlay o -o lowerdir=.,upperdir=../up,workdir=../w . && exec "$@"'


def elsewhere(script, folder):
    """Words before a command that give it file systems of its own, changed by a script, as another host has."""
    words = ["unshare", "--mount", "bash", "-c", script, str(folder)]
    tried = subprocess.run([*words, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no mounts here: {tried.stderr.strip()}")
    return words


@pytest.mark.exhaustive(keep=["another folder"])
@pytest.mark.parametrize(
    ("mount", "problem"),
    [(HIDDEN, "does not share"), (COPIED, "file locks")],
    ids=["another folder", "locks that stay on a host"],
)
def test_a_node_that_does_not_share_the_folder(study, two_nodes, tmp_path, mount, problem):
    shared = tmp_path / "shared"
    (shared / "out").mkdir(parents=True)
    node = two_nodes.worker(before=elsewhere(mount, shared))
    code, _, err = run("instant", study(1), shared / "out", *two_nodes.flags)
    two_nodes.kill(node)
    assert problem in one_line(code, err)
    assert not list((shared / "out").glob("trials/*"))


@pytest.mark.exhaustive
def test_a_node_that_joins_without_the_folder_gets_no_trial(study, two_nodes, tmp_path):
    shared = tmp_path / "shared"
    (shared / "out").mkdir(parents=True)
    process = start("slow", study(4), shared / "out", *two_nodes.flags, "--workers", "1")
    until(lambda: list(shared.glob("out/trials/*/checkpoint.ckpt")), "a trial is under way")
    node = two_nodes.worker(before=elsewhere(HIDDEN, shared), ready=False)
    said, err = process.communicate(timeout=60)
    two_nodes.kill(node)
    assert process.returncode == 0, err
    assert said.count("cannot take part: it does not share") == 1
    assert_complete(shared / "out", 12)


def test_a_node_with_other_packages(study, two_nodes, tmp_path):
    """Another version of optuna, as far as its metadata says."""
    other = tmp_path / "other" / "optuna-1.0.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: optuna\nVersion: 1.0.0\n")
    node = two_nodes.worker(PYTHONPATH=str(tmp_path / "other"))
    code, _, err = run("instant", study(1), tmp_path / "out", *two_nodes.flags)
    two_nodes.kill(node)
    assert "optuna=1.0.0 (here " in one_line(code, err)


def test_no_scheduler(study, tmp_path):
    """It is known at once, not after all the time that Dask would try again."""
    pytest.importorskip("distributed", reason="needs requirements-cluster.txt")
    code, _, err = run("instant", study(1), tmp_path / "out", "--engine", "dask", "--scheduler", "127.0.0.1:1")
    assert "no Dask scheduler answers at 127.0.0.1:1" in one_line(code, err)
    assert "Connection refused" in err


def test_without_dask_the_command_says_what_to_install(study, tmp_path):
    (tmp_path / "distributed.py").write_text("raise ModuleNotFoundError(name='distributed')\n")
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2] / "support"), str(ROOT)])
    flags = ("--engine", "dask", "--scheduler", "127.0.0.1:8786")
    code, _, err = run("instant", study(1), tmp_path / "out", *flags, PYTHONPATH=path)
    assert "pip install -r requirements-cluster.txt" in one_line(code, err)
