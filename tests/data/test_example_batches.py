"""Batches of separate examples: each once an epoch, another order in each, and resumable in mid-epoch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import DataError
from data.example_batches import ExampleBatches


def batches(examples: int = 10, size: int = 3, seed: int | None = 5) -> ExampleBatches[int, list[int]]:
    return ExampleBatches(range(examples), size, list, shuffle_seed=seed)


@given(examples=st.integers(1, 40), size=st.integers(1, 9), seed=st.none() | st.integers(0, 3))
def test_an_epoch_has_every_example_once(examples: int, size: int, seed: int | None) -> None:
    epoch = list(batches(examples, size, seed))
    assert sorted(example for batch in epoch for example in batch) == list(range(examples))
    assert len(epoch) == len(batches(examples, size, seed))
    assert {len(batch) for batch in epoch[:-1]} <= {size}


def test_every_epoch_has_an_order_of_its_own_which_follows_from_the_seed() -> None:
    one, same, other = batches(), batches(), batches(seed=6)
    first, second = list(one), list(one)
    assert first != second
    assert [list(same), list(same)] == [first, second]
    assert list(other) != first


def test_without_a_seed_the_order_is_that_of_the_examples() -> None:
    ordered = batches(5, 2, None)
    assert list(ordered) == list(ordered) == [[0, 1], [2, 3], [4]]


@given(stop=st.integers(0, 11))
def test_an_iteration_goes_on_where_the_state_was_taken(stop: int) -> None:
    whole = batches()
    expected = [batch for _ in range(3) for batch in whole]
    first = batches()
    given_out: list[list[int]] = []
    while len(given_out) < stop:
        for batch in first:
            given_out.append(batch)
            if len(given_out) == stop:
                break
    resumed = batches()
    resumed.load_state_dict(first.state_dict())
    rest = list(resumed)
    while len(given_out) + len(rest) < len(expected):
        rest += list(resumed)
    assert given_out + rest == expected


def test_a_state_of_other_examples_is_refused() -> None:
    with pytest.raises(DataError, match="resume with the data and the batch_size"):
        batches().load_state_dict(batches(11).state_dict())
