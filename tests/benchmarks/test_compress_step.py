import pytest

from benchmarks.compress_step import measure


@pytest.mark.exhaustive
def test_the_methods_take_turns_and_two_steps_are_not_counted():
    seconds = measure(["nn.LSTM", "kp"], factor=20, repetitions=1)
    assert [len(measured) for measured in seconds.values()] == [1, 1]
    assert all(0.001 < measured[0] < 60 for measured in seconds.values())
