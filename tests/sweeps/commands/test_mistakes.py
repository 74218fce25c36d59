"""Every mistake of a user gets one line that says what was given and what to do, and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.commands.main import main
from sweeps.trials.dotted_names import Functions

ROOT = Path(__file__).parents[3]
FUNCTIONS = Functions(train="fake_training:instant", data_hash="fake_training:data_hash")

HEAD = "description: d\npresets:\n  quick:\n    task: {model: {hidden: 20}}\n    seeds: [1]\n    runs:\n"
GOOD = HEAD + "      - {method: dense}\n"

TUNED = GOOD.replace("{method: dense}", "{method: pruned, factor: 5}") + "    tuning: {trials: 4, search: {%s}}\n"

FILES = {
    "unknown key at the top": (GOOD + "presetz: 1\n", ["presetz"]),
    "unknown key in a run": (HEAD + "      - {method: pruned, facter: 5}\n", ["facter", "factor"]),
    "unknown key in the task": (GOOD.replace("hidden", "hiden"), ["hiden", "hidden"]),
    "unknown method": (HEAD + "      - {method: prunned, factor: 5}\n", ["prunned", "pruned"]),
    "text for a number": (GOOD.replace("20", "wide"), ["hidden", "wide"]),
    "boolean for a number": (GOOD.replace("20", "true"), ["hidden"]),
    "negative width": (GOOD.replace("20", "-3"), ["hidden", "-3"]),
    "not a number": (HEAD + "      - {method: pruned, factor: .nan}\n", ["factor"]),
    "factor below one": (HEAD + "      - {method: pruned, factor: 0.5}\n", ["factor", "0.5"]),
    "dense with a factor": (HEAD + "      - {method: dense, factor: 5}\n", ["factor"]),
    "row dropout without doping": (HEAD + "      - {method: kp, factor: 5, cmr: {probability: 0.3}}\n", ["cmr"]),
    "probability above one": (HEAD + "      - {method: doped_kp, factor: 5, cmr: {probability: 3}}\n", ["probability"]),
    "schedule beyond the end": (HEAD + "      - {method: pruned, factor: 5, annealing: {start: 0.9}}\n", ["annealing"]),
    "impossible factor": (HEAD + "      - {method: lmf, factor: 15}\n", ["factor", "nearest possible"]),
    "searching the factor": (TUNED % "factor: {low: 2, high: 9}", ["tuning.search.factor", "chosen"]),
    "searching the width": (TUNED % "task.model.hidden: [20, 30]", ["task.model.hidden", "chosen"]),
    "searching an unknown setting": (TUNED % "anealing.length: [0.3, 0.5]", ["anealing.length", "annealing.length"]),
    "an empty range": (TUNED % "annealing.length: {low: 0.5, high: 0.5}", ["annealing.length", "low"]),
    "a range upside down": (TUNED % "annealing.length: {low: 0.5, high: 0.1}", ["low", "high"]),
    "a logarithmic range from zero": (TUNED % "annealing.start: {low: 0, high: 0.3, log: true}", ["log"]),
    "a range without its end": (TUNED % "annealing.length: {low: 0.5}", ["annealing.length"]),
    "a single choice": (TUNED % "annealing.length: [0.55]", ["annealing.length"]),
    "what is written is not among the choices": (TUNED % "annealing.length: [0.3, 0.5]", ["0.55"]),
    "a choice of the wrong type": (TUNED % "annealing.length: [0.55, long]", ["long"]),
    "a search that leaves the training": (TUNED % "annealing.length: {low: 0.5, high: 0.9}", ["start + length"]),
    "a budget of one": ((TUNED % "annealing.start: [0.15, 0.2]").replace("trials: 4", "trials: 1"), ["trials"]),
    "the seed of the tuning among the seeds": ((TUNED % "annealing.start: [0.15, 0.2]").replace("[1]", "[0]"), ["seed"]),
    "nothing to search": (TUNED.replace("{%s}", "{}"), ["search"]),
    "no runs": (HEAD.replace("    runs:\n", "    runs: []\n"), ["runs"]),
    "no seeds": (GOOD.replace("[1]", "[]"), ["seeds"]),
    "negative seed": (GOOD.replace("[1]", "[-1]"), ["seeds"]),
    "no presets": ("description: d\n", ["presets"]),
    "bad syntax": ("description: [\n", ["line"]),
    "a tab": ("description: d\n\tpresets: 1\n", ["line"]),
    "duplicate key": (GOOD + "description: e\n", ["description"]),
    "empty": ("", ["study.yaml"]),
    "no mapping": ("- 1\n- 2\n", ["study.yaml"]),
    "not UTF-8": (b"description: \xff\n", ["UTF-8"]),
}


def assert_one_line(code, captured, words):
    assert code == 2
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1, captured.err
    for word in words:
        assert word in captured.err


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES.keys())
def test_a_wrong_study_file(content, words, tmp_path, capsys):
    path = tmp_path / "study.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code = main(["--study", str(path), "--out", str(tmp_path / "out")], FUNCTIONS)
    assert_one_line(code, capsys.readouterr(), ["study.yaml", *words])
    assert not list(tmp_path.glob("out/trials/*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--study"]),
        (["--study", "kp_vs_prunning"], ["kp_vs_prunning", "kp_vs_pruning"]),
        (["--study", "missing.yaml"], ["missing.yaml"]),
        (["--study", "kp_vs_pruning", "--preset", "quik"], ["quik", "quick"]),
        (["--study", "kp_vs_pruning", "--wokers", "2"], ["--wokers", "--workers"]),
        (["--study", "kp_vs_pruning", "--workers", "0"], ["workers", "0"]),
        (["--study", "kp_vs_pruning", "--workers", "two"], ["workers", "two"]),
        (["--study", "kp_vs_pruning", "--seed", "-1"], ["seed"]),
        (["--study", "kp_vs_pruning", "--engine", "dusk"], ["dusk", "dask"]),
        (["--study", "kp_vs_pruning", "--engine", "dask"], ["--scheduler ADDRESS"]),
        (["--study", "kp_vs_pruning", "--engine", "local", "--scheduler", "tcp://host:8786"], ["--engine local"]),
        (["--study", "kp_vs_pruning", "--engine", "dask", "--scheduler", "host"], ["'host'", "host:port"]),
        (["--study", "kp_vs_pruning", "--gpu-share", "2"], ["gpu-share", "at most 1"]),
        (["--study", "kp_vs_pruning", "--wandb", "maybe"], ["wandb", "maybe"]),
        (["--study", "kp_vs_pruning", "--set", "task.training.epochs"], ["key=value"]),
        (["--study", "kp_vs_pruning", "--set", "task.training.epoch=2"], ["epoch", "epochs"]),
        (["--study", "kp_vs_pruning", "--set", "task.training.epochs=two"], ["epochs", "two"]),
        (["--study", "kp_vs_pruning", "--set", "runs.99.factor=2"], ["99"]),
        (["--study", "kp_vs_pruning", "--set", "runs.1.factor=[2,15]"], ["factor", "nearest possible"]),
        (["--study", "kp_vs_pruning", "stray"], ["stray"]),
        (["--study", "kp_vs_pruning", "--time-limit", "0"], ["time-limit", "0"]),
        (["--study", "kp_vs_pruning", "--time-limit", "an hour"], ["time-limit", "an hour"]),
        (["--study", "pareto", "--seed", "0"], ["--seed 0", "tuning"]),
        (["--study", "pareto", "--set", "tuning.trials=0"], ["tuning.trials", "0"]),
        (["--study", "pareto", "--set", "tuning.trails=3"], ["trails", "trials"]),
        (["--study", "kp_vs_pruning", "--quiet", "--verbose"], ["--verbose", "--quiet"]),
        (["--study", "kp_vs_pruning", "--status", "--dashboard"], ["--status", "--dashboard"]),
        (["--study", "kp_vs_pruning", "--status", "--preset", "quik"], ["quik", "quick"]),
        (["--study", "kp_vs_pruning", "--dashboard", "--port", "70000"], ["--port", "70000"]),
        (["--study", "kp_vs_pruning", "--monitor", "often"], ["--monitor", "often"]),
    ],
)
def test_wrong_flags(arguments, words, tmp_path, capsys):
    assert_one_line(main([*arguments, "--out", str(tmp_path / "out")], FUNCTIONS), capsys.readouterr(), words)


def test_a_file_where_the_folder_should_be(tmp_path, capsys):
    (tmp_path / "out").write_text("")
    code = main(["--study", "kp_vs_pruning", "--out", str(tmp_path / "out")], FUNCTIONS)
    assert_one_line(code, capsys.readouterr(), ["out"])


def test_a_folder_of_other_results(tmp_path, capsys):
    (tmp_path / "results.csv").write_text("mine\n")
    code = main(["--study", "kp_vs_pruning", "--out", str(tmp_path)], FUNCTIONS)
    assert_one_line(code, capsys.readouterr(), ["results.csv", "--out"])
    assert (tmp_path / "results.csv").read_text() == "mine\n"


def test_nonsense_in_the_environment(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offlin")
    code = main(["--study", "kp_vs_pruning", "--out", str(tmp_path)], FUNCTIONS)
    assert_one_line(code, capsys.readouterr(), ["WANDB_MODE", "offlin", "offline"])


def test_online_without_a_login(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    code = main(["--study", "kp_vs_pruning", "--wandb", "online", "--out", str(tmp_path / "out")], FUNCTIONS)
    assert_one_line(code, capsys.readouterr(), ["login", "--wandb offline"])


def test_a_missing_corpus(tmp_path, capsys):
    arguments = ["--study", "kp_vs_pruning", "--set", "task.data.corpus=text", "--out", str(tmp_path / "out")]
    code = main([*arguments, "--set", f"task.data.path={tmp_path / 'novel.txt'}"])
    assert_one_line(code, capsys.readouterr(), ["novel.txt"])


@pytest.mark.exhaustive(keep_every=2)
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "examples:"),
        (["--list"], 0, "kp_vs_pruning:"),
        (["--study", "kp"], 2, "error: no study 'kp'"),
        (["--study", "kp_vs_pruning", "--status"], 2, "error: no folder runs/kp_vs_pruning-quick"),
    ],
)
def test_quick_answers_need_no_heavy_import(arguments, code, said, tmp_path):
    """From any folder, and without PyTorch, Lightning, W&B or Optuna."""
    command = [sys.executable, "-X", "importtime", ROOT / "sweeps" / "run.py", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    for heavy in ("torch", "pytorch_lightning", "wandb", "optuna", "datasets"):
        assert f" {heavy}\n" not in done.stderr
