from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.wire.channel import Channel, ChannelClosedError
from oarlock.wire.errors import ProtocolError
from oarlock.wire.frames import MAX_FRAME_BYTES, pack

Pair = tuple[Channel, Channel]


@contextlib.contextmanager
def connected() -> Iterator[Pair]:
    left, right = (Channel(each) for each in socket.socketpair())
    try:
        yield left, right
    finally:
        left.close()
        right.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with connected() as both:
        yield both


def receive_all(sender: Channel, receiver: Channel, count: int) -> list[Any]:
    got: list[Any] = []
    while len(got) < count:
        sender.flush()
        got += receiver.receive()
    return got


def test_messages_arrive_in_order(pair: Pair) -> None:
    left, right = pair
    sent = [[number, b"x" * number] for number in range(50)]
    assert all(left.send(message) for message in sent)
    assert right.receive() == sent
    assert right.receive() == []


def test_a_knock_is_no_message(pair: Pair) -> None:
    left, right = pair
    assert left.knock()
    assert left.waiting_bytes == 0
    assert left.send([1])
    assert right.receive() == [[1]]
    assert right.take_knock()
    assert not right.take_knock()


def test_nothing_is_knocked_past_what_waits(pair: Pair) -> None:
    left, right = pair
    assert not left.send(b"a" * (8 << 20))
    assert not left.knock()
    assert len(receive_all(left, right, 1)) == 1
    assert not right.take_knock()


def test_a_knock_at_a_closed_channel_is_noticed(pair: Pair) -> None:
    left, right = pair
    right.close()
    with pytest.raises(ChannelClosedError):
        left.knock()


@pytest.mark.parametrize("size", [1 << 18, (1 << 18) - 5, 3 << 20])
def test_messages_longer_than_any_buffer_arrive_whole(pair: Pair, size: int) -> None:
    left, right = pair
    sent = [b"a" * size, b"b", b"c" * size, b"d"]
    for message in sent:
        left.send(message)
    assert receive_all(left, right, len(sent)) == sent
    assert left.waiting_bytes == 0


def test_what_the_other_end_does_not_take_waits_and_is_counted(pair: Pair) -> None:
    left, right = pair
    while left.send(b"x" * 10_000):
        pass
    waiting = left.waiting_bytes
    assert waiting > 0
    assert not left.send(b"last")
    assert left.waiting_bytes > waiting
    got: list[Any] = []
    while b"last" not in got:
        left.flush()
        got += right.receive()
    assert left.waiting_bytes == 0


def test_a_closed_end_is_told_after_its_last_message(pair: Pair) -> None:
    left, right = pair
    left.send(1)
    left.close()
    assert right.receive() == [1]
    with pytest.raises(ChannelClosedError):
        right.receive()
    with pytest.raises(ChannelClosedError):
        right.send(b"x" * 100)


def test_a_frame_that_is_too_long_is_refused() -> None:
    raw, other = socket.socketpair()
    with contextlib.closing(raw), contextlib.closing(Channel(other)) as channel:
        raw.send((MAX_FRAME_BYTES + 1).to_bytes(4, "little"))
        with pytest.raises(ProtocolError):
            channel.receive()


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=10), st.lists(st.integers(1, 30), max_size=20))
def test_frames_cut_anywhere_arrive_whole(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(len(body).to_bytes(4, "little") + body for body in map(pack, messages))
    raw, other = socket.socketpair()
    with contextlib.closing(raw), contextlib.closing(Channel(other)) as channel:
        got: list[Any] = []
        for cut in [*cuts, len(stream)]:
            raw.send(stream[:cut]) if stream else None
            stream = stream[cut:]
            got += channel.receive()
        assert got == messages


@given(st.binary(min_size=1, max_size=60))
def test_rubbish_is_an_error_of_ours_or_waits_for_more(rubbish: bytes) -> None:
    raw, other = socket.socketpair()
    with contextlib.closing(raw), contextlib.closing(Channel(other)) as channel:
        raw.send(rubbish)
        with contextlib.suppress(ProtocolError):
            channel.receive()
