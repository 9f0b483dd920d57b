"""Long answers leave in parts, in turns with others, and keep nobody waiting."""

from __future__ import annotations

import itertools
from typing import Final

import pytest

from oarlock.gateway.grpc.messages import framed
from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.http2.frames import DATA, END_STREAM, HEADERS, SETTINGS, frame, settings_frame, window_update_frame
from oarlock.gateway.http2.limits import Limits
from oarlock.gateway.service import Exchange
from oarlock.workers.etcd_door import EtcdDoor
from oarlock.workers.long_answers import LONG_BYTES, PART_BYTES
from tests.gateway.wire import PLAIN, PREFACE, Client, data, frames_in

from .grpc_door import connect, grpc_door

LONG: Final = bytes(range(256)) * (5 * PART_BYTES // 256)
MEDIUM: Final = bytes(20_000)
"""More than a frame."""
WIDE: Final = (1 << 31) - 1
INITIAL_WINDOW: Final = 4
AT_ONCE: Final = Limits().unsent_bytes
"""Written at once when an answer is given, and more than a part by as much at most."""


def answer(exchange: Exchange, message: bytes) -> None:
    exchange.reply(LONG if message == b"long" else message)


def begin(exchange: Exchange) -> None:
    """A stream that ends once its first message has left."""
    exchange.on_drained = exchange.finish
    exchange.send(MEDIUM)


@pytest.fixture
def door() -> EtcdDoor:
    return grpc_door(
        [
            Method("/a.B/Call", handler=answer),
            Method("/a.B/Stream", takes_stream=True, returns_stream=True, handler=begin),
        ]
    )


class Caller:
    """A client that takes as much as is sent, unless its window says otherwise."""

    def __init__(self, door: EtcdDoor, window: int = WIDE) -> None:
        self.peer, self.transport = connect(door)
        greeting = PREFACE + settings_frame({INITIAL_WINDOW: window}) + frame(SETTINGS, 1, 0)
        self.peer.data_received(greeting + window_update_frame(0, WIDE - 65_535))
        self._encoder = Client()
        self._calls = 0

    def ask(self, message: bytes, method: str = "Call") -> None:
        """Asks for an answer; what there is of it at once is written."""
        stream = 2 * self._calls + 1
        self._calls += 1
        fields = [(name, f"/a.B/{method}" if name == ":path" else value) for name, value in PLAIN]
        headers = self._encoder.headers(stream, [*fields, ("content-type", "application/grpc"), ("te", "trailers")])
        self.peer.data_received(headers + data(stream, framed(message), end=True))
        self.peer.flush()

    def body(self, stream: int) -> bytes:
        """The data of a stream so far."""
        seen = frames_in(self.transport.output)
        return b"".join(each.payload for each in seen if each.kind == DATA and each.stream_id == stream)

    def has_ended(self, stream: int) -> bool:
        """Whether its trailers have come."""
        seen = frames_in(self.transport.output)
        return any(each.kind == HEADERS and each.flags & END_STREAM and each.stream_id == stream for each in seen)


def test_a_long_answer_leaves_in_parts_and_whole(door: EtcdDoor) -> None:
    caller = Caller(door)
    caller.ask(b"long")
    sizes = [len(caller.transport.output)]
    while door.long_answers.under_way:
        door.long_answers.run_slice()
        sizes.append(len(caller.transport.output))
    parts = [later - earlier for earlier, later in itertools.pairwise(sizes)]
    assert sizes[0] <= 2 * AT_ONCE
    assert len(parts) >= 3
    assert max(parts[:-1]) <= PART_BYTES + 2 * AT_ONCE
    assert parts[-1] <= PART_BYTES + LONG_BYTES + 2 * AT_ONCE  # the last takes what is not long any more with it
    assert caller.body(1) == framed(LONG)
    assert caller.has_ended(1)


def test_a_short_answer_does_not_wait_for_a_long_one_nor_hurries_it(door: EtcdDoor) -> None:
    caller = Caller(door)
    caller.ask(b"long")
    before = len(caller.body(1))
    caller.ask(b"short")
    assert caller.body(3) == framed(b"short")
    assert caller.has_ended(3)
    assert len(caller.body(1)) == before


def test_connections_take_turns(door: EtcdDoor) -> None:
    callers = [Caller(door), Caller(door)]
    for caller in callers:
        caller.ask(b"long")
    before = [len(caller.body(1)) for caller in callers]
    door.long_answers.run_slice()
    door.long_answers.run_slice()
    assert all(len(caller.body(1)) > size for caller, size in zip(callers, before, strict=True))


def test_who_does_not_take_more_is_not_in_line(door: EtcdDoor) -> None:
    caller = Caller(door)
    caller.ask(b"long")
    caller.peer.pause_writing()
    door.long_answers.run_slice()
    assert not door.long_answers.under_way
    caller.peer.resume_writing()
    caller.peer.flush()
    assert door.long_answers.under_way


def test_who_has_no_window_is_not_in_line(door: EtcdDoor) -> None:
    caller = Caller(door, window=65_535)
    caller.ask(b"long")
    assert not door.long_answers.under_way
    caller.peer.data_received(window_update_frame(1, WIDE - 65_535))
    caller.peer.flush()
    assert door.long_answers.under_way


def test_who_is_gone_is_not_in_line(door: EtcdDoor) -> None:
    caller = Caller(door)
    caller.ask(b"long")
    assert door.long_answers.under_way
    caller.peer.connection_lost(None)
    assert not door.long_answers.under_way


def test_a_stream_goes_on_beside_a_long_answer_that_nobody_reads(door: EtcdDoor) -> None:
    caller = Caller(door, window=65_535)
    caller.ask(b"long")
    caller.ask(b"", method="Stream")
    assert caller.body(3) == framed(MEDIUM)
    caller.peer.flush()
    assert caller.has_ended(3)
    assert not door.long_answers.under_way
