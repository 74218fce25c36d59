import pytest

from benchmarks.step_time import BASELINE, measure


@pytest.mark.exhaustive(keep=["nn.LSTM"])
@pytest.mark.parametrize("name", [BASELINE, "doped_kp"])
def test_a_step_is_timed_as_often_as_asked(name):
    measured = measure(name, factor=20, repetitions=1)
    assert len(measured["seconds"]) == 1
    assert 0.001 < measured["seconds"][0] < 60
    assert measured["peak_mb"] > 100  # the weights and gradients alone take more
