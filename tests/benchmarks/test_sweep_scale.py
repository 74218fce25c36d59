import pytest

from benchmarks.sweep_scale import COLUMNS, simulate


def test_a_small_sweep_is_simulated_whole_and_its_time_is_split_into_parts():
    row = simulate(trials=30, slots=10, storage=None)
    assert set(row) == set(COLUMNS)
    counted = sum(row[f"{part}_ms"] for part in ("storage", "rows", "tables", "display", "schedule"))
    assert counted * 30 / 1000 == pytest.approx(row["seconds"], abs=0.06)
