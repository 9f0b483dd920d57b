"""Calls: what comes of headers and messages, and what is sent for an answer."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.gateway.grpc.calls import (
    Call,
    CallEnded,
    CallOpened,
    ConnectionEnded,
    MessageReceived,
    RequestReceived,
    RequestsEnded,
)
from oarlock.gateway.grpc.connection import GrpcConnection, MessageLimits
from oarlock.gateway.grpc.deadlines import Deadlines
from oarlock.gateway.grpc.messages import MessageReader, framed
from oarlock.gateway.grpc.requests import Method, Request, methods_by_path, parse_timeout
from oarlock.gateway.grpc.status import Status, percent_encoded
from oarlock.gateway.http2.faults import MisuseError
from oarlock.gateway.http2.frames import (
    DATA,
    HEADERS,
    RST_STREAM,
    SETTINGS,
    ErrorCode,
    frame,
    goaway_frame,
    settings_frame,
)
from oarlock.gateway.http2.states import State
from oarlock.gateway.http2.streams import Stream
from oarlock.wire.errors import Code, KeyNotFoundError
from tests.gateway.wire import GREETING, GRPC, PLAIN, Client, data, frames_in, reset_codes, u32

METHODS = methods_by_path(
    Method("/a.B/Unary"),
    Method("/a.B/Watch", takes_stream=True, returns_stream=True),
    Method("/a.B/List", returns_stream=True),
)
LIMITS = MessageLimits(message_bytes=1_000, kept_bytes=2_500)


class Pair:
    """A connection of ours with a client's tables at the other end."""

    def __init__(self, limits: MessageLimits = LIMITS, greeting: bytes = GREETING) -> None:
        self.server = GrpcConnection(METHODS, 0.0, message_limits=limits)
        self.client = Client()
        self.server.receive(greeting, 0.0)
        self.server.take_output()

    def send(self, sent: bytes, now_s: float = 0.0) -> list[object]:
        return list(self.server.receive(sent, now_s))

    def call(self, path: str = "/a.B/Unary", *fields: tuple[str, str], stream_id: int = 1) -> bytes:
        return self.client.headers(stream_id, [*with_(":path", path), *fields])

    def status(self, stream_id: int = 1) -> tuple[str | None, str | None]:
        self.client.read(self.server.take_output())
        assert stream_id in self.client.ended
        return self.client.field(stream_id, "grpc-status"), self.client.field(stream_id, "grpc-message")


def with_(name: str, value: str) -> list[tuple[str, str]]:
    return [(key, value if key == name else old) for key, old in GRPC]


def one_call(events: list[object]) -> Call:
    (event,) = events
    assert isinstance(event, RequestReceived | CallOpened)
    return event.call


def test_a_unary_call_and_its_answer() -> None:
    pair = Pair()
    (event,) = pair.send(pair.call() + data(1, framed(b"question"), end=True))
    assert isinstance(event, RequestReceived)
    assert (event.message, event.call.method.path) == (b"question", "/a.B/Unary")
    assert pair.server.reply(event.call, b"answer")
    output = pair.server.take_output()
    assert [one.kind for one in frames_in(output)] == [HEADERS, DATA, HEADERS]
    pair.client.read(output)
    assert pair.client.fields[1] == [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")]
    assert pair.client.bodies[1] == framed(b"answer")
    assert pair.server.open_calls == 0
    assert not pair.server.reply(event.call, b"again")


@pytest.mark.parametrize("piece", [1, 3, 1_000])
def test_a_call_in_any_pieces(piece: int) -> None:
    pair = Pair()
    body = framed(b"some message")
    sent = pair.call() + b"".join(data(1, body[at : at + 4]) for at in range(0, len(body), 4)) + data(1, end=True)
    events = [event for at in range(0, len(sent), piece) for event in pair.send(sent[at : at + piece])]
    assert isinstance(events[0], RequestReceived)
    assert events[0].message == b"some message"


def test_an_error_is_trailers_only() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call() + data(1, framed(b""), end=True)))
    pair.server.finish(call, Status.of(KeyNotFoundError()))
    seen = pair.client.read(pair.server.take_output())
    assert [one.kind for one in seen] == [HEADERS]
    assert pair.client.field(1, ":status") == "200"
    assert pair.status() == ("3", "etcdserver: key not found")


def test_status_details_and_odd_texts_reach_the_client() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call() + data(1, framed(b""), end=True)))
    pair.server.finish(call, Status(Code.ABORTED, "50% ü\n", (("grpc-status-details-bin", b"\0\xff"), ("x", "y"))))
    assert pair.status() == ("10", "50%25 %C3%BC%0A")
    assert (pair.client.field(1, "grpc-status-details-bin"), pair.client.field(1, "x")) == ("AP8", "y")


def test_metadata_that_cannot_be_sent_is_refused_and_the_call_goes_on() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call() + data(1, framed(b""), end=True)))
    for value in ("line\nbreak", " space", "ü"):
        with pytest.raises(ValueError, match=r"'x'|ascii"):
            pair.server.finish(call, Status(Code.OK, "", (("x", value),)))
    assert pair.server.reply(call, b"")


def test_a_bidirectional_call() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call("/a.B/Watch")))
    pair.server.start(call, (("x", "y"),))
    assert pair.send(data(1, framed(b"one") + framed(b"two"))) == [
        MessageReceived(call, b"one"),
        MessageReceived(call, b"two"),
    ]
    pair.server.send(call, b"event")
    assert pair.send(data(1, framed(b"three"), end=True)) == [MessageReceived(call, b"three"), RequestsEnded(call)]
    pair.server.send(call, b"last")
    pair.server.finish(call)
    assert pair.status() == ("0", None)
    assert pair.client.bodies[1] == framed(b"event") + framed(b"last")
    assert pair.client.field(1, "x") == "y"


def test_a_server_stream_ends_with_an_error_behind_its_messages() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call("/a.B/List") + data(1, framed(b""), end=True)))
    pair.server.send(call, b"one")
    pair.server.finish(call, Status(Code.UNAVAILABLE, "stopped"))
    assert not pair.server.send(call, b"two")
    assert not pair.server.finish(call)
    assert pair.status() == ("14", "stopped")
    assert pair.client.bodies[1] == framed(b"one")


def test_ending_a_call_early_stops_the_client() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call("/a.B/Watch")))
    pair.server.finish(call, Status(Code.UNAVAILABLE))
    assert reset_codes(frames_in(pair.server.take_output())) == {1: ErrorCode.NO_ERROR}
    assert pair.send(data(1, framed(b"late"))) == []


def test_a_whole_reply_after_a_beginning_is_misuse() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call("/a.B/Watch")))
    pair.server.start(call)
    with pytest.raises(MisuseError):
        pair.server.reply(call, b"")
    with pytest.raises(MisuseError):
        pair.server.start(call)


REFUSED = [
    ("content-type", "text/html", "415", "3", 'invalid gRPC request content-type "text/html"'),
    ("content-type", "application/grpcx", "415", "3", 'invalid gRPC request content-type "application/grpcx"'),
    (":method", "GET", "405", "13", 'Received a HEADERS frame with :method "GET" which should be POST'),
    (":path", "/a.B/Other", "200", "12", "unknown method Other for service a.B"),
    (":path", "/x.Y/Z", "200", "12", "unknown service x.Y"),
    (":path", "nothing", "200", "12", 'malformed method name: "nothing"'),
]


@pytest.mark.parametrize(("name", "value", "http", "code", "text"), REFUSED)
def test_a_request_that_is_none(name: str, value: str, http: str, code: str, text: str) -> None:
    pair = Pair()
    assert pair.send(pair.client.headers(1, with_(name, value)) + data(1, framed(b"x"), end=True)) == []
    assert pair.status() == (code, text)
    assert pair.client.field(1, ":status") == http


def test_fields_that_make_no_call() -> None:
    for field, code, part in [
        (("grpc-timeout", "1"), "13", "malformed grpc-timeout"),
        (("grpc-timeout", "123456789S"), "13", "malformed grpc-timeout"),
        (("x-bin", "***"), "13", "malformed binary metadata"),
        (("grpc-encoding", "snappy"), "12", 'not installed for grpc-encoding "snappy"'),
        (("long", "v" * 17_000), "8", "header list"),
    ]:
        pair = Pair()
        assert pair.send(pair.call("/a.B/Unary", field) if len(field[1]) < 16_000 else in_two_frames(pair, field)) == []
        found, text = pair.status()
        assert (found, part in (text or "")) == (code, True)


def in_two_frames(pair: Pair, field: tuple[str, str]) -> bytes:
    block = pair.client.encoder.encode([*GRPC, field], huffman=False)
    return frame(HEADERS, 1, 1, block[:9_000]) + frame(9, 4, 1, block[9_000:])


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "Application/gRPC; charset=utf-8"])
def test_kinds_of_content_that_are_grpc(kind: str) -> None:
    pair = Pair()
    sent = pair.client.headers(1, with_("content-type", kind)) + data(1, framed(b""), end=True)
    assert one_call(pair.send(sent)).method.path == "/a.B/Unary"


def test_te_may_be_absent() -> None:
    pair = Pair()
    sent = pair.client.headers(1, [*PLAIN, ("content-type", "application/grpc")]) + data(1, framed(b""), end=True)
    assert one_call(pair.send(sent))


def test_metadata_of_a_request() -> None:
    pair = Pair()
    fields = [("token", "t"), ("token", "u"), ("k-bin", "AP8="), ("k-bin", "AP8,AA"), ("user-agent", "test")]
    call = one_call(pair.send(pair.call("/a.B/Unary", *fields) + data(1, framed(b""), end=True)))
    request = call.request
    assert request.metadata == (
        ("token", "t"),
        ("token", "u"),
        ("k-bin", b"\0\xff"),
        ("k-bin", b"\0\xff"),
        ("k-bin", b"\0"),
        ("user-agent", "test"),
    )
    assert (request.value("token"), request.value("none"), request.authority) == ("t", None, "here")


def test_metadata_that_is_not_utf8_is_kept() -> None:
    pair = Pair()
    block = pair.client.encoder.encode([*GRPC, (b"client-api-version", b"\xff")])  # type: ignore[list-item]
    call = one_call(pair.send(frame(HEADERS, 4, 1, block) + data(1, framed(b""), end=True)))
    assert call.request.value("client-api-version") == "\udcff"


@pytest.mark.parametrize(
    ("value", "timeout_s"),
    [(b"2H", 7200), (b"3M", 180), (b"5S", 5), (b"250m", 0.25), (b"4u", 4e-6), (b"99999999n", 0.099999999), (b"0S", 0)],
)
def test_timeouts(value: bytes, timeout_s: float) -> None:
    assert parse_timeout(value) == pytest.approx(timeout_s)


def test_a_deadline_that_passes_ends_the_call() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call("/a.B/Unary", ("grpc-timeout", "2S")) + data(1, framed(b""), end=True), 10.0))
    assert (call.deadline_s, pair.server.wake_at_s) == (12.0, 12.0)
    assert pair.server.tick(11.9) == []
    (ended,) = pair.server.tick(12.0)
    assert isinstance(ended, CallEnded)
    assert ended.status.code is Code.DEADLINE_EXCEEDED
    assert pair.status() == ("4", "context deadline exceeded")
    assert not pair.server.reply(call, b"late")


def test_calls_that_differ_in_their_deadlines_alone_are_judged_once() -> None:
    pair = Pair()
    calls = []
    for n in range(300):  # more than the table of their fields holds
        sent = pair.call("/a.B/Unary", ("token", "t"), ("grpc-timeout", f"{1000 - n}S"), stream_id=2 * n + 1)
        calls.append(one_call(pair.send(sent + data(2 * n + 1, framed(b""), end=True))))
        pair.server.reply(calls[-1], b"")
        pair.client.read(pair.server.take_output())
    assert [call.deadline_s for call in calls] == [1000 - n for n in range(300)]
    assert len({id(call.request) for call in calls}) == 1
    assert calls[0].request.metadata == (("token", "t"),)


def test_of_two_deadlines_the_first_counts() -> None:
    pair = Pair()
    twice = pair.call("/a.B/Unary", ("grpc-timeout", "2S"), ("grpc-timeout", "1S"))
    assert one_call(pair.send(twice + data(1, framed(b""), end=True))).deadline_s == 2.0


@pytest.mark.parametrize(
    ("name", "value", "http"),
    [("content-type", "text/html", "415"), (":method", "GET", "405"), (":path", "/x.Y/Z", "400")],
)
def test_a_malformed_deadline_is_refused_where_nothing_graver_is(name: str, value: str, http: str) -> None:
    pair = Pair()
    for stream_id, timeout in ((1, "1S"), (3, "soon")):
        pair.send(pair.client.headers(stream_id, [*with_(name, value), ("grpc-timeout", timeout)]))
    pair.client.read(pair.server.take_output())
    assert pair.client.field(3, ":status") == http


def test_a_deadline_ends_a_call_that_the_owner_has_not_heard_of_in_silence() -> None:
    pair = Pair()
    assert pair.send(pair.call("/a.B/Unary", ("grpc-timeout", "2S"))) == []
    assert pair.server.tick(3.0) == []
    assert pair.status()[0] == "4"


def test_answered_calls_do_not_pile_up_in_the_deadlines() -> None:
    deadlines = Deadlines()
    for n in range(1_000):
        call = Call(Stream(n, State.OPEN, 0, None), Request(Method("/a/B"), "", False, ()), 5.0)
        deadlines.add(5.0, call, 1)
        call.is_over = True
    assert len(deadlines) < 70
    assert deadlines.next_s is None


def test_a_client_cancels() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call("/a.B/Watch")))
    (ended,) = pair.send(frame(RST_STREAM, 0, 1, u32(8)))
    assert ended == CallEnded(call, Status(Code.CANCELED, "context canceled"))
    assert not pair.server.send(call, b"late")


def test_the_end_of_the_connection_ends_its_calls() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call("/a.B/Watch")))
    ended, over = pair.server.lost()
    assert isinstance(ended, CallEnded)
    assert ended.call is call
    assert isinstance(over, ConnectionEnded)
    assert pair.server.wake_at_s is None


def test_a_shut_down_lets_calls_finish() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call() + data(1, framed(b""), end=True)))
    pair.server.shut_down(1.0)
    pair.server.tick(6.0)
    assert pair.server.reply(call, b"answer")
    pair.client.read(pair.server.take_output())
    assert (pair.client.bodies[1], pair.server.is_over) == (framed(b"answer"), True)


def test_a_client_that_goes_away_is_answered_first() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call() + data(1, framed(b""), end=True) + goaway_frame(0, 0)))
    pair.server.reply(call, b"answer")
    assert pair.status() == ("0", None)
    assert pair.server.is_over


BROKEN = [
    (b"\x02" + u32(0), "13", "grpc: received unexpected payload format 2"),
    (b"\x01" + u32(0), "13", "grpc: compressed flag set with identity or empty encoding"),
    (b"\x00" + u32(1_001), "8", "grpc: received message larger than max (1001 vs. 1000)"),
    (framed(b"a") * 2, "13", "received multiple request messages"),
    (b"", "13", "received no request message"),
    (b"\x00\x00", "13", "unexpected EOF"),
    (framed(b"abc")[:-1], "13", "unexpected EOF"),
]


@pytest.mark.parametrize(("body", "code", "text"), BROKEN)
def test_a_body_that_is_not_one_message(body: bytes, code: str, text: str) -> None:
    pair = Pair()
    assert pair.send(pair.call() + data(1, body, end=True)) == []
    found, message = pair.status()
    assert (found, text in (message or "")) == (code, True)


def test_a_stream_that_breaks_is_told_to_its_owner() -> None:
    pair = Pair()
    call = one_call(pair.send(pair.call("/a.B/Watch")))
    (ended,) = pair.send(data(1, b"\x02" + u32(0)))
    assert isinstance(ended, CallEnded)
    assert (ended.call, ended.status.code) == (call, Code.INTERNAL)


def gzipped(message: bytes) -> bytes:
    packed = gzip.compress(message, mtime=0)
    return b"\1" + len(packed).to_bytes(4, "big") + packed


def test_gzip_is_understood_beside_plain_messages() -> None:
    reader = MessageReader(1_000, is_gzipped=True)
    assert reader.feed(gzipped(b"a" * 900) + framed(b"plain") + gzipped(b"")) == [b"a" * 900, b"plain", b""]


def test_a_gzipped_call() -> None:
    pair = Pair()
    sent = pair.call("/a.B/Unary", ("grpc-encoding", "gzip")) + data(1, gzipped(b"question"), end=True)
    (event,) = pair.send(sent)
    assert isinstance(event, RequestReceived)
    assert event.message == b"question"


@pytest.mark.parametrize(
    ("packed", "code"),
    [
        (gzip.compress(bytes(1_001), mtime=0), "8"),
        (gzip.compress(bytes(500_000), mtime=0), "8"),
        (gzip.compress(b"abc", mtime=0)[:-3], "13"),
        (gzip.compress(b"abc", mtime=0) * 2, "13"),
        (b"no gzip at all", "13"),
        (b"", "13"),
    ],
)
def test_gzip_that_is_a_bomb_or_broken(packed: bytes, code: str) -> None:
    pair = Pair()
    body = b"\1" + len(packed).to_bytes(4, "big") + packed
    assert pair.send(pair.call("/a.B/Unary", ("grpc-encoding", "gzip")) + data(1, body, end=True)) == []
    assert pair.status()[0] == code


def test_unfinished_messages_of_all_calls_are_bounded() -> None:
    pair = Pair()
    for stream_id in (1, 3, 5):
        pair.send(pair.call(stream_id=stream_id) + data(stream_id, framed(bytes(1_000))[:900]))
    assert pair.status(5)[0] == "8"
    assert pair.send(data(1, bytes(105), end=True))
    assert pair.send(pair.call(stream_id=7) + data(7, framed(bytes(1_000))[:900])) == []
    assert pair.send(data(7, bytes(105), end=True))


@given(st.lists(st.binary(max_size=300), max_size=20), st.data())
def test_messages_do_not_keep_to_frames(messages: list[bytes], cuts: st.DataObject) -> None:
    body = b"".join(map(framed, messages))
    reader, found = MessageReader(300, is_gzipped=False), []
    while body:
        size = cuts.draw(st.integers(1, len(body)))
        found += reader.feed(body[:size])
        body = body[size:]
    assert found == messages
    assert reader.kept_bytes == 0


@given(st.text(max_size=50))
def test_texts_are_printable_ascii_on_the_wire(text: str) -> None:
    encoded = percent_encoded(text)
    assert all(0x20 <= byte <= 0x7E for byte in encoded)
    plain = text.encode("utf-8", "replace")
    assert unescaped(encoded) == plain


def unescaped(encoded: bytes) -> bytes:
    parts = encoded.split(b"%")
    return parts[0] + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in parts[1:])


def test_a_slow_reader_of_a_stream_is_told_apart() -> None:
    pair = Pair(greeting=GREETING + settings_frame({4: 10}))
    call = one_call(pair.send(pair.call("/a.B/Watch")))
    pair.server.send(call, b"1234567890")
    assert pair.server.queued_bytes(call) == 5
    assert pair.server.take_drained() == []
    pair.send(frame(8, 0, 1, u32(100)))
    pair.server.take_output()
    assert pair.server.take_drained() == [call]
    assert pair.server.queued_bytes(call) == 0


def test_a_deadline_of_a_client_that_does_not_read_resets() -> None:
    pair = Pair(greeting=GREETING + settings_frame({4: 0}))
    call = one_call(pair.send(pair.call("/a.B/Watch", ("grpc-timeout", "1S"))))
    pair.server.send(call, b"waits")
    pair.server.tick(2.0)
    assert reset_codes(frames_in(pair.server.take_output())) == {1: ErrorCode.CANCEL}


def test_a_paused_call_gives_no_credit() -> None:
    pair = Pair(MessageLimits())
    call = one_call(pair.send(pair.call("/a.B/Watch")))
    pair.server.pause(call)
    for _ in range(40):
        pair.send(data(1, framed(bytes(16_000))))
    assert pair.server.take_output() == b""
    pair.server.resume(call)
    assert [one.stream_id for one in frames_in(pair.server.take_output())] == [1]


def test_a_client_without_a_header_table() -> None:
    pair = Pair(greeting=GREETING + settings_frame({1: 0}) + frame(SETTINGS, 1, 0))
    pair.client.decoder.max_allowed_table_size = 0
    for stream_id in (1, 3):
        call = one_call(pair.send(pair.call(stream_id=stream_id) + data(stream_id, framed(b""), end=True)))
        pair.server.reply(call, b"answer")
        assert pair.status(stream_id) == ("0", None)
