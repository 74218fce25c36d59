"""What is made to be shared (tables, reports, exports, bundles, C folders) tells nothing of who made it, and where."""

import os
from pathlib import Path

import pytest

from analysis.main import main as make_tables
from sweeps.commands.export_model import main as export
from sweeps.commands.main import main

STUDY = """\
description: a study with a text of mine
presets:
  quick:
    task:
      data: {corpus: text, path: TEXT}
      model: {hidden: 20}
      training: {epochs: 1, batch_size: 8, sequence_length: 20, validations: 2}
    seeds: [1]
    runs: [{method: dense}, {method: kp, factor: 4}]
"""
KEY, SETTING = "k" * 40, "a-value-of-the-environment"
NOT_TO_BE_SHARED = ("log.txt", "lock", "wandb", ".wandb")
"""As SECURITY.md says; of W&B's files see ``tests/sweeps/worker/test_wandb.py``."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home folder, and beside it all that a user makes of a study whose text lies in it."""
    home, out = tmp_path_factory.mktemp("home-of-somebody"), tmp_path_factory.mktemp("made")
    (home / "text.txt").write_text("so it goes on and on\n" * 400)
    (home / "mine.yaml").write_text(STUDY.replace("TEXT", str(home / "text.txt")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("WANDB_API_KEY", KEY)
        patch.setenv("SOME_SETTING", SETTING)
        study = ["--study", str(home / "mine.yaml"), "--out", str(out / "run"), "--wandb", "off", "--workers", "1"]
        assert main(study) == 0
        assert main([*study, "--export", str(out / "export")]) == 0
        assert make_tables(["--results", str(out / "run"), "--out", str(out / "tables"), "--only", "tables", "report"]) == 0
        trial = next(path.parent for path in sorted(out.glob("run/trials/*/row.json")) if '"kp"' in path.read_text())
        assert export(["--from", str(trial), "--out", str(out / "model.lstm")]) == 0
        assert export(["--from", str(out / "model.lstm"), "--format", "c", "--out", str(out / "c")]) == 0
    return home, out


def shared(out: Path) -> dict[str, bytes]:
    files = [path for path in out.rglob("*") if path.is_file() and not {*NOT_TO_BE_SHARED} & {*path.relative_to(out).parts}]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.mark.exhaustive
def test_all_of_it_is_looked_at(made):
    names = set(shared(made[1]))
    assert {"model.lstm", "export/results.csv", "tables/report.html", "run/results.csv"} <= names
    assert any(name.startswith("c/") and name.endswith(".c") for name in names)
    assert any(name.endswith("model.ckpt") for name in names)


@pytest.mark.exhaustive
@pytest.mark.parametrize("what", ["key", "variable", "home", "user", "host"])
def test_nothing_of_the_user_is_in_it(what, made):
    home, out = made
    node = os.uname().nodename
    if what == "host" and len(node) < 4:
        pytest.skip(f"the host's name, {node}, may stand anywhere")
    word = {"key": KEY, "variable": SETTING, "home": str(home), "user": "home-of-somebody", "host": node}[what]
    # The folder of a run says where its text lies, for those who go on with it: others get its export.
    own = "run/" if what in ("home", "user") else "nothing/"
    assert [name for name, text in shared(out).items() if word.encode() in text and not name.startswith(own)] == []
