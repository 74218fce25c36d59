"""What the report says in words, and how it says a trial is run again."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic_results import settings, study, trial, write

from analysis.report import rerun, words
from analysis.results import load
from analysis.section import Section
from analysis.summary import summarize
from doping.method import Method
from sweeps.planning.plan import make_plan
from sweeps.study import study as studies
from sweeps.trials.trial import Trial
from tasks.language_model import LanguageModelTask


def section_of(folder: Path, rows: list[dict[str, Any]]) -> Section:
    (section,) = summarize(load(write(folder, rows)))
    return section


def test_dense_the_order_and_the_proof(tmp_path: Path):
    rows = [trial("dense", seed=seed, test=1.8 + 0.01 * seed) for seed in (1, 2)]
    rows += [trial("pruned", 20, seed, test=2.1, validation=2.0 + seed / 1000) for seed in (1, 2)]
    rows += [trial("kp", 20, seed, test=2.3, validation=2.2) for seed in (1, 2)]
    dense, order = words.sentences(section_of(tmp_path, rows))
    assert dense == "Dense reaches 1.815 ± 0.064 bits per character on test (2 seeds)."
    assert order == (
        "At 20× fewer values Pruned is ahead: 2.100 ± 0.000 on test, +15.7 ± 0.0 % against Dense (2 seeds). "
        "Next is KP (2.300 ± 0.000); the difference is significant (p < 0.001)."
    )


def test_a_single_seed_proves_nothing(tmp_path: Path):
    section = section_of(tmp_path, study([20], [("pruned", 0.0), ("kp", 0.0)], seeds=1))
    assert "without two seeds in common, that may be luck" in words.sentences(section)[1]


def test_row_dropout_is_told_for_its_best_setting(tmp_path: Path):
    rows = [trial("dense"), trial("doped_kp", 20, test=2.0)]
    rows += [trial("doped_kp", 20, 1, p, test=2.0 - p, validation=2.0 - p) for p in (0.1, 0.3)]
    said = words.sentences(section_of(tmp_path, rows))
    assert "Row dropout changes the test of Doped KP by −0.300 at 20× with p = 0.3 (one seed)." in said


def test_of_many_factors_three_are_told_and_row_dropout_is_told_as_a_range(tmp_path: Path):
    factors = [5.0, 8.0, 10.0, 15.0, 20.0, 40.0]
    rows = [trial("dense")]
    for number, factor in enumerate(factors):
        rows += [trial("doped_kp", factor, test=2.0), trial("doped_kp", factor, 1, 0.3, test=1.99 - number / 100)]
    said = words.sentences(section_of(tmp_path, rows))
    assert [line.split(" fewer")[0] for line in said if line.startswith("At ")] == ["At 5×", "At 15×", "At 40×"]
    assert "Row dropout changes the test of Doped KP by −0.060 to −0.010 at 6 factors (significant at none of them)." in said


def test_size_at_equal_quality_is_told_against_pruning(tmp_path: Path):
    rows = [trial("dense", test=1.0)]
    for method, values in (("pruned", (1000, 250)), ("doped_kp", (500, 125))):
        rows += [
            trial(method, 4 * v, 1, test=1.0 + v, values=size, bytes=4 * size) for v, size in enumerate(values, start=1)
        ]
    (said,) = (line for line in words.sentences(section_of(tmp_path, rows)) if "same test quality" in line)
    assert said == (
        "At the same test quality Doped KP, the best of the doped methods, is 2.00 times smaller (2.00–2.00) in values and "
        "2.00 times smaller (2.00–2.00) in bytes than Pruned."
    )


def test_facts_name_the_smallest_model_that_is_close_to_dense(tmp_path: Path):
    rows = [trial("dense", test=2.0), trial("lmf", 5, test=2.1, bytes=1000), trial("kp", 20, test=2.19, bytes=900)]
    facts = {fact.name: fact for fact in words.facts(section_of(tmp_path, [*rows, trial("hmd", 30, test=2.3, bytes=10)]))}
    assert facts["Smallest within 10 % of Dense"].value == "900 B"
    assert facts["Smallest within 10 % of Dense"].detail.startswith("KP, ")


@pytest.mark.parametrize(
    "method",
    [
        Method(name="dense"),
        Method(name="kp", factor=20, left_shape=(5, 5)),
        Method.model_validate({"name": "doped_kp", "factor": 10.5, "cmr": {"probability": 0.3, "on": "sparse"}}),
    ],
    ids=lambda method: method.label,
)
def test_the_study_file_of_a_trial_plans_the_same_trial(tmp_path: Path, method: Method):
    of_study = Trial(task=LanguageModelTask(), method=method, seed=7, data_hash="abc")
    path = tmp_path / f"{of_study.id}.yaml"
    path.write_text(rerun.study_file("main", of_study.id, of_study.settings), encoding="utf-8")
    plan = make_plan(studies.load(str(path)), rerun.PRESET, None, lambda _: "abc")
    assert [cell.trial({}, seed).id for cell in plan.cells for seed in cell.seeds] == [of_study.id]
    assert rerun.command(path.name) == f"python sweeps/run.py --study {path.name} --preset again"


def test_settings_of_another_version_are_written_as_they_are():
    given = settings("pruned", 20, 3, method__new_setting=[1, 2])
    content = yaml.safe_load(rerun.study_file("s", "t", json.dumps(given)))
    assert content["presets"]["again"]["runs"] == [
        {key if key != "name" else "method": value for key, value in given["method"].items() if value is not None}
    ]
