"""From a study's folder to text on the terminal: the commands export.py and run.py on a real, tiny training."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch

from data import data_hash
from data.text.corpus import load as load_corpus
from doping.inference.commands import run as run_command
from doping.inference.runtime import load
from doping.method import Method
from sweeps.commands import export_model as export_command
from sweeps.results.rows import read_row, row_of, write_row
from sweeps.results.trained_models import best_trial
from sweeps.trials.trial import Trial
from sweeps.worker.train import train
from tasks.language_model import LanguageModelTask

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "my.txt"
    path.write_text("".join(f"{n} green bottles, été or not.\n" for n in range(400)))
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory, text):
    """A folder of results with three finished trials, two of them of one method, and one that diverged."""
    folder = tmp_path_factory.mktemp("study")
    doped, pruned = (
        Method(name="doped_kp", factor=5, cmr={"probability": 0.2}),
        Method(name="pruned", factor=5, pattern="gates"),
    )
    for method, seed, rate in ((doped, 1, 2e-2), (doped, 2, 1e-5), (pruned, 1, 2e-2), (Method(), 1, 1e38)):
        optimizer = "sgd" if rate > 1 else "adamw"
        training = {"epochs": 2, "batch_size": 8, "sequence_length": 20, "validations": 1, "learning_rate": rate}
        task = LanguageModelTask(
            data={"corpus": "text", "path": str(text)}, model={"hidden": 20}, training={"optimizer": optimizer, **training}
        )
        trial = Trial(task=task, method=method, seed=seed, data_hash=data_hash(task.data))
        of_trial = folder / "trials" / trial.id
        of_trial.mkdir(parents=True)
        (of_trial / "trial.json").write_text(trial.settings)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WANDB_MODE", "disabled")
            outcome = train(trial, of_trial, lambda progress: None, threads=1)
        write_row(of_trial, row_of(trial, outcome, seconds=1, started=""))
    return folder


@pytest.fixture
def trials(study):
    """Folder of each trial."""
    return {Trial.model_validate_json((path / "trial.json").read_text()): path for path in (study / "trials").iterdir()}


def export(*arguments):
    return export_command.main([str(argument) for argument in arguments])


def run(*arguments):
    return run_command.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def exported(study, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "model.lstm"
    assert export("--from", study, "--method", "doped_kp", "--out", path) == 0
    return path


def test_the_best_trial_of_a_method_is_exported_and_tells_of_itself(study, exported, capsys):
    assert run(exported) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "language model of 25 characters, LSTM 1 x 20, doped_kp + cmr"
    assert "5x fewer than dense" in lines[1]
    assert lines[2].startswith("bits_per_character: validation ")
    best = load(exported).bundle.description
    assert lines[3] == f"trial {best.origin['trial']} on text-character"
    assert '"seed":1' in best.origin["settings"]


def test_a_model_is_exported_without_its_corpus(study, exported, text, tmp_path):
    text.rename(tmp_path / "elsewhere.txt")
    try:
        assert export("--from", study, "--method", "doped_kp", "--out", tmp_path / "again.lstm") == 0
    finally:
        (tmp_path / "elsewhere.txt").rename(text)
    assert load(tmp_path / "again.lstm").vocabulary == load(exported).vocabulary


def test_a_better_trial_whose_model_was_not_kept_is_passed_over(study, tmp_path):
    """As a tuned study leaves it: the settings that were tried have results but no models."""
    folder = tmp_path / "study"
    shutil.copytree(study, folder)
    best = best_trial(folder, "doped_kp", 5)
    (best / "model.ckpt").unlink()
    other = best_trial(folder, "doped_kp", 5)
    assert other != best
    assert export("--from", folder, "--method", "doped_kp", "--out", tmp_path / "m.lstm") == 0
    assert load(tmp_path / "m.lstm").bundle.description.origin["trial"] == other.name


def test_the_exported_model_has_the_quality_in_its_row(trials, tmp_path):
    for trial, folder in trials.items():
        row = read_row(folder)
        if row.status == "diverged":
            continue
        assert export("--from", folder, "--out", tmp_path / "model.lstm") == 0
        model, corpus = load(tmp_path / "model.lstm"), load_corpus(trial.task.data)
        for tokens, expected in ((corpus.validation, row.validation), (corpus.test, row.test)):
            score = model.score(corpus.vocabulary.decode(tokens))
            assert f"{score.bits:.4g}" == f"{expected:.4g}"
        assert model.bundle.description.quality.test == row.test
        assert model.bundle.description.sizes.bytes == row.bytes


def test_a_text_is_scored_and_gone_on_with(exported, text, capsys):
    assert run(exported, "--score", text) == 0
    assert " bits a character over " in capsys.readouterr().out
    assert run(exported, "--generate", "7 green", "--length", "40", "--temperature", "0.5") == 0
    written = capsys.readouterr().out
    assert written.startswith("7 green")
    assert len(written) >= 47


def test_a_bundle_can_be_exported_further(exported, tmp_path):
    assert export("--from", exported, "--format", "onnx", "--out", tmp_path / "model.onnx") == 0
    onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert export("--from", exported, "--format", "c", "--out", tmp_path / "c") == 0
    assert (tmp_path / "c" / "Makefile").exists()


def test_a_model_trained_in_4_bits_is_exported_as_it_was_measured_and_weighs_what_its_row_says(text, tmp_path):
    method = Method(
        name="pruned", factor=5, pattern="tiles", values="int4", embedding_values="int4", rounding={"share": 0.4}
    )
    task = LanguageModelTask(
        data={"corpus": "text", "path": str(text)},
        model={"hidden": 20},
        training={"epochs": 2, "batch_size": 8, "validations": 1},
    )
    trial = Trial(task=task, method=method, seed=1, data_hash=data_hash(task.data))
    folder = tmp_path / trial.id
    folder.mkdir()
    (folder / "trial.json").write_text(trial.settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        outcome = train(trial, folder, lambda progress: None, threads=1)
    write_row(folder, row_of(trial, outcome, seconds=1, started=""))
    path = tmp_path / "model.lstm"
    assert export("--from", folder, "--out", path) == 0
    data = path.read_bytes()
    assert len(data) - 8 - int.from_bytes(data[:8], "little") == outcome.model_bytes
    corpus = load_corpus(task.data)
    score = load(path).score(corpus.vocabulary.decode(corpus.validation))
    assert score.bits == pytest.approx(outcome.validation, abs=2e-4)


def test_an_export_with_narrow_values_says_what_they_cost(exported, text, tmp_path, capsys):
    small = tmp_path / "small.lstm"
    assert export("--from", exported, "--values", "int8", "--out", small) == 0
    said = capsys.readouterr().out
    costs = re.search(r"narrowed after that to int8: (\S+) bits a token before, (\S+) after", said)
    before, after = map(float, costs.groups())
    assert abs(after - before) < 0.02
    assert small.stat().st_size < 0.8 * exported.stat().st_size
    scores = [load(path).score(text.read_text()).bits for path in (exported, small)]
    assert scores[0] != scores[1]
    assert abs(scores[0] - scores[1]) < 0.02
    smaller = tmp_path / "smaller.lstm"
    assert export("--from", exported, "--values", "int4", "--embedding-values", "int4", "--out", smaller) == 0
    assert "narrowed after that to int4: " in capsys.readouterr().out
    assert smaller.stat().st_size < small.stat().st_size
    assert run(small) == 0
    assert "narrowed after that to int8: " in capsys.readouterr().out
    assert export("--from", small, "--format", "c", "--out", tmp_path / "c") == 0
    assert "int8_t" in (tmp_path / "c" / "weights.h").read_text()


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize("module", ["doping.run", "sweeps.export", "benchmarks.bundle_fuzz"])
def test_the_commands_work_from_any_folder(module, exported, tmp_path):
    arguments = {"doping.run": [exported], "sweeps.export": ["--help"], "benchmarks.bundle_fuzz": ["--count", "5"]}[module]
    command = [sys.executable, "-m", module, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout


def one_line(capsys):
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_mistakes_of_an_export_are_one_line(study, exported, tmp_path, capsys):
    out = ["--out", tmp_path / "x.lstm"]
    cases = [
        (["--from", study], "several kinds of models (doped_kp 5x, pruned 5x); say which with --method and --factor"),
        (
            ["--from", study, "--method", "kp", "--factor", "9"],
            "has no finished trial of kp 9x; it has doped_kp 5x, pruned 5x",
        ),
        (["--from", tmp_path / "nothing"], "does not exist; give the folder of a study or of a trial, or a bundle"),
        (["--from", tmp_path], "holds neither trials nor a trial.json"),
        (["--from", exported, "--method", "kp"], "choose among the trials of a study"),
        (["--from", exported, "--format", "exe"], "invalid choice: 'exe'"),
        (["--from", exported, "--values", "int3"], "invalid choice: 'int3'"),
        (
            ["--from", exported, "--embedding-values", "int4"],
            "--embedding-values is for narrow values; add --values int8 or --values int4",
        ),
        ([], "the following arguments are required: --from"),
    ]
    for arguments, message in cases:
        assert export(*arguments, *out) == 2
        assert message in one_line(capsys)
    assert not (tmp_path / "x.lstm").exists()


def test_a_trial_that_cannot_be_exported_is_one_line(trials, tmp_path, capsys):
    folders = {trial.method.name: path for trial, path in trials.items()}
    diverged, pruned = folders["dense"], folders["pruned"]
    out = ["--out", tmp_path / "x.lstm"]
    assert export("--from", diverged, *out) == 2
    assert "has diverged; take another one" in one_line(capsys)
    checkpoint, row = pruned / "model.ckpt", pruned / "row.json"
    kept = {path: path.read_bytes() for path in (checkpoint, row)}
    saved = torch.load(checkpoint, weights_only=True)
    del saved["TextDataModule"]
    torch.save(saved, tmp_path / "old.ckpt")
    changes = [
        (checkpoint, None, "has no model.ckpt: the trained model was deleted"),
        (checkpoint, kept[checkpoint][:5000], "is not the trained model of trial"),
        (row, None, "is not finished; run its study to the end"),
        (row, b"{", "is not a whole row"),
        (checkpoint, (tmp_path / "old.ckpt").read_bytes(), "was saved by a version that did not keep the vocabulary"),
    ]
    for path, content, message in changes:
        path.unlink() if content is None else path.write_bytes(content)
        assert export("--from", pruned, *out) == 2
        assert message in one_line(capsys)
        path.write_bytes(kept[path])


def test_mistakes_of_a_run_are_one_line(exported, tmp_path, capsys):
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "empty").write_bytes(b"")
    cases = [
        ([tmp_path / "none.lstm"], "No such file or directory; expected a bundle"),
        ([ROOT / "README.md"], "no safetensors file; expected a bundle"),
        ([exported, "--score", tmp_path / "latin"], "is no UTF-8 text (unexpected end of data at byte 3); convert it first"),
        ([exported, "--score", tmp_path / "empty"], "the text has 0 tokens"),
        ([exported, "--score", tmp_path / "none"], "expected a text to score"),
        ([exported, "--generate", "x", "--temperature", "-1"], "temperature -1 were given"),
        ([exported, "--generate", "x", "--seed", "-1"], "--seed -1 was given; expected a whole number from 0 on"),
        ([exported, "--threads", "0"], "--threads 0 was given"),
    ]
    for arguments, message in cases:
        assert run(*arguments) == 2
        assert message in one_line(capsys)
