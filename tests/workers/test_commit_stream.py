from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.wire.entries import Entry, EntryKind
from oarlock.workers.commit_stream import FETCH_RETRY_S, CommitStream


def entries(first: int, last: int) -> list[Entry]:
    return [Entry(index, 1, EntryKind.BATCH, 1, index, b"") for index in range(first, last + 1)]


@pytest.fixture
def stream() -> CommitStream:
    return CommitStream(applied_index=4)


def test_what_comes_next_is_handed_out(stream: CommitStream) -> None:
    assert stream.arrived(6, entries(5, 6)) == entries(5, 6)
    assert stream.arrived(7, entries(7, 7)) == entries(7, 7)


def test_what_was_handed_out_already_is_left_out(stream: CommitStream) -> None:
    assert stream.arrived(6, entries(3, 6)) == entries(5, 6)
    assert not stream.arrived(6, entries(3, 6))


def test_a_gap_is_fetched_once_until_it_is_answered(stream: CommitStream) -> None:
    assert not stream.arrived(9, entries(8, 9))
    assert stream.fetch_due(0.0) == 5
    assert stream.fetch_due(0.5) is None
    assert stream.fetch_due(FETCH_RETRY_S) == 5
    stream.fetched()
    assert stream.arrived(9, entries(5, 8)) == entries(5, 8)
    assert stream.fetch_due(2.0) == 9


def test_a_heartbeat_tells_of_a_lost_last_message(stream: CommitStream) -> None:
    assert not stream.arrived(5, ())
    assert stream.fetch_due(0.0) == 5


def test_nothing_is_fetched_when_nothing_is_missing(stream: CommitStream) -> None:
    stream.arrived(5, entries(5, 5))
    assert stream.fetch_due(0.0) is None


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 6)), max_size=60))
def test_whatever_arrives_comes_out_in_order_and_once(messages: list[tuple[int, int]]) -> None:
    stream = CommitStream(applied_index=0)
    out: list[int] = []
    for first, count in messages:
        last = first + count - 1
        out += [entry.index for entry in stream.arrived(max(last, 0), entries(first, last))]
    assert out == list(range(1, len(out) + 1))
    assert stream.next_index == len(out) + 1


def test_nothing_is_caught_up_with_before_it_is_known_how_far_the_log_is_committed(stream: CommitStream) -> None:
    assert not stream.has_caught_up
    stream.arrived(5, ())
    assert not stream.has_caught_up
    stream.arrived(5, entries(5, 5))
    assert stream.has_caught_up
    stream.restart(5)
    assert not stream.has_caught_up
