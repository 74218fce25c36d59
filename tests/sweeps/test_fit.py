"""Sizes, widths and precisions in studies; and the search for the best model that fits, of all methods together."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_text
from fake_training import outcome

from doping.method import Method
from sweeps.commands.main import main
from sweeps.planning.due_trials import DueTrials, best_fits
from sweeps.planning.plan import make_plan
from sweeps.results.folder import ResultsFolder
from sweeps.study.search_space import Range, Space, Together
from sweeps.study.study import load, with_settings
from sweeps.trials.dotted_names import Functions
from sweeps.trials.outcome import Outcome, Report
from sweeps.trials.trial import Trial
from sweeps.worker.execute import execute
from tasks.language_model import LanguageModelTask

TASK = LanguageModelTask(model={"hidden": 50})
KP = Method(name="kp", size=8000, values="int8", units=50)
TILES = Method(name="doped_lmf", size=8000, values="int8", units=50, pattern="tiles", structured_share=0.5)
SEARCHED = {
    "units": Range(low=24, high=80),
    "structured_share": Range(low=0.2, high=0.8),
    "task.training.learning_rate": Range(low=0.001, high=0.01),
}
STUDY = """\
description: tiny
presets:
  quick:
    task: {model: {hidden: 50}}
    seeds: [1, 2]
    size: 8kB
    common: {units: 50}
    runs:
      - {method: dense, units: null}
      - {method: dense, size: 1kB, units: null, values: int8}
      - {method: [kp, pruned], size: 1kB, values: int8, pattern: gates}
    tuning: {trials: 6, parallel: 1, together: true, runners_up: 1, search: {units: {low: 24, high: 80}}}
"""


def study(tmp_path: Path, content: str = STUDY) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(content)
    return path


def test_a_run_may_give_lists_of_sizes_widths_precisions_and_patterns(tmp_path):
    runs = "[{method: [kp, pruned], size: [8kB, 9000], units: [40, 50], values: [int8, int4], pattern: [gates, tiles]}]"
    path = study(tmp_path, f"description: x\npresets:\n  quick:\n    task: {{}}\n    seeds: [1]\n    runs: {runs}\n")
    methods = [cell.method for cell in load(str(path)).cells("quick")]
    of_pruned = {(m.size, m.units, m.values, m.pattern) for m in methods if m.name == "pruned"}
    assert len(of_pruned) == 16
    assert (8000, 40, "int4", "tiles") in of_pruned
    assert {m.pattern for m in methods if m.name == "kp"} == {"unstructured"}
    assert len({m for m in methods if m.name == "kp"}) == 8


def test_one_key_sets_the_size_of_all_runs_that_ask_for_one(tmp_path):
    chosen = with_settings(load(str(study(tmp_path))), "quick", ["size=64kB"])
    assert {cell.method.size for cell in chosen.cells("quick")} == {None, 64_000}


class TestTogether:
    space = Together(TASK, [KP, TILES], SEARCHED)

    def test_the_run_is_searched_beside_all_settings_that_any_of_them_has(self):
        assert list(self.space.searched) == ["run", "units", "task.training.learning_rate", "structured_share"]
        assert self.space.searched["run"] == ["kp 8 kB, 50 units, int8", "doped_lmf, tiles 8 kB, 50 units, int8"]

    def test_the_first_is_tried_first_as_it_is_written(self):
        values = self.space.written
        assert values["run"] == "kp 8 kB, 50 units, int8"
        assert self.space.apply(values)[1] == KP

    def test_a_setting_has_an_effect_on_the_methods_that_have_it(self):
        values = {**self.space.written, "units": 60, "structured_share": 0.3, "task.training.learning_rate": 0.002}
        task, method = self.space.apply(values)
        assert method == KP.model_copy(update={"units": 60})
        assert task.training.learning_rate == 0.002
        _, doped = self.space.apply({**values, "run": "doped_lmf, tiles 8 kB, 50 units, int8"})
        assert doped == TILES.model_copy(update={"units": 60, "structured_share": 0.3})

    def test_the_width_of_a_dense_model_follows_from_its_size(self):
        dense = Method(size=8000, values="int8")
        assert list(Space(TASK, dense, {"units": Range(low=24, high=80)}).searched) == []


def validation(trial: Trial) -> float:
    """Wider is better, and pruned beats the others."""
    task, method = trial.built
    return 10 - task.model.hidden / 100 - (method.name == "pruned") + trial.seed / 1000


def train(trial: Trial, directory: Path, report: Report, threads: int) -> Outcome:
    return outcome(trial, validation(trial))


def run(path: Path, out: Path) -> tuple[DueTrials, ResultsFolder]:
    folder = ResultsFolder(out)
    folder.prepare()
    due = DueTrials(make_plan(load(str(path)), "quick", None, lambda task: "0" * 64), folder)
    done: set[str] = set()
    while waiting := [job for job in due.jobs.values() if job.trial.id not in done]:
        for job in waiting:
            execute(job, folder, train, lambda progress: None, 1)
            done.add(job.trial.id)
        due.advance()
    return due, folder


def test_methods_and_widths_are_tried_together_and_the_best_are_run_with_every_seed(tmp_path):
    due, _ = run(study(tmp_path), tmp_path / "out")
    jobs = list(due.jobs.values())
    tried = [job for job in jobs if job.stage == "tuning"]
    assert len(tried) <= 6
    assert len({job.trial.method.name for job in tried}) > 1
    for job in tried:
        assert job.cell == "fit 8 kB"
        assert job.trial.built  # all could be had
    ranked = sorted({job.trial.id: job.trial for job in tried}.values(), key=validation)
    finals = [job for job in jobs if job.stage == "final" and job.cell.startswith("fit")]
    assert {(job.trial.method, job.trial.seed) for job in finals} == {
        (trial.method, seed) for trial in ranked[:2] for seed in (1, 2)
    }
    # The dense model without a size is the reference, and stays out of the search.
    assert [job.trial.seed for job in jobs if job.cell == "dense"] == [1, 2]


def test_the_same_results_give_the_same_search(tmp_path):
    first, folder = run(study(tmp_path), tmp_path / "out")
    again = DueTrials(
        make_plan(load(str(study(tmp_path))), "quick", None, lambda task: "0" * 64), ResultsFolder(folder.path)
    )
    assert list(again.jobs) == list(first.jobs)


def test_a_latency_leaves_out_what_is_slower(tmp_path):
    due, folder = run(study(tmp_path), tmp_path / "out")
    tried = [job for job in due.jobs.values() if job.stage == "tuning"]
    rows = folder.results(tried)
    slow_to_fast = sorted(rows, key=lambda id: rows[id].validation)  # the better, the slower
    timed = {id: rows[id].model_copy(update={"latency_us": 30.0 - place}) for place, id in enumerate(slow_to_fast)}
    bound = timed[slow_to_fast[1]].latency_us
    assert [job.trial.id for job in best_fits(tried, timed, 0, bound)] == [slow_to_fast[1]]
    assert best_fits(tried, timed, 1, 1.0) == []


@pytest.mark.exhaustive(keep=["arguments0-words0", "arguments2-words2", "arguments3-words3", "arguments4-words4"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "size=64kg"], ["size", "64kg", "like 64kB"]),
        (["--set", "size=500"], ["size 0.5 kB is impossible", "weigh 0.8 kB alone"]),
        (["--set", "latency=soon"], ["latency", "soon", "like 20us"]),
        (["--set", "tuning.together=false"], ["runners_up needs together"]),
        (["--set", "runs=[{method: kp, factor: 5, size: 8kB, units: 50}]"], ["size is 8,000 bytes and factor 5"]),
        (["--set", "runs=[{method: kp, size: 8kB, units: 53, values: int4}]", "--set", "size=1100"], ["1.1 kB"]),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(arguments, words, tmp_path, capsys):
    functions = Functions(train="fake_training:instant", data_hash="fake_training:data_hash")
    code = main(["--study", str(study(tmp_path)), "--out", str(tmp_path / "out"), *arguments, "--wandb", "off"], functions)
    error = capsys.readouterr().err
    assert code == 2
    assert error.count("\n") == 1, error
    for word in words:
        assert word in error


def test_it_ends_with_the_exported_file_and_one_line(tmp_path, capsys):
    content = STUDY.replace(
        "{model: {hidden: 50}}", f"{{data: {small_text.YAML}, model: {{hidden: 50}}, training: {{epochs: 1}}}}"
    )
    path = study(tmp_path, content.replace("trials: 6", "trials: 2").replace("seeds: [1, 2]", "seeds: [1]"))
    assert main(["--study", str(path), "--out", str(tmp_path / "out"), "--wandb", "off", "--workers", "1"]) == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("best fit: ")
    assert "exported to" in last
    from doping.inference.runtime import load as load_bundle

    assert load_bundle(tmp_path / "out" / "tiny-quick.lstm").generate("a", 5)
