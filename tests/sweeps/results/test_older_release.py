"""A folder that an older release wrote, the smoke preset of ``kp_vs_pruning``: today's program goes on with it.

``older_release/`` is what version 2's predecessor left, but for locks, logs, the host's name, and all models but one.
"""

import csv
import shutil
from pathlib import Path

import pytest

from analysis.main import main as make_tables
from data.text.corpus import load as load_corpus
from doping.inference.runtime import load
from sweeps.commands.export_model import main as export
from sweeps.commands.main import main
from sweeps.results.files import write_whole
from sweeps.results.folder import ResultsFolder
from sweeps.trials.dotted_names import Functions
from sweeps.trials.trial import Trial

OLD = Path(__file__).parent / "older_release"
FUNCTIONS = Functions(train="there_is_no_such_module:train")
"""Nothing can be trained."""
AS_IT_WAS = """runs=[
  {method: dense}, {method: [pruned, lmf, kp, doped_kp, doped_lmf], factor: 5},
  {method: [hmd, doped_hmd], factor: 5, free_rows: stacked},
  {method: doped_kp, factor: 5, cmr: {probability: 0.3, on: sparse}}]"""
"""The study as the older release understood it: the free rows of HMD have moved since."""
KP = "78a4bd630f0a"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(OLD, tmp_path / "out")
    return tmp_path / "out"


def study(folder, *more):
    options = ["--study", "kp_vs_pruning", "--preset", "smoke", "--out", str(folder), "--wandb", "off", "--workers", "1"]
    return main([*options, "--set", AS_IT_WAS, *more], FUNCTIONS)


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.glob("trials/*/*") if path.name != "lock"}


def test_nothing_is_trained_again_and_nothing_written_over(folder, capsys):
    before = files(folder)
    assert study(folder) == 0
    assert "9 finished" in capsys.readouterr().out
    assert files(folder) == before
    with (folder / "results.csv").open(newline="") as new, (OLD / "results.csv").open(newline="") as old:
        qualities = [
            {row["trial_id"]: (row["validation"], row["test"]) for row in csv.DictReader(file)} for file in (new, old)
        ]
    assert qualities[0] == qualities[1]
    assert len(qualities[0]) == 9


def test_its_status_and_its_tables_are_shown(folder, capsys):
    assert main(["--out", str(folder), "--status"], FUNCTIONS) == 0
    assert "9 of 9 trials have a result (9 finished); complete" in capsys.readouterr().out
    assert make_tables(["--results", str(folder), "--only", "tables"]) == 0
    assert "HMD" in (folder / "tables.md").read_text()


def test_its_model_is_exported_and_has_the_quality_of_its_row(folder, tmp_path):
    assert export(["--from", str(folder / "trials" / KP), "--out", str(tmp_path / "kp.lstm")]) == 0
    row = ResultsFolder(folder).row(KP)
    corpus = load_corpus(Trial.model_validate_json(row.settings).task.data)
    score = load(tmp_path / "kp.lstm").score(corpus.vocabulary.decode(corpus.validation))
    # Training cuts the text into sequences that lie side by side; the bundle reads it as one.
    assert score.bits == pytest.approx(row.validation, rel=0.001)


def test_a_row_that_cannot_be_read_is_one_line(folder, capsys):
    torn = folder / "trials" / KP / "row.json"
    torn.write_bytes(torn.read_bytes()[:700])
    assert main(["--out", str(folder), "--status"], FUNCTIONS) == 0
    said = capsys.readouterr()
    (line,) = [line for line in said.out.splitlines() if KP in line and "row.json" in line]
    assert "is not a whole row" in line
    assert "8 of 9 trials" in said.out


def test_the_older_release_is_kept_out_of_what_today_s_program_has_written(folder):
    assert study(folder) == 0
    # What it does first in a folder; it then says "Is a directory" in one line, and ends with exit code 2.
    with pytest.raises(IsADirectoryError):
        write_whole(folder / "studies" / ".probe", "")
    assert study(folder) == 0
