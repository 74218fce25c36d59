import pytest

from benchmarks.sweep_scaling import ONE_STEP, seconds_a_trial


@pytest.mark.exhaustive
def test_a_sweep_is_timed_without_its_start():
    """Trials of a single step: what is left is overhead, not the seconds of the imports."""
    assert 0.01 < seconds_a_trial(ONE_STEP, workers=1, trials=3, wandb="off", cores=1) < 10
