"""The worked example of a task of one's own: it runs as the documentation says, and learns."""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path

import pytest
import torch
from forked.python import PYTHON

from doping.method import Method
from doping.sizes import plan_sizes
from examples.adding_problem import AddingProblem

ROOT = Path(__file__).parents[2]


@pytest.mark.exhaustive
def test_the_study_of_the_documentation_runs_and_every_method_learns(tmp_path: Path) -> None:
    documented = (ROOT / "docs" / "own_task.md").read_text(encoding="utf-8")
    command = re.search(r"^python (sweeps/run\.py --study examples/\S+)$", documented, re.MULTILINE)
    assert command
    arguments = [*command[1].split(), "--out", str(tmp_path), "--wandb", "off"]
    subprocess.run([*PYTHON, *arguments], cwd=ROOT, check=True, capture_output=True, timeout=300)
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert {row["task"] for row in rows.values()} == {"adding"}
    # Guessing the mean of the sum has an error of 1/6.
    assert all(float(row["test"]) < 0.1 for row in rows.values()), {name: row["test"] for name, row in rows.items()}
    assert float(rows["doped_kp"]["cf_values"]) > 3


def test_sizes_are_known_before_anything_is_trained() -> None:
    task = AddingProblem()
    method = Method(name="kp", factor=4)
    model, _ = task.build(method)
    planned = plan_sizes(task, method)
    assert list(planned.matrices) == [name for name, _ in model.named_matrices()]
    assert (planned.compressed, planned.dense) == (model.size(), model.uncompressed_size())


def test_the_sums_are_those_of_the_marked_numbers() -> None:
    _, data = AddingProblem().build(Method())
    batch = data.monitored_batch()
    for example, told in zip(batch.sequence.unbind(1), batch.sum, strict=True):
        marked = [float(number) for number, mark in example if mark == 1]
        assert len(marked) == 2
        assert torch.isclose(told, torch.tensor(sum(marked)))
