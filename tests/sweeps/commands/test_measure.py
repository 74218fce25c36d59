"""Latency and file size of trained models join the rows of results."""

import csv
import shutil
import time

import pytest
import small_text
from models import compressed, lstms

from doping.inference import latency
from doping.inference.bundle import file as bundle
from doping.inference.bundle.narrowing import narrow
from doping.inference.kernels.build import KernelError
from doping.inference.models.lstm import Lstm
from doping.machine import hardware
from sweeps.commands import measure_latency as measure_command
from sweeps.commands.main import main as sweep
from sweeps.commands.measure_latency import main
from sweeps.results.bundles import trial_bundle
from tasks.bundles import to_bundle

STUDY = """\
description: tiny
presets:
  quick:
    task:
      data: DATA
      model: {hidden: 20}
      training: {epochs: 1, batch_size: 8, sequence_length: 20, validations: 1}
    seeds: [1]
    runs:
      - {method: dense}
      - {method: doped_kp, factor: 5, pattern: gates}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Results of two trainings."""
    folder = tmp_path_factory.mktemp("measure")
    (folder / "tiny.yaml").write_text(STUDY.replace("DATA", small_text.YAML))
    out = folder / "results"
    assert sweep(["--study", str(folder / "tiny.yaml"), "--out", str(out), "--wandb", "off", "--workers", "1"]) == 0
    return out


@pytest.fixture
def results(trained, tmp_path):
    """A copy of them that may be changed."""
    return shutil.copytree(trained, tmp_path / "results")


def rows(folder):
    with (folder / "results.csv").open(newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def mistake(arguments, capsys):
    assert main([str(each) for each in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_latency_and_bytes_join_the_rows_and_nothing_else_changes(results, monkeypatch):
    before = rows(results)
    assert {row["latency_us"] for row in before.values()} == {""}
    monkeypatch.setattr(measure_command, "step_latency", lambda lstm: 12.3456)
    assert main(["--results", str(results)]) == 0
    for method, row in rows(results).items():
        exported = results / "model.lstm"
        bundle.write(trial_bundle(results / "trials" / row["trial_id"]), exported)
        measured = {
            "latency_us": "12.35",
            "bundle_bytes": str(exported.stat().st_size),
            "latency_hardware": hardware(),
        }
        assert row == before[method] | measured


def test_what_was_measured_here_is_measured_again_only_where_asked(results, monkeypatch):
    numbers = iter(range(1, 100))
    monkeypatch.setattr(measure_command, "step_latency", lambda lstm: next(numbers))
    assert main(["--results", str(results)]) == 0
    first = rows(results)
    assert main(["--results", str(results)]) == 0
    assert rows(results) == first
    assert main(["--results", str(results), "--again"]) == 0
    assert {float(row["latency_us"]) for row in rows(results).values()} == {3, 4}
    monkeypatch.setattr(measure_command, "hardware", lambda: "another processor")
    assert main(["--results", str(results)]) == 0
    assert {float(row["latency_us"]) for row in rows(results).values()} == {5, 6}


def test_a_trial_without_its_model_stays_without_a_latency(results, capsys):
    (results / "trials" / rows(results)["dense"]["trial_id"] / "model.ckpt").unlink()
    assert main(["--results", str(results)]) == 0
    assert "1 measured, 0 were before, 1 have no model any more" in capsys.readouterr().out
    assert rows(results)["dense"]["latency_us"] == ""
    assert 0 < float(rows(results)["doped_kp"]["latency_us"]) < 1000


def _without_a_compiler():
    raise KernelError("there is no compiler")


def test_mistakes_are_one_line(results, tmp_path, capsys, monkeypatch):
    assert "nowhere has no trials; give a folder of results" in mistake(["--results", tmp_path / "nowhere"], capsys)
    assert "--results" in mistake([], capsys)
    monkeypatch.setattr(measure_command, "kernels", _without_a_compiler)
    assert "no compiler" in mistake(["--results", results], capsys)
    monkeypatch.undo()
    for path in results.glob("trials/*/model.ckpt"):
        path.unlink()
    assert "has its trained model (model.ckpt); run the study again" in mistake(["--results", results], capsys)


def test_the_difference_of_two_calls_is_measured(monkeypatch):
    """By a clock that only these calls move, so that a busy machine does not matter."""
    now = [0.0]

    def takes(seconds):
        now[0] += seconds

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
    assert latency.median_difference(lambda: takes(3e-3), lambda: takes(1e-3), 0.5) == pytest.approx(2e-3)


def test_a_latency_is_that_of_the_kernels_without_python(trained):
    """Python alone takes several microseconds a call; the layer is 20 wide and takes less than that."""
    row = rows(trained)["dense"]
    lstm = Lstm(trial_bundle(trained / "trials" / row["trial_id"]))
    x_TBI = [[[0.5] * 20]]
    start = time.perf_counter()
    for _ in range(1000):
        lstm.forward(x_TBI)
    assert 0 < latency.step_latency(lstm, 0.2) < 1e3 * (time.perf_counter() - start)


@pytest.mark.parametrize(
    ("method", "values", "arithmetic"),
    [
        ("pruned/tiles", "int4", "int8"),
        ("kp", "int8", "int8"),
        ("kp", "float32", "float32"),
        ("pruned/gates", "int8", "float32"),
    ],
)
def test_a_latency_is_in_int8_arithmetic_where_values_are_narrow_and_have_such_products(method, values, arithmetic):
    exported = to_bundle(compressed(next(lstms()), method))
    assert latency.as_it_runs_fastest(exported if values == "float32" else narrow(exported, values)).arithmetic == arithmetic
