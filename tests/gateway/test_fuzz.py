"""Whatever a peer sends: no exception, bounded memory, and work in proportion to the bytes."""

from __future__ import annotations

import sys
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.gateway.grpc.calls import Call, CallEnded, CallOpened, ConnectionEnded, MessageReceived, RequestReceived
from oarlock.gateway.grpc.connection import GrpcConnection, MessageLimits
from oarlock.gateway.grpc.messages import framed
from oarlock.gateway.grpc.requests import Method, methods_by_path
from oarlock.gateway.grpc.status import Status
from oarlock.gateway.http2.connection import Connection
from oarlock.gateway.http2.frames import DATA, FRAME_HEADER, HEADERS, frame, settings_frame
from oarlock.gateway.http2.limits import Limits
from oarlock.wire.errors import Code
from tests.gateway.wire import GREETING, GRPC, data, frames_in, headers, literal, u32

METHODS = methods_by_path(
    Method("/a.B/Unary"), Method("/a.B/Watch", takes_stream=True, returns_stream=True), Method("/a.B/List")
)
SMALL = Limits(
    concurrent_streams=4, stream_window_bytes=2_000, connection_window_bytes=4_000, header_list_bytes=600,
    header_block_bytes=1_200, unsent_bytes=500, control_bytes=50_000, queued_stream_bytes=1_000, queued_bytes=3_000,
)  # fmt: skip
MESSAGES = MessageLimits(message_bytes=1_500, kept_bytes=2_000)

IDS = st.sampled_from([0, 1, 1, 3, 3, 5, 7, 9, 2, 0x7FFF_FFFF])
NUMBERS = st.sampled_from([0, 1, 5, 100, 65_535, 1 << 20, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
PATHS = st.sampled_from(["/a.B/Unary", "/a.B/Watch", "/a.B/List", "/x", ""])
BLOCKS = st.one_of(
    PATHS.map(lambda path: literal([(name, path if name == ":path" else value) for name, value in GRPC])),
    st.sampled_from([b"\x40\x01a\x01b", b"\xbe", b"\x20", b"\x3f\xe1\x1f", literal([("grpc-timeout", "1S")])]),
    st.binary(max_size=40),
)
BODIES = st.one_of(st.binary(max_size=50).map(framed), st.binary(max_size=30), st.just(b"\0" + u32(1_200) + bytes(900)))
FLAGS = st.sampled_from([0, 1, 4, 5, 5, 8, 9, 0x25, 0xFF])
FRAMES = st.one_of(
    st.builds(lambda i, block, end: frame(HEADERS, 4 | end, i, block), IDS, BLOCKS, st.sampled_from([0, 1])),
    st.builds(lambda i, body, end: data(i, body, end=end), IDS, BODIES, st.booleans()),
    st.builds(lambda i, n: frame(8, 0, i, u32(n)), IDS, NUMBERS),
    st.builds(lambda i, n: frame(3, 0, i, u32(n)), IDS, NUMBERS),
    st.builds(lambda key, n: settings_frame({key: n}), st.integers(0, 9), NUMBERS),
    st.builds(frame, st.integers(0, 11), FLAGS, IDS, st.binary(max_size=20)),
)


class Owner:
    """Answers calls at once, later, wrongly or not at all, as it is told."""

    def __init__(self) -> None:
        self.server = GrpcConnection(METHODS, 0.0, limits=SMALL, message_limits=MESSAGES)
        self.calls: list[Call] = []
        self.told: set[int] = set()

    def take(self, events: list[object]) -> None:
        for event in events:
            if isinstance(event, RequestReceived | CallOpened):
                assert event.call.stream.id not in self.told, "a call is told of once"
                self.told.add(event.call.stream.id)
                self.calls.append(event.call)
            elif isinstance(event, CallEnded | MessageReceived):
                assert event.call.stream.id in self.told
            elif isinstance(event, ConnectionEnded):
                assert all(call.is_over for call in self.calls)

    def act(self, choice: int) -> None:
        if choice == 0:
            frames_in(self.server.take_output())
        elif choice == 1:
            self.take(list(self.server.tick(float(len(self.calls)))))
        elif choice == 2:
            self.take(list(self.server.shut_down(1.0)))
        elif self.calls:
            call = self.calls[choice % len(self.calls)]
            if choice % 4 == 0 and not call.stream.headers_sent:
                self.server.reply(call, bytes(choice * 10))
            elif choice % 4 == 1:
                self.server.finish(call, Status(Code.ABORTED, "no"))
            elif choice % 4 == 2:
                self.server.pause(call)
                self.server.resume(call)
            else:
                self.server.send(call, bytes(choice * 10))
        self.check()

    def check(self) -> None:
        """What the limits promise, whatever has happened."""
        inside = self.server._connection
        assert self.server.open_calls <= SMALL.concurrent_streams
        assert inside.queued_bytes <= SMALL.queued_bytes or inside.open_streams >= 1
        assert inside.queued_bytes == sum(stream.queued_bytes for stream in inside._streams.by_id.values())
        assert len(inside._sender._ready) <= inside.open_streams
        assert inside._sender.unsent_bytes <= SMALL.control_bytes + 20_000
        assert len(inside._reader._kept) < SMALL.frame_bytes + FRAME_HEADER.size
        calls = [stream.context for stream in inside._streams.by_id.values() if isinstance(stream.context, Call)]
        assert self.server._kept_bytes == sum(call.reader.kept_bytes for call in calls if call.reader is not None)
        assert self.server._kept_bytes <= MESSAGES.kept_bytes + MESSAGES.message_bytes


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAMES | st.integers(0, 60), max_size=40), st.integers(1, 64))
def test_any_frames_and_any_answers(steps: list[bytes | int], piece: int) -> None:
    owner = Owner()
    owner.take(list(owner.server.receive(GREETING, 0.0)))
    for step in steps:
        if isinstance(step, int):
            owner.act(step)
            continue
        for at in range(0, len(step), piece):
            owner.take(list(owner.server.receive(step[at : at + piece], 0.0)))
        owner.check()
    owner.take(list(owner.server.lost()))
    assert all(call.is_over for call in owner.calls)


VALID = GREETING + b"".join(
    headers(n, GRPC) + data(n, framed(b"message"), end=True) + frame(8, 0, n, u32(5)) for n in (1, 3, 5)
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=6), st.integers(1, len(VALID)))
def test_any_damage(changes: list[tuple[int, int]], piece: int) -> None:
    sent = bytearray(VALID)
    for position, value in changes:
        sent[position] = value
    owner = Owner()
    for at in range(0, len(sent), piece):
        owner.take(list(owner.server.receive(bytes(sent[at : at + piece]), 0.0)))
        owner.check()
    frames_in(owner.server.take_output())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes(sent: bytes) -> None:
    for start in (b"", GREETING):
        owner = Owner()
        owner.take(list(owner.server.receive(start + sent, 0.0)))
        owner.check()


def calls_made(work: Callable[[], object]) -> int:
    """How many Python and C functions ``work`` calls: a measure of work that no clock disturbs."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def dribbled(size: int) -> Callable[[], object]:
    """One long DATA frame, byte by byte."""
    connection = Connection(0.0)
    connection.receive(GREETING + headers(1), 0.0)
    sent = frame(DATA, 0, 1, bytes(size))
    return lambda: [connection.receive(sent[at : at + 1], 0.0) for at in range(len(sent))]


def trickled(size: int) -> Callable[[], object]:
    """A long answer to a peer that opens its window byte by byte."""
    connection = Connection(0.0)
    (opened,) = connection.receive(GREETING + settings_frame({4: 0}) + headers(1, end=True), 0.0)
    connection.respond(opened.stream, ((b":status", b"200"),), bytes(size), ())  # type: ignore[union-attr]
    sent = frame(8, 0, 1, u32(1)) * size
    return lambda: connection.receive(sent, 0.0)


def many_streams(size: int) -> Callable[[], object]:
    """As many answers that wait, let go one byte at a time for all together."""
    connection = Connection(0.0)
    events = connection.receive(GREETING + b"".join(headers(2 * n + 1, end=True) for n in range(size)), 0.0)
    body = bytes(300_000 // size)
    for event in events:
        connection.respond(event.stream, ((b":status", b"200"),), body, ())  # type: ignore[union-attr]
    sent = frame(8, 0, 0, u32(1)) * size
    return lambda: connection.receive(sent, 0.0)


def test_work_grows_with_the_bytes_and_no_faster() -> None:
    for make in (dribbled, trickled, many_streams):
        small, large = calls_made(make(1_000)), calls_made(make(8_000))
        assert large < 8 * small * 1.3, make.__name__
