"""What a worker keeps of the environment that a study is started in."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fake_training import STUDY

from sweeps.worker.environment import (
    GIVEN,
    HONOURED,
    PASSED_ON,
    TAKEN_OUT,
    UNLESS_SET,
    defaults,
    is_taken_out,
    notice,
    worker_environment,
)

ROOT = Path(__file__).parents[3]
SUPPORT = ROOT / "tests" / "support"


@pytest.mark.parametrize(
    "name",
    [
        *("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_RESUME", "WANDB_NAME", "WANDB_SERVICE", "WANDB_WHAT_COMES_NEXT"),
        *(
            "WANDB_DIR",
            "RANK",
            "LOCAL_RANK",
            "WORLD_SIZE",
            "SLURM_NTASKS",
            "PL_GLOBAL_SEED",
            "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",
        ),
    ],
)
def test_what_would_change_a_trial_is_taken_out(name):
    assert is_taken_out(name)
    assert worker_environment({name: "x", "PATH": "p"}) == {"PATH": "p"}


@pytest.mark.parametrize("name", [*HONOURED, *GIVEN, *PASSED_ON, "PATH", "HOME", "RANKING", "CUBLAS_WORKSPACE_CONFIG"])
def test_what_is_meant_for_the_trials_stays(name):
    assert worker_environment({name: "x"}) == {name: "x"}


def test_defaults_give_way_to_what_the_user_has_set():
    assert defaults({"PATH": "p"}) == UNLESS_SET
    assert "GOMP_SPINCOUNT" not in defaults({"GOMP_SPINCOUNT": "5"})
    assert "GOMP_SPINCOUNT" not in defaults({"OMP_WAIT_POLICY": "active"})


def test_no_variable_has_two_fates():
    assert not set(GIVEN) & set(HONOURED)
    assert not (set(GIVEN) | set(HONOURED)) & set(TAKEN_OUT)
    assert set(PASSED_ON) <= set(HONOURED)


def test_the_documentation_lists_them_all():
    text = (ROOT / "docs" / "monitoring.md").read_text()
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]+)[`…]", text.partition("### Environment variables")[2]))
    assert {*GIVEN, *HONOURED, *TAKEN_OUT} <= documented


@pytest.mark.parametrize(
    ("around", "words"),
    [
        ({}, ""),
        ({"WANDB_PROJECT": "p", "WANDB_API_KEY": "k"}, ""),
        ({"WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "r"}, "inside a W&B sweep"),
        ({"WANDB_RUN_ID": "r", "WANDB_RESUME": "must"}, "not told WANDB_RESUME, WANDB_RUN_ID"),
    ],
)
def test_an_environment_made_for_a_single_run_is_said(around, words):
    assert words in notice(around)
    assert bool(notice(around)) == bool(words)


@pytest.mark.exhaustive
def test_workers_of_a_study_in_a_sweep_do_not_see_it(tmp_path):
    (tmp_path / "tiny.yaml").write_text(STUDY)
    outer = {
        "WANDB_SWEEP_ID": "sweep1",
        "WANDB_RUN_ID": "run1",
        "WANDB_RESUME": "must",
        "RANK": "1",
        "WANDB_PROJECT": "mine",
        "MALLOC_TRIM_THRESHOLD_": "1000000",
    }
    kept = {name: outer[name] for name in ("WANDB_PROJECT", "MALLOC_TRIM_THRESHOLD_")}
    command = [sys.executable, "-m", "fake_training", "notes_environment", "--study", str(tmp_path / "tiny.yaml")]
    environment = os.environ | outer | {"PYTHONPATH": f"{SUPPORT}{os.pathsep}{ROOT}"}
    environment.pop("OMP_WAIT_POLICY", None)
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out"), "--wandb", "offline", "--workers", "1"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("inside a W&B sweep: the trials are runs of their own") == 1
    seen = [json.loads(path.read_text()) for path in (tmp_path / "out" / "trials").glob("*/environment.json")]
    assert len(seen) == 6
    for environment in seen:
        assert {name: environment.get(name) for name in outer} == dict.fromkeys(outer) | kept
        assert environment["MALLOC_MMAP_THRESHOLD_"] == UNLESS_SET["MALLOC_MMAP_THRESHOLD_"]
        assert environment["GOMP_SPINCOUNT"] == UNLESS_SET["GOMP_SPINCOUNT"]
        assert environment["WANDB_RUN_GROUP"] == "tiny-quick"
