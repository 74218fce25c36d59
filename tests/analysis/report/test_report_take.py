"""What the report says to take: chosen by validation, within sizes as deployed, each with a command that exports it."""

from pathlib import Path
from typing import Any

import pytest
import synthetic_results
from synthetic_results import trial, write

from analysis.report.take import Candidate, best_in, takes
from analysis.results import load
from analysis.summary import summarize

NARROW = ("bytes_int8", "model_bytes_int8", "validation_int8", "test_int8")
NARROWER = tuple(name.replace("int8", "int4") for name in NARROW)


def deployed(method: str, factor: float, validation: float, size: int, seed: int = 1, **columns: Any) -> dict[str, Any]:
    """A row whose model has ``size`` bytes in float32 and a quarter of them in int8, at 1.001 times the validation."""
    row = trial(
        method, factor, seed, validation=validation, test=validation + 0.1, deployed_bytes=size // 2, model_bytes=size
    )
    narrow = (size // 8, size // 4, 1.001 * validation, 1.001 * validation + 0.1)
    return row | dict(zip(NARROW, narrow, strict=True)) | columns


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Answers by question of these rows of results."""
    monkeypatch.setattr(synthetic_results, "OPTIONAL", [*synthetic_results.OPTIONAL, *NARROW, *NARROWER])

    def answers(rows: list[dict[str, Any]]) -> dict[str, Any]:
        (section,) = summarize(load(write(tmp_path, rows)))
        return {take.question: take for take in takes(section)}

    return answers


def test_the_best_in_each_size_that_changes_the_answer(said, tmp_path: Path):
    kp = deployed("kp", 20, 2.2, 30_000)
    found = said([deployed("dense", 1, 2.0, 400_000), deployed("pruned", 5, 2.1, 100_000), kp])
    assert list(found)[:5] == [
        "Best in 8 kB",
        "Best in 32 kB",
        "Best in 128 kB",
        "Best in 512 kB",
        "Smallest within 1 % of Dense",
    ]
    small = found["Best in 8 kB"]
    assert small.answer == (
        "KP at 20×, rounded to int8: 2.302 bits per character on test (+9.6 % against Dense); "
        "7.50 kB, all weights as deployed (1 seed)."
    )
    assert small.command == (
        f"python -m sweeps.export --from {tmp_path}/trials/{kp['trial_id']} --out model.lstm --values int8"
    )
    assert "not in this folder" in small.note
    assert found["Best in 512 kB"].answer.startswith("Dense: 2.100 bits per character on test; 400 kB")


def test_the_command_names_the_best_seed_whose_model_is_there(said, tmp_path: Path):
    seeds = [deployed("kp", 20, 2.0 + seed / 100, 30_000, seed) for seed in (1, 2, 3)]
    for row in seeds[1:]:
        (tmp_path / "trials" / row["trial_id"]).mkdir(parents=True)
        (tmp_path / "trials" / row["trial_id"] / "model.ckpt").touch()
    take = said([deployed("dense", 1, 2.0, 400_000), *seeds])["Best in 8 kB"]
    assert f"/{seeds[1]['trial_id']} " in take.command
    assert take.note == ""


def test_the_fastest_that_is_nearly_as_good_as_dense(said):
    rows = [deployed("dense", 1, 2.0, 400_000, latency_us=50.0), deployed("pruned", 5, 2.01, 90_000, latency_us=20.0)]
    found = said([*rows, deployed("kp", 20, 2.3, 30_000, latency_us=5.0)])
    assert found["Fastest within 1 % of Dense"].answer.startswith("Pruned at 5×: 2.110")
    assert "20.0 µs a time step" in found["Fastest within 1 % of Dense"].answer
    assert found["Smallest within 1 % of Dense"].answer.startswith("Pruned at 5×, rounded to int8")


def test_without_a_latency_the_command_that_measures_it(said, tmp_path: Path):
    found = said([deployed("dense", 1, 2.0, 400_000), deployed("kp", 20, 2.01, 30_000)])
    assert found["Fastest within 1 % of Dense"].command == f"python -m sweeps.measure --results {tmp_path}"


def test_without_dense_and_for_a_metric_below_zero_sizes_alone_are_answered(said):
    assert list(said([deployed("kp", 20, 2.0, 30_000)])) == ["Best in 8 kB", "Best in 32 kB"]
    found = said([deployed("dense", 1, -1.0, 64_000), deployed("kp", 20, -0.5, 30_000)])
    assert all(question.startswith("Best in") for question in found)
    answer = found["Best in 8 kB"].answer
    assert "against Dense)" in answer
    assert "%" not in answer


def test_a_setting_that_diverges_is_not_recommended(said):
    rows = [deployed("dense", 1, 2.0, 400_000), deployed("kp", 20, 1.0, 30_000)]
    found = said(
        [*rows, deployed("kp", 20, 2.0, 30_000, seed=2) | {"status": "diverged", "validation": "inf", "test": "inf"}]
    )
    assert all(
        take.answer.startswith("Dense") or not take.command.startswith("python -m sweeps.export") for take in found.values()
    )


def test_results_of_old_rows_say_what_their_bytes_count(said):
    take = said([trial("dense"), trial("kp", 20)])["Best in 32 kB"]
    assert "the LSTM's weight matrices and indices alone" in take.answer


def test_rounding_to_int4_is_recommended_where_its_bytes_are_worth_it(said):
    narrow = dict(zip(NARROWER, (2_000, 4_000, 2.01, 2.1), strict=True))
    found = said([deployed("kp", 20, 2.0, 30_000) | narrow])["Best in 4 kB"]
    assert found.answer.startswith("KP at 20×, rounded to int4: 2.100")
    assert found.command.endswith("--out model.lstm --values int4")


def test_what_was_trained_in_int4_is_exported_as_it_is(said):
    rows = [
        deployed("pruned", 20, 2.0, 30_000)
        | trial("pruned", 20, method__values="int4", model_bytes=30_000, deployed_bytes=9_000)
    ]
    assert all(take.command.endswith("--out model.lstm") for take in said(rows).values())


@pytest.mark.parametrize(
    ("sizes", "expected"), [([900], [1000]), ([1000, 1001], [1000, 2000]), ([5000, 4000], [4000, 8000])]
)
def test_sizes_are_powers_of_two_kilobytes(sizes: list[int], expected: list[float]):
    candidates = [Candidate(None, "", size, 1 / size, 0.0) for size in sizes]  # type: ignore[arg-type]
    assert [budget for budget, _ in best_in(candidates)] == expected
