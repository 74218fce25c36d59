"""Damaged and malicious bundles do no harm: a short run of what ``python -m benchmarks.bundle_fuzz`` does at length."""

import pytest

from benchmarks.bundle_fuzz import command as fuzz_command
from benchmarks.bundle_fuzz.cases import altered, samples
from doping.inference.bundle import file as bundle


def test_altered_bundles_are_refused_or_computed_rightly():
    outcomes = fuzz_command.fuzz(1500)
    assert sum(outcomes.values()) > 1400
    refused = {outcome for outcome in outcomes if outcome.startswith("refused")}
    assert len(refused) > 8, "the alterations do not reach all checks"
    assert outcomes["loaded and run; outputs agree with the reference"] > 50


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


def test_the_command_reports(capsys):
    assert fuzz_command.main(["--count", "40", "--seed", "7"]) == 0
    assert "altered bundles, seeds 7 to 46, none did harm:" in capsys.readouterr().out
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
    families, patterns = (None, "dense", "low_rank", "hybrid", "kronecker"), (None, "unstructured", "rows", "gates")
    assert kinds == {
        (family, pattern, values)
        for family in families
        for pattern in patterns
        for values in ("float32", "int8")
        if family or pattern
    }
