import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inference.benchmark_command import measure
from inference.benchmark_engines import compressed, random_matrix

ROOT = Path(__file__).parents[2]
DENSE = {"ONNX Runtime", "nn.LSTM", "nn.LSTMCell", "own dense kernel", "BLAS products"}


def test_the_ratio_is_against_the_fastest_dense_engine_of_the_cell():
    rows = measure(48, threads=1, factors=[4.0], rounds=1, quick=True)
    for mode in ("generating", "scoring"):
        cell = [row for row in rows if row["mode"] == mode]
        dense = {row["engine"]: row["median_us"] for row in cell if row["factor"] == 1}
        assert dense.keys() == DENSE
        assert {row["dense_engine"] for row in cell} == {min(dense, key=dense.__getitem__)}
        for row in cell:
            assert row["speedup"] == pytest.approx(min(dense.values()) / row["median_us"], rel=0.02, abs=5e-4)
        patterns = {(row["engine"], row["pattern"]) for row in cell if row["engine"] not in DENSE}
        assert {("doped_kp", "gates"), ("doped_kp", "rows"), ("doped_kp", "unstructured"), ("pruned", "gates")} <= patterns


@pytest.mark.parametrize("pattern", ["unstructured", "gates", "rows"])
def test_random_matrices_have_the_size_that_training_plans(pattern):
    matrix = random_matrix("pruned", 10, pattern, (4 * 50, 50), seed=0)
    assert matrix.values.size == pytest.approx(200 * 50 / 10, rel=0.01)


def test_a_layer_that_computes_something_else_is_not_timed():
    matrix = random_matrix("pruned", 4, "gates", (4 * 16, 16), seed=0)
    object.__setattr__(matrix, "dense", lambda: np.zeros((64, 16), np.float32))
    with pytest.raises(AssertionError, match=r"off by .* from the dense result"):
        compressed(matrix, np.ones(64, np.float32), np.ones((3, 1, 16), np.float32), threads=1)


def test_the_command_writes_a_table_and_a_figure(tmp_path):
    command = [sys.executable, "inference/benchmark.py", "--quick", "--hidden", "24", "--factors", "3", "--rounds", "1"]
    subprocess.run([*command, "--out", tmp_path], cwd=ROOT, check=True, capture_output=True)
    with (tmp_path / "inference_benchmark.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["mode"] for row in rows} == {"generating", "scoring"}
    assert all(row["hardware"] and row["commit"] and row["versions"] and row["command"] for row in rows)
    assert (tmp_path / "inference_benchmark.png").stat().st_size > 10_000
    assert (tmp_path / "inference_benchmark.svg").is_file()


def test_a_mistake_gets_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "inference/benchmark.py", "--rounds", "0"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "must be at least 1" in done.stderr
