"""Hundreds of bad inputs, of every command: each is one line that says what is wrong, and exit code 2."""

import os
import subprocess
import sys
import time

import pytest
from bad_inputs import ROOT, cases, make_files

from sweeps.trials.dotted_names import Functions

CASES = cases()
FUNCTIONS = Functions(train="fake_training:instant", data_hash="fake_training:data_hash")
SCRIPTS = {"run": "sweeps.run", "export": "sweeps.export", "measure": "sweeps.measure", "doping_run": "doping.run"}
KINDS = sorted({case.kind for case in CASES})


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad_inputs")
    make_files(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_one_line_and_exit_code_2(kind, here, monkeypatch, capsys):
    monkeypatch.chdir(here)
    wrong = []
    for case in (case for case in CASES if case.kind == kind):
        (here / "given.yaml").write_text(case.given, encoding="utf-8")
        functions = {"functions": FUNCTIONS} if case.program == "run" else {}
        begun = time.monotonic()
        code = case.main()(case.arguments, **functions)
        seconds = time.monotonic() - begun
        said = capsys.readouterr().err
        start = "error: " + case.start.replace("<here>", str(here)).replace("<root>", str(ROOT))
        if code != 2 or not said.startswith(start) or said.count("\n") != 1 or len(said) > 900:
            wrong.append((case.command, case.given, code, said, start))
        assert seconds < 60, case  # none hangs, also where it is the first to import something on a busy machine
    assert not wrong
    assert not list(here.glob("runs/*/trials/*"))


def test_there_are_five_hundred():
    assert len({(case.command, case.given) for case in CASES}) >= 500


@pytest.mark.exhaustive
def test_so_it_is_for_processes(here):
    """Every twentieth of those commands that have a script of their own."""
    for case in [case for case in CASES if case.program in SCRIPTS][::20]:
        (here / "given.yaml").write_text(case.given, encoding="utf-8")
        command = [sys.executable, "-m", SCRIPTS[case.program], *case.arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"}
        ended = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert ended.returncode == 2, (case, ended.stderr)
        assert ended.stderr.startswith("error: " + case.start.replace("<here>", str(here)).replace("<root>", str(ROOT)))
        assert ended.stderr.count("\n") == 1
