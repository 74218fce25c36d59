"""The table of what int8 values cost."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

import pytest
import small_text
from forked.python import PYTHON

from sweeps.commands.main import main

ROOT = Path(__file__).parents[2]
STUDY = """
description: two small models
presets:
  quick:
    task:
      data: DATA
      model: {hidden: 20}
      training: {epochs: 1, batch_size: 8, sequence_length: 20, validations: 2}
    seeds: [1]
    runs:
      - {method: dense}
      - {method: doped_kp, factor: 5, pattern: gates}
"""


@pytest.mark.filterwarnings("ignore")
def test_every_model_that_was_kept_is_measured_with_wide_and_with_narrow_values(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace("DATA", small_text.YAML))
    arguments = ["--study", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "runs"), "--wandb", "off", "--quiet"]
    assert main([*arguments, "--workers", "1"]) == 0
    command = [*PYTHON, "-m", "benchmarks.narrow_values", "--results", str(tmp_path / "runs")]
    subprocess.run([*command, "--out", str(tmp_path / "table.csv")], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    with (tmp_path / "runs" / "results.csv").open(newline="") as file:
        trained = {row["method"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {"dense", "doped_kp"}
    assert rows["doped_kp"]["pattern"] == "gates"
    for method, row in rows.items():
        assert float(row["validation_float32"]) == pytest.approx(float(trained[method]["validation"]), abs=1e-4)
        assert float(row["validation_int8"]) == pytest.approx(float(row["validation_float32"]), abs=0.02)
        assert row["validation_int8"] != row["validation_float32"]
        assert row["lstm_bytes_float32"] == trained[method]["bytes"]
        assert int(row["lstm_bytes_int8"]) < 0.7 * int(row["lstm_bytes_float32"])
        assert int(row["file_bytes_int8"]) > int(row["lstm_bytes_int8"])


def test_a_folder_without_models_is_said(tmp_path: Path) -> None:
    command = [*PYTHON, "-m", "benchmarks.narrow_values", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"no trained model in {tmp_path}: run the study first\n"
