import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.text.batches import StreamBatches
from doping.errors import DataError


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, int, int]:
    """Tokens, lanes and length, the stream being long enough for one time step."""
    lanes = draw(st.integers(1, 7))
    return draw(st.integers(lanes + 1, 200)), lanes, draw(st.integers(1, 50))


@given(streams())
def test_lanes_joined_are_the_stream(case: tuple[int, int, int]) -> None:
    size, lanes, length = case
    batches = list(StreamBatches(torch.arange(size), lanes, length))
    tokens_TB = torch.cat([batch.tokens_TB for batch in batches])
    targets_TB = torch.cat([batch.targets_TB for batch in batches])
    used = size - 1 - (size - 1) % lanes
    assert tokens_TB.t().flatten().tolist() == list(range(used))
    assert targets_TB.t().flatten().tolist() == list(range(1, used + 1))


@given(streams())
def test_batches_are_of_one_length_but_for_the_last(case: tuple[int, int, int]) -> None:
    size, lanes, length = case
    loader = StreamBatches(torch.arange(size), lanes, length)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert [batch.starts for batch in batches] == [True] + [False] * (len(batches) - 1)
    assert all(batch.tokens_TB.shape == batch.targets_TB.shape == (length, lanes) for batch in batches[:-1])
    assert 1 <= len(batches[-1].tokens_TB) <= length


@given(st.integers(2, 300), st.integers(1, 400))
def test_one_lane_predicts_every_token_but_the_first_once(size: int, length: int) -> None:
    targets = [batch.targets_TB for batch in StreamBatches(torch.arange(size), 1, length)]
    assert torch.cat(targets).flatten().tolist() == list(range(1, size))


@given(streams(), st.data())
def test_a_state_is_resumed_at_the_next_batch(case: tuple[int, int, int], data: st.DataObject) -> None:
    size, lanes, length = case
    loader = StreamBatches(torch.arange(size), lanes, length)
    stop = data.draw(st.integers(0, len(loader)))
    iterator = iter(loader)
    for _ in range(stop):
        next(iterator)
    resumed = StreamBatches(torch.arange(size), lanes, length)
    resumed.load_state_dict(loader.state_dict())
    assert resumed.state_dict() == loader.state_dict()
    iter(resumed)  # without asking for a batch, as Lightning does
    expected = list(loader)
    expected = expected if stop == len(loader) else expected[stop:]
    got = list(resumed)
    assert [batch.tokens_TB.tolist() for batch in got] == [batch.tokens_TB.tolist() for batch in expected]
    assert [batch.starts for batch in got] == [batch.starts for batch in expected]
    assert len(list(resumed)) == len(loader)  # the epoch after is whole again


@pytest.mark.parametrize(
    ("size", "lanes", "length", "processes"), [(150, 2, 7, 3), (61, 4, 5, 2), (40, 1, 100, 2), (9, 2, 1, 4)]
)
def test_several_processes_read_lanes_side_by_side(
    size: int, lanes: int, length: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its own lanes of the stream cut into as many for each; what is not shared is the same for all."""
    whole = list(StreamBatches(torch.arange(size), processes * lanes, length))
    alone = list(StreamBatches(torch.arange(size), lanes, length))
    parts = []
    for rank in range(processes):
        monkeypatch.setattr("data.text.batches.place", lambda rank=rank: (rank, processes))
        parts.append(list(StreamBatches(torch.arange(size), lanes, length, shared=True)))
        not_shared = list(StreamBatches(torch.arange(size), lanes, length))
        assert [batch.tokens_TB.tolist() for batch in not_shared] == [batch.tokens_TB.tolist() for batch in alone]
    for expected, *read in zip(whole, *parts, strict=True):
        assert torch.equal(torch.cat([batch.tokens_TB for batch in read], dim=1), expected.tokens_TB)
        assert torch.equal(torch.cat([batch.targets_TB for batch in read], dim=1), expected.targets_TB)


def test_an_iteration_that_was_left_is_started_anew() -> None:
    loader = StreamBatches(torch.arange(30), 1, 5)
    next(iter(loader))
    assert next(iter(loader)).starts


@pytest.mark.parametrize(("size", "lanes", "length"), [(31, 2, 5), (30, 3, 5), (30, 2, 4)])
def test_the_state_of_another_stream_is_refused(size: int, lanes: int, length: int) -> None:
    state = StreamBatches(torch.arange(30), 2, 5).state_dict()
    with pytest.raises(DataError, match=r"the checkpoint is of a data stream with .*'steps': 14.*; resume with"):
        StreamBatches(torch.arange(size), lanes, length).load_state_dict(state)
