"""Inputs without a bound, and of any shape, are refused in one line within a second or two, before anything starts."""

import time

import pytest

from doping.errors import UserError
from sweeps.commands.main import main
from sweeps.study import strict_yaml
from sweeps.trials.dotted_names import Functions

FUNCTIONS = Functions(train="fake_training:instant", data_hash="fake_training:data_hash")
STUDY = """\
description: d
presets:
  quick:
    task: {model: {hidden: 20}}
    seeds: [1]
    runs: [{method: pruned, factor: 5}]
"""
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: 1}}\n" for n in range(1, 40))
ITSELF = "a: &a [*a]\n"


def refused(arguments, tmp_path, capsys) -> str:
    begun = time.process_time()
    code = main([*arguments, "--out", str(tmp_path / "out"), "--wandb", "off"], FUNCTIONS)
    seconds = time.process_time() - begun
    error = capsys.readouterr().err
    assert code == 2, error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert len(error) < 1000
    assert seconds < 5, "of processor time, however busy the machine is"
    assert not list(tmp_path.glob("out/trials/*"))
    return error


@pytest.mark.parametrize("bomb", [BOMB, MERGES, ITSELF, "x" * 300_000, f"[{'1,' * 100_000}]", "[" * 5_000])
def test_yaml_that_grows_is_refused(bomb, tmp_path, capsys):
    (tmp_path / "study.yaml").write_text(STUDY + bomb)
    assert "study.yaml" in refused(["--study", str(tmp_path / "study.yaml")], tmp_path, capsys)


@pytest.mark.parametrize(
    "text", ["!!bool abc", "!!int x", "!!float x", "!!timestamp abc", "!!binary ä", "!!omap 3", "!!set [1]", "1" * 5_000]
)
def test_tags_that_do_not_fit_are_a_mistake(text):
    with pytest.raises(UserError, match=r"^here"):
        strict_yaml.parse(text, "here")


@pytest.mark.parametrize("character", ["\0", "\x07", "\ud800"])
def test_a_character_that_yaml_does_not_have_is_named_with_its_line(character):
    with pytest.raises(UserError, match=r"^here, line 2: the character "):
        strict_yaml.parse(f"a: 1\nb: {character}\n", "here")


def test_aliases_within_reason_are_taken():
    assert strict_yaml.parse("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]", "here") == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": [{"x": 1}, {"x": 1}],
    }


@pytest.mark.exhaustive(keep_every=3)
@pytest.mark.parametrize(
    ("setting", "words"),
    {
        "width": ("task.model.hidden=1000000000", ["hidden", "32768"]),
        "depth": ("task.model.layers=1000000", ["layers", "64"]),
        "sequence": ("task.training.sequence_length=1000000000", ["sequence_length"]),
        "epochs": ("task.training.epochs=1000000000000", ["epochs"]),
        "seed of 33 bits": ("seeds=[4294967296]", ["seeds[0]", "4294967296"]),
        "many seeds": (f"seeds={list(range(20_000))}", ["seeds", "10,000"]),
        "many factors": (f"runs=[{{method: pruned, factor: {list(range(2, 20_000))}}}]", ["1,000"]),
        "many methods at many factors": (f"runs=[{{method: [pruned, kp], factor: {list(range(2, 800))}}}]", ["1,000"]),
        "many choices": (f"tuning={{trials: 4, search: {{annealing.start: {list(range(2_000))}}}}}", ["annealing.start"]),
        "many levels": (f"{'a.' * 2_000}a=1", ["key=value"]),
        "levels of a value": (f"runs={'[' * 2_000}", ["runs"]),
        "a long number": (f"seeds=[{'1' * 5_000}]", ["seeds"]),
        "a long index": (f"runs.{'1' * 5_000}=1", ["runs"]),
        "a key of a range that is misspelt": (
            "tuning={trials: 4, search: {annealing.length: {stp: 1}}}",
            ["tuning.search.annealing.length.stp", "unknown key", "low, high, log"],
        ),
        "a range of text": (
            "tuning={trials: 4, search: {annealing.length: {low: a, high: 3}}}",
            ["tuning.search.annealing.length.low: 'a' was given, expected a number"],
        ),
        "a list of one": (
            "tuning={trials: 4, search: {annealing.length: [0.3]}}",
            ["tuning.search.annealing.length: [0.3] was given", "at least 2"],
        ),
        "neither range nor list": ("tuning={trials: 4, search: {annealing.length: 3}}", ["annealing.length: 3 was given"]),
    }.values(),
)
def test_settings_beyond_reason_name_the_key_of_the_user(setting, words, tmp_path, capsys):
    (tmp_path / "study.yaml").write_text(STUDY)
    error = refused(["--study", str(tmp_path / "study.yaml"), "--set", setting], tmp_path, capsys)
    assert all(word in error for word in words), error
    assert "function-after" not in error


@pytest.mark.parametrize("name", ["../../evil", "/tmp/x", "a/b", "", ".hidden", "a b", "x" * 500])
def test_a_preset_is_named_like_a_file(name, tmp_path, capsys):
    (tmp_path / "study.yaml").write_text(STUDY.replace("quick", f"{name!r}"))
    refused(["--study", str(tmp_path / "study.yaml"), "--preset", name], tmp_path, capsys)


def test_the_searched_setting_keeps_its_dots(tmp_path, capsys):
    tuned = STUDY + "    tuning: {trials: 4, search: {annealing.length: {low: 0.3, high: 0.5}}}\n"
    (tmp_path / "study.yaml").write_text(tuned)
    for value in ("tuning.search.annealing.length=[0.3,0.4]", "tuning.search.annealing.length.high=0.45"):
        error = refused(["--study", str(tmp_path / "study.yaml"), "--set", value], tmp_path, capsys)
        # Its own value, 0.55, is to be among those that are searched.
        assert "tuning.search.annealing.length" in error
        assert "0.55" in error


@pytest.mark.parametrize("limit", [1, 2, 30])
def test_too_little_text_is_found_before_anything_starts(limit, tmp_path, capsys):
    (tmp_path / "study.yaml").write_text(STUDY)
    functions = Functions(train="fake_training:instant")
    arguments = ["--study", str(tmp_path / "study.yaml"), "--set", f"task.data.limit={limit}", "--wandb", "off"]
    assert main([*arguments, "--out", str(tmp_path / "out")], functions) == 2
    assert f"{limit} training tokens" in capsys.readouterr().err
    assert not list(tmp_path.glob("out/trials/*"))


def test_a_long_path_is_one_line(tmp_path, capsys):
    (tmp_path / "study.yaml").write_text(STUDY)
    functions = Functions(train="fake_training:instant")
    for path in ("x" * 5_000, "/".join(["x" * 200] * 30), "a\\0b"):
        setting = f'task.data={{corpus: text, path: "{path}"}}'
        arguments = ["--study", str(tmp_path / "study.yaml"), "--set", setting, "--wandb", "off"]
        assert main([*arguments, "--out", str(tmp_path / "out")], functions) == 2
        assert capsys.readouterr().err.count("\n") == 1
