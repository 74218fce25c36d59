"""Damaged and malicious bundles do no harm: a short run of what ``python -m benchmarks.bundle_fuzz`` does at length."""

import csv

import numpy as np
import pytest

from benchmarks.bundle_fuzz import command as fuzz_command
from benchmarks.bundle_fuzz.cases import altered, samples
from benchmarks.bundle_fuzz.paths import outputs_of
from doping.inference.bundle import file as bundle
from doping.inference.kernels.int8 import available
from doping.patterns import PATTERNS


def test_altered_bundles_are_refused_or_computed_rightly():
    outcomes = fuzz_command.fuzz(1500)
    assert sum(outcomes.values()) > 1400
    refused = {outcome for outcome in outcomes if outcome.startswith("refused")}
    assert len(refused) > 8, "the alterations do not reach all checks"
    assert outcomes["loaded and run; outputs agree with the reference"] > 50


@pytest.mark.exhaustive
@pytest.mark.parametrize("path", ["plain", available()[0]])
def test_so_they_are_in_int8_arithmetic_with_every_instruction_set(path):
    outcomes = fuzz_command.fuzz(400, path=path)
    assert outcomes["loaded and run; outputs agree with the reference"] > 15


def test_an_instruction_set_that_differs_from_plain_c_is_found(monkeypatch):
    def off_by_a_bit(loaded, path, random):
        outputs, expected = outputs_of(loaded, path, random)
        return (outputs if path == "plain" else np.nextafter(outputs, 2)), expected

    monkeypatch.setattr(fuzz_command, "outputs_of", off_by_a_bit)
    with pytest.raises(AssertionError, match=r"attempt with seed \d+: .*outputs differ from those of plain C"):
        fuzz_command.fuzz(100, path=available()[0])


@pytest.mark.exhaustive
def test_a_wrong_answer_is_found(monkeypatch):
    monkeypatch.setattr("doping.inference.reference._sigmoid", lambda x: 0 * x)
    with pytest.raises(AssertionError, match=r"attempt with seed \d+: .*outputs differ from the reference"):
        fuzz_command.fuzz(300)


def test_an_unnoticed_alteration_is_found(monkeypatch):
    monkeypatch.setattr("doping.inference.bundle.file.checksum", lambda data: bundle._BLANK)
    monkeypatch.setattr("doping.inference.bundle.file.sealed", lambda data: data)
    monkeypatch.setattr("benchmarks.bundle_fuzz.cases.altered", altered)
    with pytest.raises(AssertionError, match="the checksum did not tell"):
        fuzz_command.fuzz(300)


@pytest.mark.exhaustive
def test_the_command_reports(capsys, tmp_path):
    assert fuzz_command.main(["--count", "40", "--seed", "7"]) == 0
    assert "altered bundles, seeds 7 to 46, none did harm:" in capsys.readouterr().out
    assert fuzz_command.main(["--count", "20", "--path", "plain", "--out", str(tmp_path / "fuzz.csv")]) == 0
    (row,) = csv.DictReader((tmp_path / "fuzz.csv").open())
    assert (row["path"], row["sanitizers"], int(row["refused"]) + int(row["run"])) == ("plain", "no", int(row["altered"]))
    assert fuzz_command.main(["--count", "0"]) == 2
    assert capsys.readouterr().err.startswith("error: --count 0")


def test_the_samples_cover_every_family_and_pattern():
    kinds = set()
    for sample in samples():
        for matrix in sample.description.model.lstm.matrices.values():
            kinds.add(
                (
                    matrix.structured.kind if matrix.structured else None,
                    matrix.sparse.pattern if matrix.sparse else None,
                    (matrix.structured or matrix.sparse).values,
                )
            )
    families, patterns = (None, "dense", "low_rank", "hybrid", "kronecker", "monarch"), (None, *PATTERNS)
    assert kinds == {
        (family, pattern, values)
        for family in families
        for pattern in patterns
        for values in ("float32", "int8", "int4")
        if family or pattern
    }
