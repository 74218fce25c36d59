"""Grouping and statistics, against plain loops over the same rows."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
from synthetic_results import study, trial, tuned, write

from analysis.results import SIZE_COLUMNS, AnalysisError, load
from analysis.section import Section
from analysis.stats.significance import compare
from analysis.summary import summarize

METHODS = [("pruned", 0.0), ("kp", 0.0), ("doped_kp", 0.0), ("doped_kp", 0.3)]


def sections_of(folder: Path, rows: list[dict[str, Any]]) -> list[Section]:
    return summarize(load(write(folder, rows)))


def section_of(folder: Path, rows: list[dict[str, Any]]) -> Section:
    (section,) = sections_of(folder, rows)
    return section


def test_means_deviations_and_losses_equal_a_plain_loop(tmp_path: Path):
    section = section_of(tmp_path, study([5, 20], METHODS, seeds=3))
    groups: dict[tuple[str, bool, float], dict[str, list[float]]] = {}
    with (tmp_path / "results.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            key = (line["method"], float(line["cmr"]) > 0, float(line["cf_requested"]))
            for name in ("validation", "test", "cf_values", "cf_bytes", "values", "bytes", "multiply_adds"):
                groups.setdefault(key, {}).setdefault(name, []).append(float(line[name]))

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    def sd(values: list[float]) -> float:
        return math.sqrt(sum((value - mean(values)) ** 2 for value in values) / (len(values) - 1))

    assert len(section.rows) == len(groups) == 9
    dense = groups["dense", False, 1.0]
    for row in section.rows:
        expected = groups[row.method, row.cmr, row.factor]
        assert row.n == 3
        for name in SIZE_COLUMNS:
            assert row.sizes[name] == pytest.approx(mean(expected[name]), rel=1e-12)
        for name, quality, loss in (
            ("validation", row.validation, row.validation_loss),
            ("test", row.test, row.test_loss),
        ):
            reference = mean(dense[name])
            losses = [100 * (value - reference) / reference for value in expected[name]]
            assert quality is not None
            assert loss is not None
            half = scipy.stats.t.interval(0.95, 2, 0, sd(expected[name]) / math.sqrt(3))[1]
            assert (quality.n, quality.interval) == (3, pytest.approx(half, rel=1e-9))
            assert (quality.mean, quality.sd) == pytest.approx((mean(expected[name]), sd(expected[name])), rel=1e-9)
            assert (loss.mean, loss.sd) == pytest.approx((mean(losses), sd(losses)), rel=1e-9, abs=1e-12)


def test_order_of_rows(tmp_path: Path):
    methods = [("doped_kp", 0.3), ("doped_kp", 0.0), ("kp", 0.0), ("doped_lmf", 0.3), ("lmf", 0.0), ("pruned", 0.0)]
    rows = study([20, 5], methods, seeds=1)
    section = section_of(tmp_path, rows[::-1])
    names = ["Pruned", "LMF", "KP", "Doped LMF + CMR", "Doped KP", "Doped KP + CMR"]
    expected = [(1, "Dense"), *((factor, name) for factor in (5, 20) for name in names)]
    assert [(row.factor, row.label) for row in section.rows] == expected


def test_best_is_the_lowest_mean_validation_at_its_factor_not_the_lowest_test(tmp_path: Path):
    rows = [trial("dense"), trial("pruned", 10, validation=2.0, test=2.2), trial("kp", 10, validation=2.1, test=2.1)]
    section = section_of(tmp_path, [*rows, trial("lmf", 20)])
    # LMF is alone at its factor: nothing to be better than.
    assert [row.label for row in section.rows if row.best] == ["Pruned"]


def test_one_seed_has_no_deviation(tmp_path: Path):
    section = section_of(tmp_path, [trial("dense"), trial("kp", 20)])
    for row in section.rows:
        for statistic in (row.validation, row.test, row.test_loss):
            assert statistic is not None
            assert statistic.sd is None
            assert statistic.interval is None


def test_diverged_and_failed_trials_are_counted_but_not_in_the_mean(tmp_path: Path):
    rows = [trial("dense"), trial("pruned", 10, 1), trial("kp", 10, 1, validation=1.9), trial("lmf", 10, 1)]
    rows += [trial("kp", 10, 2, status="diverged"), trial("kp", 10, 3, status="failed")]
    rows += [trial("hmd", 10, 1, status="failed", seconds="")]
    section = section_of(tmp_path, rows)
    by_label = {row.label: row for row in section.rows}
    kp = by_label["KP"]
    assert (kp.n, kp.count("diverged"), kp.count("failed"), len(kp.trials)) == (1, 1, 1, 3)
    assert kp.validation is not None
    assert kp.validation.mean == 1.9
    assert by_label["HMD"].validation is None
    # KP has the lowest mean of those that finished, but a seed of it diverged.
    assert [row.label for row in section.rows if row.best] == ["Pruned"]


def test_settings_that_differ_get_rows_with_a_label_of_what_differs(tmp_path: Path):
    rows = [trial("dense"), *(trial("doped_kp", factor, 1, 0.3) for factor in (10, 20))]
    rows += [trial("doped_kp", 20, seed, 0.3, method__annealing__length=0.3) for seed in (1, 2)]
    rows += [trial("doped_kp", 20, 1, 0.3, method__cmr__anneal=False), trial("pruned", 20)]
    section = section_of(tmp_path, rows)
    labels = [(row.factor, row.label, row.n) for row in section.rows if row.method == "doped_kp"]
    assert labels == [
        (10, "Doped KP + CMR, p annealed, annealing length 0.55", 1),
        (20, "Doped KP + CMR, p constant, annealing length 0.55", 1),
        (20, "Doped KP + CMR, p annealed, annealing length 0.3", 2),
        (20, "Doped KP + CMR, p annealed, annealing length 0.55", 1),
    ]
    assert [row.label for row in section.rows if row.method == "pruned"] == ["Pruned"]


def test_patterns_are_called_by_what_they_are(tmp_path: Path):
    rows = [trial("dense"), trial("pruned", 20), trial("kp", 20)]
    rows += [trial("pruned", 20, method__pattern=pattern) for pattern in ("gates", "rows")]
    labels = [row.label for row in section_of(tmp_path, rows).rows]
    assert labels == ["Dense", "Pruned, unstructured", "Pruned, 4-gate blocks", "Pruned, 8-row blocks", "KP"]


def test_a_setting_that_goes_with_the_factor_makes_no_label(tmp_path: Path):
    rows = [trial("dense"), trial("doped_kp", 10, 1, 0.1), trial("doped_kp", 20, 1, 0.3)]
    assert [row.label for row in section_of(tmp_path, rows).rows] == ["Dense", "Doped KP + CMR", "Doped KP + CMR"]


def test_several_dense_rows_and_the_best_is_the_reference(tmp_path: Path):
    rows = [trial("dense", validation=2.0, test=2.0, task__training__epochs=4)]
    rows += [trial("dense", validation=1.6, test=1.5, task__training__epochs=8), trial("kp", 20, test=1.8)]
    section = section_of(tmp_path, rows)
    assert [row.label for row in section.rows] == ["Dense, epochs 4", "Dense, epochs 8", "KP"]
    assert section.dense.label == "Dense, epochs 8"
    loss = section.rows[-1].test_loss
    assert loss is not None
    assert loss.mean == pytest.approx(20)


def test_other_models_and_other_data_are_other_sections(tmp_path: Path):
    rows = [trial(method, factor, task__model__hidden=hidden) for hidden in (64, 128) for method, factor in PAIR]
    rows += [trial(method, factor, data_hash="0123456789", task__model__hidden=64) for method, factor in PAIR]
    titles = [section.title for section in sections_of(tmp_path, rows)]
    assert titles == [
        "embedded-character (hidden 64, data syntheti)",
        "embedded-character (hidden 128, data syntheti)",
        "embedded-character (hidden 64, data 01234567)",
    ]


PAIR = [("dense", 1.0), ("kp", 20.0)]


def test_the_way_of_training_is_no_other_section(tmp_path: Path):
    rows = [trial("dense"), trial("kp", 20, task__training__learning_rate=0.01, task__model__dropout=0.5)]
    assert [row.label for row in section_of(tmp_path, rows).rows] == ["Dense", "KP"]


def test_ids_and_hashes_that_look_like_numbers_stay_text(tmp_path: Path):
    rows = [trial("dense", trial_id="12e456789012", data_hash="0001"), trial("kp", 20, data_hash="0001", commit="1e5")]
    results = load(write(tmp_path, rows))
    assert results.rows["trial_id"].iloc[0] == "12e456789012"
    assert set(results.rows["data_hash"]) == {"0001"}
    assert results.unfinished == 0


def test_curves_without_a_row_are_counted_whatever_study_is_asked_for(tmp_path: Path):
    rows = [trial("dense"), trial("dense", 1, 7, study="other")]
    write(tmp_path, rows, only_curves=[trial("kp", 20), trial("kp", 30)])
    assert load(tmp_path).unfinished == 2
    assert load(tmp_path, "other").unfinished == 2
    assert len(load(tmp_path, "other").rows) == 1


def test_settings_column_is_what_the_sweep_writes():
    settings = json.loads(trial("doped_kp", 20, 3, 0.3)["settings"])
    assert set(settings) == {"task", "method", "seed", "data_hash"}


def test_trials_of_tuning_are_no_part_of_the_means_but_counted_as_the_budget_of_their_cell(tmp_path: Path):
    rows = tuned(study([10, 20], METHODS, seeds=2), budget=3)
    section = section_of(tmp_path, [row for row in rows if row["cell"] != "kp 20x" or row["stage"] == "final"])
    assert {row.n for row in section.rows} == {2}
    assert {(row.label, row.factor): row.tuning for row in section.rows if row.tuning != 3} == {("KP", 20): 0}


def test_latency_and_file_size_are_means_of_what_was_measured(tmp_path: Path):
    rows = [trial("dense"), *(trial("kp", 20, seed, latency_us=50.0 + seed, bundle_bytes=9000) for seed in (1, 2))]
    dense, kp = section_of(tmp_path, rows).rows
    assert (kp.sizes["latency_us"], kp.sizes["bundle_bytes"]) == (51.5, 9000)
    assert math.isnan(dense.sizes["latency_us"])
    assert section_of(tmp_path, rows).measured("latency_us")
    assert not section_of(tmp_path / "without", rows[:1]).measured("latency_us")


def test_a_study_that_has_only_been_tuned_says_so(tmp_path: Path):
    rows = [row for row in tuned([trial("dense"), trial("kp", 20)], budget=2) if row["stage"] == "tuning"]
    with pytest.raises(AnalysisError, match="4 trials, all of them tuning"):
        sections_of(tmp_path, rows)


def test_what_was_searched_names_no_setting_and_keeps_none_apart(tmp_path: Path):
    rows = study([10, 20], [("pruned", 0.0), ("doped_kp", 0.0)], seeds=2)
    # Each cell came out of its tuning with a rate and a length of its own.
    found: dict[str, Any] = {"task__training__learning_rate": 0.0033, "method__annealing__length": 0.41}
    rows += [trial("doped_kp", factor, seed, 0.3, **found) for factor in (10, 20) for seed in (1, 2)]
    tried = [trial("doped_kp", 20, 100, 0.3, **found | {"method__annealing__length": length}) for length in (0.3, 0.5)]
    tried += [trial("pruned", 20, 100, task__training__learning_rate=rate) for rate in (0.1, 0.2)]
    for row in tried:
        row |= {"stage": "tuning", "cell": f"{row['method']} {bool(row['cmr'])}"}
    section = section_of(tmp_path, [*tried, *rows])
    assert [row.label for row in section.rows if row.factor == 20] == ["Pruned", "Doped KP", "Doped KP + CMR"]
    by_label = {row.label: of for row, of in zip(section.rows, compare(section), strict=True) if row.factor == 20}
    # So it has a counterpart without CMR, however that was tuned.
    assert by_label["Doped KP + CMR"]["without_cmr"].reference.label == "Doped KP"


def test_cells_that_differ_only_in_what_was_searched_go_by_their_names(tmp_path: Path):
    rows = [trial("dense")]
    for length in (0.3, 0.55):
        cell = f"doped_kp 20x, annealing.length={length}"
        rows += [trial("doped_kp", 20, seed, cell=cell, method__annealing__length=length) for seed in (1, 2)]
        tried = {"cell": cell, "stage": "tuning"}
        rows += [trial("doped_kp", 20, 100, **tried, method__annealing__length=length + more) for more in (0, 0.1)]
    labels = [(row.label, row.n) for row in section_of(tmp_path, rows).rows]
    assert labels == [
        ("Dense", 1),
        ("Doped KP, annealing.length=0.3", 2),
        ("Doped KP, annealing.length=0.55", 2),
    ]
