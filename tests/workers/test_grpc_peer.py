"""Calls and connections of gRPC clients leave nothing behind, not even garbage that refers to itself."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from oarlock.gateway.grpc.calls import Call
from oarlock.gateway.grpc.messages import framed
from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.grpc.status import Status
from oarlock.gateway.http2.connection import Connection
from oarlock.gateway.http2.frames import DATA, HEADERS, PING, RST_STREAM, ErrorCode, frame
from oarlock.gateway.http2.streams import Stream
from oarlock.gateway.service import Exchange
from oarlock.wire.errors import Code
from oarlock.workers.grpc_peer import GrpcExchange, GrpcPeer
from tests.gateway.wire import GREETING, PLAIN, Client, data, frames_in, u32

from .grpc_door import connect, grpc_door


class Answer:
    """A service's end of a call, which the call's callbacks refer to, and which refers to the call."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        exchange.on_message = self._take
        exchange.on_requests_ended = exchange.finish
        exchange.on_ended = self._end
        exchange.on_drained = exchange.finish

    def _take(self, message: bytes) -> None:
        if message == b"fail":
            self._exchange.finish(Status(Code.INTERNAL, "no"))
        else:
            self._exchange.send(message)

    def _end(self, status: Status) -> None:
        self._exchange.send(b"not heard any more")


def reply(exchange: Exchange, message: bytes) -> None:
    exchange.on_ended = lambda status: exchange.finish(status)  # refers to the exchange, as a service does
    exchange.reply(message)


class Caller:
    """A client with one call."""

    def __init__(self, method: str) -> None:
        self.waiting = waiting = list[Exchange]()
        methods = (
            Method("/a.B/Unary", handler=reply),
            Method("/a.B/Later", handler=lambda exchange, _: waiting.append(exchange)),
            Method("/a.B/Both", takes_stream=True, returns_stream=True, handler=Answer),
        )
        self.peer, self.transport = connect(grpc_door(methods))
        self.peer.data_received(GREETING)
        fields = [(name, f"/a.B/{method}" if name == ":path" else value) for name, value in PLAIN]
        grpc = [*fields, ("content-type", "application/grpc"), ("te", "trailers")]
        self.peer.data_received(Client().headers(1, grpc))

    def say(self, message: bytes, *, end: bool = False) -> None:
        self.peer.data_received(data(1, framed(message), end=end))
        self.peer.flush()


CALLS = (GrpcExchange, Call, Stream, Answer)
Count = Callable[..., int]


@pytest.fixture
def alive() -> Iterator[Count]:
    """Counts the objects of some kinds that were made since, and not freed; nothing is collected meanwhile."""
    gc.collect()
    gc.disable()
    known = set(map(id, gc.get_objects()))

    def count(*kinds: type) -> int:
        return sum(isinstance(each, kinds) and id(each) not in known for each in gc.get_objects())

    yield count
    gc.enable()


def test_a_call_that_was_answered_is_freed(alive: Count) -> None:
    caller = Caller("Unary")
    caller.say(b"hello", end=True)
    assert b"hello" in caller.transport.output
    assert alive(*CALLS) == 0


@pytest.mark.parametrize("message", [b"fail", b"hello"])
def test_a_stream_that_the_service_ended_is_freed(message: bytes, alive: Count) -> None:
    caller = Caller("Both")
    caller.say(message)
    caller.say(b"", end=True)
    assert alive(*CALLS) == 0


def test_a_stream_that_the_client_cancelled_is_freed(alive: Count) -> None:
    caller = Caller("Both")
    caller.say(b"hello")
    assert alive(GrpcExchange) == 1
    caller.peer.data_received(frame(RST_STREAM, 0, 1, u32(ErrorCode.CANCEL)))
    assert alive(*CALLS) == 0


@pytest.mark.parametrize("method", ["Unary", "Both"])
def test_a_connection_that_is_lost_is_freed_with_its_calls(method: str, alive: Count) -> None:
    caller = Caller(method)
    caller.peer.flush()
    door = caller.peer.door
    caller.peer.connection_lost(None)
    door.flush()
    del caller
    assert alive(*CALLS, GrpcPeer, Connection) == 0


def test_what_comes_in_one_turn_after_the_end_of_a_call_is_not_heard() -> None:
    caller = Caller("Both")
    caller.peer.data_received(data(1, framed(b"fail") + framed(b"hello")))
    caller.peer.flush()
    assert b"hello" not in caller.transport.output


def kinds(output: bytes) -> list[int]:
    return [seen.kind for seen in frames_in(output)]


def test_a_ping_that_comes_with_a_request_is_answered_in_one_write_with_it() -> None:
    caller = Caller("Later")
    caller.peer.flush()
    caller.transport.writes.clear()
    caller.peer.data_received(data(1, framed(b"hello"), end=True) + frame(PING, 0, 0, bytes(8)))
    assert (caller.transport.writes, caller.peer.is_late) == ([], True)
    caller.waiting[0].reply(b"answer")
    caller.peer.flush()
    assert [kinds(output) for output in caller.transport.writes] == [[PING, HEADERS, DATA, HEADERS]]


def test_a_ping_that_comes_alone_is_answered_at_once() -> None:
    caller = Caller("Later")
    caller.peer.flush()
    caller.transport.writes.clear()
    caller.peer.data_received(frame(PING, 0, 0, bytes(8)))
    assert [kinds(output) for output in caller.transport.writes] == [[PING]]


def test_what_has_time_does_not_hold_up_what_has_none() -> None:
    caller = Caller("Unary")
    caller.peer.flush()
    caller.transport.writes.clear()
    caller.peer.data_received(frame(PING, 0, 0, bytes(8)) + data(1, framed(b"hello"), end=True))
    assert not caller.peer.is_late
    assert caller.peer.is_dirty
