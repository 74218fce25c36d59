import csv
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.inference import int8_engines
from benchmarks.inference.command import measure
from benchmarks.inference.engines import compressed, random_matrix

ROOT = Path(__file__).parents[2]
DENSE = {"ONNX Runtime", "nn.LSTM", "nn.LSTMCell", "own dense kernel", "BLAS products"}


def test_the_ratio_is_against_the_fastest_dense_engine_of_its_setting():
    for mode in ("generating", "scoring"):
        measured = measure(48, factors=[4.0], rounds=1, quick=True, conditions=(1, 1, mode))
        assert {row["mode"] for row in measured} == {mode} | ({"generating in C"} if mode == "generating" else set())
        dense = {row["engine"]: row["median_us"] for row in measured if row["factor"] == 1 and row["values"] == "float32"}
        assert dense.keys() == DENSE
        assert {row["dense_engine"] for row in measured} == {min(dense, key=dense.__getitem__)}
        for row in measured:
            assert row["speedup"] == pytest.approx(min(dense.values()) / row["median_us"], rel=0.02, abs=1e-3)
        every = [row["median_us"] for row in measured if row["factor"] == 1 and row["mode"] == mode]
        for row in measured:
            assert row["speedup_over_fastest"] == pytest.approx(min(every) / row["median_us"], rel=0.05, abs=1e-3)
        patterns = {(row["engine"], row["pattern"]) for row in measured if row["engine"] not in DENSE}
        narrow = {(row["engine"], row["arithmetic"]) for row in measured if row["values"] == "int8"}
        assert narrow == {
            ("ONNX Runtime", "int8"), ("nn.LSTM", "int8"), ("dense", "float32"), ("doped_kp", "float32"),
            ("dense", "int8"), ("kp", "int8"), ("pruned", "int8"),
        }  # fmt: skip
        assert {row["pattern"] for row in measured if (row["engine"], row["arithmetic"]) == ("pruned", "int8")} == {"tiles"}
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


def test_a_layer_in_int8_that_computes_something_else_is_not_timed():
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(96, 24)).astype(np.float32)
    made = {name: matrix for name, _, _, matrix in int8_engines.compressed_matrices(weight, [3.0])}
    assert {"dense", "pruned", "kp", "doped_kp"} <= made.keys()
    tiles = made["pruned"]
    assert tiles.values.size == pytest.approx(weight.size / 3, rel=0.05)
    object.__setattr__(tiles, "dense", lambda: np.zeros((96, 24), np.float32))
    with pytest.raises(AssertionError, match=r"off by .* from the dense result"):
        int8_engines.compressed(tiles, np.ones(96, np.float32), np.ones((3, 1, 24), np.float32))


@pytest.mark.exhaustive
def test_the_command_writes_a_table_and_a_figure_and_goes_on_where_it_was_interrupted(tmp_path):
    command = [
        sys.executable,
        "-m",
        "benchmarks.inference",
        "--quick",
        "--hidden",
        "24",
        "--factors",
        "3",
        "--rounds",
        "1",
    ]
    command += ["--out", tmp_path]
    on_one_core = partial(os.sched_setaffinity, 0, [min(os.sched_getaffinity(0))])
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, preexec_fn=on_one_core)
    path = tmp_path / "inference_benchmark.csv"
    whole = path.read_text().splitlines(keepends=True)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    first = sum(row["mode"].startswith("generating") for row in rows)
    path.write_text("".join(whole[: 1 + first]))  # as if it had been interrupted after the first setting
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, preexec_fn=on_one_core)
    assert "[1/" not in done.stdout
    assert "[2/" in done.stdout
    again = path.read_text().splitlines(keepends=True)
    assert again[: 1 + first] == whole[: 1 + first]
    assert len(again) == len(whole)
    other = subprocess.run([*command, "--rounds", "2"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert other.returncode == 2
    assert "has rows of another benchmark (python -m benchmarks.inference --hidden 24 --factors 3" in other.stderr
    assert {row["mode"] for row in rows} == {"generating", "generating in C", "scoring"}
    assert all(row["hardware"] and row["commit"] and row["versions"] and row["command"] for row in rows)
    assert (tmp_path / "inference_benchmark.png").stat().st_size > 10_000
    assert (tmp_path / "inference_benchmark.svg").is_file()


def test_a_mistake_gets_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.inference", "--rounds", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "are numbers from 1 on" in done.stderr
