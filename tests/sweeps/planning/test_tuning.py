"""A tuned study: the same budget for every cell, then the best setting with every seed; and none of it is left to luck."""

import json
import os
import random
import signal
import sys
import time
from collections import Counter

import pytest

from runs import TUNED, rows, run, start, until, workers_of

REAL = (sys.executable,)
CELLS = ["dense", "pruned 5x", "doped_kp 5x", "doped_kp + cmr 5x"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(TUNED)
    return path


@pytest.fixture(scope="module")
def calm(study, tmp_path_factory):
    """The folder of an undisturbed run."""
    out = tmp_path_factory.mktemp("calm") / "out"
    code, _, err = run("bowl", study, out, "--workers", "1")
    assert code == 0, err
    return out


def results(out):
    """All that a row says of its trial, and nothing of when and where it was run."""
    kept = ("cell", "stage", "status", "validation", "test", "steps", "settings")
    return {row["trial_id"]: [row[name] for name in kept] for row in rows(out)}


def test_every_cell_has_the_same_budget_and_then_every_seed(calm):
    counts = Counter((row["cell"], row["stage"]) for row in rows(calm))
    assert counts == {(cell, stage): n for cell in CELLS for stage, n in (("tuning", 8), ("final", 2))}
    assert {row["seed"] for row in rows(calm) if row["stage"] == "tuning"} == {"0"}


@pytest.mark.parametrize("cell", CELLS)
def test_the_written_setting_is_tried_first_and_the_best_one_is_replicated(calm, cell):
    own = [row for row in rows(calm) if row["cell"] == cell]
    tried = [row for row in own if row["stage"] == "tuning"]
    assert json.loads(tried[0]["settings"])["task"]["training"]["learning_rate"] == 0.002
    best = min((row for row in tried if row["status"] == "finished"), key=lambda row: float(row["validation"]))
    assert float(best["validation"]) < float(tried[0]["validation"])
    for row in own:
        if row["stage"] == "final":
            assert row["status"] == "finished"
            assert _without_seed(row) == _without_seed(best)


def _without_seed(row):
    return {**json.loads(row["settings"]), "seed": None}


def test_hopeless_settings_are_stopped_early(calm):
    stopped = [row for row in rows(calm) if row["status"] == "stopped"]
    assert stopped
    assert all(row["stage"] == "tuning" and row["test"] == "" and int(row["steps"]) < 100 for row in stopped)
    best = {row["cell"]: float(row["validation"]) for row in rows(calm) if row["stage"] == "final"}
    assert all(float(row["validation"]) > best[row["cell"]] for row in stopped)


def test_only_the_best_model_of_each_cell_is_kept(calm):
    kept = {path.parent.name for path in calm.glob("trials/*/model.ckpt")}
    finals = [row for row in rows(calm) if row["stage"] == "final"]
    best = {cell: min((r for r in finals if r["cell"] == cell), key=lambda r: float(r["validation"])) for cell in CELLS}
    assert kept == {row["trial_id"] for row in best.values()}


@pytest.mark.exhaustive
def test_kills_change_nothing(study, calm, tmp_path):
    """Three workers, killed at random moments, the parent too: the same settings are proposed, stopped and replicated."""
    out, flags = tmp_path / "out", ("--workers", "3", "--retries", "50")
    draw = random.Random(1)
    process = start("bowl", study, out, *flags, python=REAL, FAKE_TICK_SECONDS="0.06")
    for kill in range(5):
        until(lambda parent=process.pid: workers_of(parent), "workers are running")
        time.sleep(draw.uniform(0.3, 0.7))
        if kill == 2:
            process.kill()
            process.wait()
            process = start("bowl", study, out, *flags, python=REAL, FAKE_TICK_SECONDS="0.06")
        elif workers := workers_of(process.pid):
            os.kill(draw.choice(workers), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert results(out) == results(calm)


def test_two_runs_at_once_tune_together(study, calm, tmp_path):
    out = tmp_path / "out"
    both = [start("bowl", study, out, "--workers", "1", FAKE_TICK_SECONDS="0.01") for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert results(out) == results(calm)


def test_optuna_has_a_study_for_every_cell(calm):
    from optuna.importance import get_param_importances
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.study import get_all_study_names, load_study

    storage = JournalStorage(JournalFileBackend(str(calm / "optuna.journal")))
    assert set(get_all_study_names(storage)) == {"tiny-quick", *(f"tiny-quick: {cell}" for cell in CELLS)}
    assert len(load_study(study_name="tiny-quick", storage=storage).trials) == 8
    for cell in CELLS:
        tuned = load_study(study_name=f"tiny-quick: {cell}", storage=storage)
        own = {row["trial_id"]: row for row in rows(calm) if (row["cell"], row["stage"]) == (cell, "tuning")}
        assert {trial.user_attrs["trial_id"] for trial in tuned.trials} == set(own)
        for trial in tuned.trials:
            row = own[trial.user_attrs["trial_id"]]
            assert trial.state.name == {"finished": "COMPLETE", "stopped": "PRUNED"}[row["status"]]
            points = 10 if row["status"] == "finished" else int(row["steps"]) / 10
            assert len(trial.intermediate_values) == points
        assert get_param_importances(tuned)["task.training.learning_rate"] > 0.2


def test_a_study_that_wants_a_stopped_trial_in_full_trains_it(calm, tmp_path):
    import shutil

    out = tmp_path / "out"
    shutil.copytree(calm, out)
    stopped = next(row for row in rows(out) if row["status"] == "stopped" and row["method"] == "dense")
    training = json.loads(stopped["settings"])["task"]
    path = tmp_path / "again.yaml"
    content = {"task": training, "seeds": [0], "runs": [{"method": "dense"}]}
    path.write_text(json.dumps({"description": "d", "presets": {"quick": content}}))
    assert run("bowl", path, out)[0] == 0
    (row,) = [row for row in rows(out) if row["study"] == "again-quick"]
    assert (row["trial_id"], row["status"]) == (stopped["trial_id"], "finished")


def test_a_cell_in_which_nothing_works_is_told(study, tmp_path):
    code, said, _ = run("diverges", study, tmp_path / "out", "--workers", "2")
    assert code == 0
    assert {row["stage"] for row in rows(tmp_path / "out")} == {"tuning"}
    assert said.count("no setting that was tried came to its end") == len(CELLS)
