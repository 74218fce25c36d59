import pytest
from hypothesis import given
from hypothesis import strategies as st

from doping.training.schedules import annealed_probability, cooled_rate, cubic_sparsity, decayed_rate


def test_the_cubic_schedule_of_zhu_and_gupta_by_hand():
    sparsity = [cubic_sparsity(t, final=0.9, initial=0.1, start=100, length=200) for t in (0, 100, 150, 200, 300, 999)]
    by_hand = [0.1, 0.1, 0.9 - 0.8 * 0.75**3, 0.9 - 0.8 * 0.5**3, 0.9, 0.9]
    assert sparsity == pytest.approx(by_hand)


def test_between_two_prunings_it_stands_still():
    values = [cubic_sparsity(t, final=0.9, start=10, length=35, interval=10) for t in range(60)]
    changes = [t for t in range(1, 60) if values[t] != values[t - 1]]
    assert changes == [20, 30, 40, 45]  # the end is reached on time, though 35 is no multiple of 10


@given(
    step=st.integers(0, 2000),
    start=st.integers(0, 500),
    length=st.integers(1, 1000),
    final=st.floats(0, 1),
    exponent=st.floats(0.5, 6),
    interval=st.integers(1, 50),
)
def test_it_never_falls_and_stays_in_its_bounds(step, start, length, final, exponent, interval):
    def sparsity(t):
        return cubic_sparsity(t, final=final, start=start, length=length, exponent=exponent, interval=interval)

    assert 0 <= sparsity(step) <= sparsity(step + 1) + 1e-12
    assert sparsity(step) <= final
    assert sparsity(start + length) == final


def test_row_dropout_falls_with_the_progress_of_pruning():
    assert [annealed_probability(0.4, progress) for progress in (0, 0.5, 1)] == pytest.approx([0.4, 0.2, 0])


def test_zarembas_medium_rate_is_divided_by_1_2_from_the_seventh_epoch_on():
    rates = [decayed_rate(epoch, decay=1.2, decay_after=6) for epoch in range(9)]
    assert rates == pytest.approx([1] * 6 + [1 / 1.2, 1 / 1.2**2, 1 / 1.2**3])


def test_cooldown_is_linear_to_zero_at_the_end():
    rates = [cooled_rate(step, total=100, cooldown=0.4) for step in (0, 60, 80, 100)]
    assert rates == pytest.approx([1, 1, 0.5, 0])
    assert cooled_rate(99, total=100, cooldown=0.0) == 1
