"""Whatever is killed, broken or full: in the end a folder holds exactly the trials that were planned."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from runs import STUDY, alive, assert_complete, quality, rows, run, start, until, workers_of

REAL = (sys.executable,)


@pytest.fixture
def study(tmp_path):
    """Path of a study with three trials a seed."""

    def write(seeds=10):
        path = tmp_path / "tiny.yaml"
        path.write_text(STUDY % ", ".join(map(str, range(seeds))))
        return path

    return write


def test_workers_and_parent_are_killed_and_nothing_is_lost_or_run_twice(study, tmp_path):
    out, calm = tmp_path / "out", tmp_path / "calm"
    flags = ("--workers", "3", "--retries", "50")
    draw = random.Random(0)
    process = start("slow", study(), out, *flags, python=REAL)
    for kill in range(6):
        until(lambda parent=process.pid: workers_of(parent), "workers are running")
        time.sleep(draw.uniform(0.3, 0.8))
        workers = workers_of(process.pid)
        if kill == 3:
            process.kill()
            process.wait()
            until(lambda pids=workers: not any(map(alive, pids)), "the workers of a killed run end by themselves")
            process = start("slow", study(), out, *flags, python=REAL)
        elif workers:
            os.kill(draw.choice(workers), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert_complete(out, 30, kills=6)
    assert run("slow", study(), calm, *flags, FAKE_TICK_SECONDS="0")[0] == 0
    assert quality(out) == quality(calm)


@pytest.mark.exhaustive
def test_two_runs_share_the_work(study, tmp_path):
    out = tmp_path / "out"
    both = [start("slow", study(4), out, "--workers", "1") for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert_complete(out, 12)


@pytest.mark.exhaustive(keep_every=2)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_takes_seconds_says_how_to_resume_and_loses_nothing(study, tmp_path, number):
    out = tmp_path / "out"
    process = start("slow", study(4), out, "--workers", "2", python=REAL, FAKE_TICK_SECONDS="0.1")
    until(lambda: list(out.glob("trials/*/checkpoint.ckpt")), "a trial is under way")
    begun = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 8
    assert process.returncode == 130
    assert "to go on: python sweeps/run.py" in err
    assert "Traceback" not in err
    assert run("slow", study(4), out)[0] == 0
    assert_complete(out, 12)


def test_a_crash_is_retried_then_recorded_and_the_rest_goes_on(study, tmp_path):
    out = tmp_path / "out"
    code, said, _ = run("crashes_at_seed_2", study(3), out, "--retries", "1")
    assert code == 1
    assert "--retry-failed" in said
    failed = [row for row in rows(out) if row["status"] == "failed"]
    assert {row["seed"] for row in failed} == {"2"}
    assert len(failed) == 3
    assert all(row["error"] == "RuntimeError: out of paper" and not row["validation"] for row in failed)
    log = (out / "trials" / failed[0]["trial_id"] / "log.txt").read_text()
    assert log.count("attempt") == 2
    assert "Traceback" in log
    assert run("instant", study(3), out)[0] == 1, "without --retry-failed they stay as they are"
    assert run("instant", study(3), out, "--retry-failed")[0] == 0
    assert_complete(out, 9)


@pytest.mark.exhaustive
def test_a_crash_that_does_not_come_again_leaves_no_trace_in_the_results(study, tmp_path):
    assert run("crashes_once", study(1), tmp_path / "out")[0] == 0
    assert_complete(tmp_path / "out", 3)


@pytest.mark.parametrize(
    ("training", "limit", "said"), [("dawdles", "1", "TimeIsUp"), ("hangs", "1", "hung beyond its time limit")]
)
def test_what_takes_too_long_is_retried_then_recorded_as_failed(study, tmp_path, monkeypatch, training, limit, said):
    out = tmp_path / "out"
    code, _, err = run(training, study(1), out, "--time-limit", limit, "--retries", "0", "--workers", "3")
    assert code == 1, err
    assert [row["status"] for row in rows(out)] == ["failed"] * 3
    assert all(said in row["error"] for row in rows(out))
    if training == "hangs":
        log = (out / "trials" / rows(out)[0]["trial_id"] / "log.txt").read_text()
        assert "time.sleep" in log or "in hangs" in log


@pytest.mark.exhaustive
def test_workers_share_the_gpus_there_are(study, tmp_path):
    """Two GPUs, four workers: two trials at a time on each. The driver's tool is a stand-in."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 0\necho 1\n")
    tool.chmod(0o755)
    path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
    assert run("notes_its_gpu", study(4), tmp_path / "out", "--workers", "4", PATH=path)[0] == 0
    used = Counter((tmp_path / "out" / "gpus.log").read_text().split())
    assert set(used) == {"0", "1"}
    assert min(used.values()) >= 3
    assert run("notes_its_gpu", study(4), tmp_path / "one", "--workers", "2", CUDA_VISIBLE_DEVICES="3", PATH=path)[0] == 0
    assert set((tmp_path / "one" / "gpus.log").read_text().split()) == {"3"}


def test_divergence_is_a_result(study, tmp_path):
    assert run("diverges", study(1), tmp_path / "out")[0] == 0
    assert [(row["status"], row["validation"]) for row in rows(tmp_path / "out")] == [("diverged", "inf")] * 3


def test_torn_files_are_mended(study, tmp_path):
    out = tmp_path / "out"
    assert run("slow", study(1), out, FAKE_TICK_SECONDS="0")[0] == 0
    torn = out / "trials" / rows(out)[0]["trial_id"] / "row.json"
    torn.write_text(torn.read_text()[:50])
    with (out / "optuna.journal").open("ab") as journal:
        journal.write(b'{"op_code": 5, "worker_id": "torn')
    (out / "completed.log").unlink()
    code, said, _ = run("slow", study(1), out, FAKE_TICK_SECONDS="0")
    assert code == 0
    assert "is not a whole row" in said
    assert len(rows(out)) == 3
    assert len((out / "completed.log").read_text().split()) == 1
    (out / "optuna.journal").unlink()
    assert run("slow", study(2), out, FAKE_TICK_SECONDS="0")[0] == 0, "the journal is a view and is made anew"
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.study import load_study

    ledger = load_study(study_name="tiny-quick", storage=JournalStorage(JournalFileBackend(str(out / "optuna.journal"))))
    values = [trial.value for trial in ledger.trials]
    assert sorted(values) == pytest.approx(sorted(float(row["validation"]) for row in rows(out)))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(study, small_disk):
    out = small_disk / "out"
    code, _, err = run("fills_the_disk", study(1), out, "--workers", "1")
    assert (code, err.count("\n")) == (2, 1), err
    assert "No space left" in err or "full" in err
    for large in out.glob("trials/*/large"):
        large.unlink()
    assert run("instant", study(1), out)[0] == 0
    assert_complete(out, 3)


def test_a_read_only_folder_is_one_line(study, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    code, _, err = run("instant", study(1), small_disk / "out")
    assert (code, err.count("\n")) == (2, 1), err
    assert "--out" in err
