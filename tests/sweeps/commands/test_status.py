"""How a study fares is told from its folder, by another process, at any moment and from any state of the files."""

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from fake_training import STUDY
from forked.python import PYTHON

from sweeps.commands.main import main
from sweeps.trials.dotted_names import Functions

ROOT = Path(__file__).parents[3]
SUPPORT = ROOT / "tests" / "support"
FUNCTIONS = Functions(train="fake_training:instant", data_hash="fake_training:data_hash")


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY)
    return str(path)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def start(train, study, out, **environment):
    command = [*PYTHON, "-m", "fake_training", train, "--study", study, "--out", str(out), "--wandb", "off"]
    variables = os.environ | {"PYTHONPATH": f"{SUPPORT}{os.pathsep}{ROOT}"} | environment
    return subprocess.Popen(
        [*command, "--workers", "2", "--retries", "0"], env=variables, cwd=ROOT, stdout=subprocess.DEVNULL
    )


def status(capsys, *arguments):
    capsys.readouterr()
    code = main(["--status", *map(str, arguments)], FUNCTIONS)
    captured = capsys.readouterr()
    return code, captured.out if code == 0 else captured.err


@pytest.mark.exhaustive
def test_watching_tells_every_change_until_nothing_runs_any_more(study, out, capsys, monkeypatch):
    monkeypatch.setattr("sweeps.commands.status.WATCH_SECONDS", 0.5)
    process = start("slow", study, out, FAKE_TICK_SECONDS="0.1")
    try:
        _until(lambda: re.search(r"[0-9] running", status(capsys, "--out", out)[1]))
        code, said = status(capsys, "--watch", "--study", study, "--out", out)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert code == 0
    heads = [line for line in said.splitlines() if line.startswith("tiny-quick: ")]
    assert "(6 finished); complete" in heads[-1]
    done = [int(head.split()[1]) for head in heads]
    assert done == sorted(done)
    assert len(set(done)) > 2, "it was told on the way"
    assert "\x1b" not in said, "no terminal, no escapes"
    assert main(["--watch", "--study", study]) == 2


def test_the_folder_has_a_readme_with_commands_that_work_and_nothing_of_the_machine(study, out, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    arguments = ["--study", study, "--set", "seeds=[1]", "--out", str(out), "--wandb", "off", "--quiet"]
    assert main(arguments, FUNCTIONS) == 0
    text = (out / "README.md").read_text()
    assert text.startswith("# tiny-quick\n")
    assert "3 trials: dense, pruned 5x, doped_kp 5x." in text
    for word in (str(out), str(ROOT), str(Path.home()), os.uname().nodename):
        assert len(word) < 4 or word not in text
    commands = [
        line.partition("  #")[0].strip() for line in text.splitlines() if line.startswith("python ") and " # " in line
    ]
    assert commands[0] == "python sweeps/run.py --study tiny.yaml --set 'seeds=[1]' --out DIR"
    for command in commands:
        flags = shlex.split(command.replace("DIR", str(out)).replace("tiny.yaml", study))
        if flags[1] == "sweeps/run.py":
            flags = [flag.replace("results/", f"{out}-") for flag in flags]
            assert main(flags[2:], FUNCTIONS) == 0, command
        else:
            entry = [*PYTHON, *flags[1 : 3 if flags[1] == "-m" else 2], "--help"]
            said = subprocess.run(entry, cwd=ROOT, capture_output=True, text=True, timeout=120).stdout
            assert [flag for flag in flags if flag.startswith("--") and flag not in said] == []


def test_a_study_that_another_process_runs(study, out, capsys):
    process = start("slow", study, out, FAKE_TICK_SECONDS="0.6")
    try:
        _until(lambda: "2 running" in (said := status(capsys, "--study", study, "--out", out)[1]) and ": 0%" not in said)
        code, said = status(capsys, "--study", study, "--out", out)
        assert code == 0
        first, *rest = said.splitlines()
        assert first.startswith("tiny-quick: 0 of 6 trials have a result; 2 running, about ")
        assert " left; results in " in first
        assert [line.split(":")[0] for line in rest] == ["  dense seed 1", "  dense seed 2"]
        assert all("%, running, " in line for line in rest)
        process.kill()
        process.wait()
        _until(lambda: "not running" in status(capsys, "--out", out)[1])
        said = status(capsys, "--out", out)[1]
        assert said.splitlines()[0].startswith("tiny-quick: 0 of 6 trials have a result; not running")
        assert said.count("%, interrupted, ") == 2
    finally:
        process.kill()
        process.wait()
    assert start("slow", study, out, FAKE_TICK_SECONDS="0").wait(60) == 0
    assert "(6 finished); complete" in status(capsys, "--out", out)[1]


def test_asking_all_the_time_disturbs_nobody(study, out, capsys):
    process = start("slow", study, out, FAKE_TICK_SECONDS="0.02")
    while process.poll() is None:
        assert status(capsys, "--out", out)[0] in (0, 2), "2 before the study is planned"
        time.sleep(0.02)
    assert process.returncode == 0
    assert len((out / "completed.log").read_text().split()) == 6


def test_results_failures_and_the_best_of_each_method(study, out, capsys):
    assert start("crashes_at_seed_2", study, out).wait(60) == 1
    code, said = status(capsys, "--study", study, "--out", out)
    assert code == 0
    assert said.splitlines()[0].startswith("tiny-quick: 6 of 6 trials have a result (3 finished, 3 failed); complete")
    table = said.splitlines()[1:5]
    cells = [["best", "validation", "1x", "5x"], ["dense", "1.143"], ["pruned", "5.143"], ["doped_kp", "5.143"]]
    assert [line.split() for line in table] == cells
    assert len({len(line) for line in (table[0], table[2], table[3])}) == 1, "columns end below one another"
    failed = [line for line in said.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 3
    assert all("seed 2: RuntimeError: out of paper" in line and line.endswith("log.txt)") for line in failed)


TORN = {
    "a row": ("trials/*/row.json", lambda path: path.write_text(path.read_text()[:50]), "is not a whole row"),
    "a clock": ("trials/*/clock.json", lambda path: path.write_text('{"started": "x"'), "6 of 6"),
    "a trial": ("trials/*/trial.json", lambda path: path.write_text("{}"), "6 of 6"),
    "a curve": ("trials/*", lambda path: (path / "curve.csv").write_bytes(b"\xff\x00"), "6 of 6"),
    "strange files": ("trials", lambda path: (path / "notes").write_text("mine"), "6 of 6"),
    "all trials": ("trials", shutil.rmtree, "0 of 6 trials have a result; not running"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(STUDY)
    assert start("instant", str(folder / "tiny.yaml"), folder / "out").wait(60) == 0
    return folder / "out"


def test_several_studies_in_one_folder(finished, out, tmp_path, capsys):
    shutil.copytree(finished, out)
    other = tmp_path / "other.yaml"
    other.write_text(STUDY.replace("seeds: [1, 2]", "seeds: [7]"))
    assert start("instant", str(other), out).wait(60) == 0
    said = status(capsys, "--out", out)[1]
    assert "other-quick: 3 of 3" in said
    assert "tiny-quick: 6 of 6" in said
    assert "other-quick" not in status(capsys, "--study", finished.parent / "tiny.yaml", "--out", out)[1]
    code, said = status(capsys, "--study", "kp_vs_pruning", "--out", out)
    assert (code, said.count("\n")) == (2, 1)
    assert "no study 'kp_vs_pruning-quick'" in said


@pytest.mark.parametrize(("pattern", "tear", "expected"), TORN.values(), ids=TORN.keys())
def test_half_written_files(pattern, tear, expected, finished, out, capsys):
    shutil.copytree(finished, out)
    tear(next(out.glob(pattern)))
    code, said = status(capsys, "--out", out)
    assert code == 0
    assert expected in said


def test_a_trial_of_which_nothing_is_known_yet(finished, out, capsys):
    shutil.copytree(finished, out)
    for trial in list(out.glob("trials/*"))[:2]:
        for path in trial.iterdir():
            path.unlink()
        (trial / "clock.json").write_text("{")
    said = status(capsys, "--out", out)[1]
    assert said.splitlines()[0].startswith("tiny-quick: 4 of 6 trials have a result (4 finished); not running")
    assert said.count(": begun, nothing known of it yet") == 2


FOREIGN = {
    "no folder": lambda out: None,
    "an empty folder": lambda out: out.mkdir(),
    "a file": lambda out: out.write_text(""),
    "a folder of something else": lambda out: (out.mkdir(), (out / "results.csv").write_text("mine\n")),
    "a torn plan": lambda out: ((out / "studies").mkdir(parents=True), (out / "studies" / "a.json").write_text('{"stu')),
    "another's plan": lambda out: ((out / "studies").mkdir(parents=True), (out / "studies" / "a.json").write_text("[1, 2]")),
}


@pytest.mark.parametrize("flag", ["--status", "--dashboard"])
@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_folder_without_a_study_is_one_line(make, flag, out, capsys):
    make(out)
    assert main([flag, "--out", str(out)], FUNCTIONS) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--out" in said


def test_the_clock_keeps_time_and_progress_over_attempts(tmp_path):
    from sweeps.trials.outcome import Progress
    from sweeps.worker.execute import Clock, read_clock

    first = Clock(tmp_path)
    first.tick(Progress(0.5, 10, 2.5, "training"))
    first.stop()
    second = Clock(tmp_path)
    kept = read_clock(tmp_path)
    assert (kept.attempts, kept.progress, kept.started) == (2, Progress(0.5, 10, 2.5, "training"), second.started)
    assert second.seconds >= kept.seconds >= 0
    # Written by a version that kept no progress.
    (tmp_path / "clock.json").write_text(json.dumps({"started": "then", "seconds": 7.0, "attempts": 3}))
    assert Clock(tmp_path).attempt == 4
    assert read_clock(tmp_path).seconds >= 7


def _until(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about")
