"""What RFC 9113 says of frames and streams, rule by rule: what a client sends, and the error that it must get."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from oarlock.gateway.http2.connection import Connection
from oarlock.gateway.http2.events import (
    ConnectionEnded,
    DataReceived,
    HeadersReceived,
    StreamEnded,
    TrailersReceived,
    WholeRequest,
)
from oarlock.gateway.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    frame,
    looks_like_http2,
    settings_frame,
)
from oarlock.gateway.http2.states import MISSES, TRANSITIONS, Input, State, follow
from tests.gateway.wire import (
    GREETING,
    PLAIN,
    data,
    frames_in,
    goaway_codes,
    headers,
    literal,
    reset_codes,
    split_headers,
    u32,
)

PROTOCOL, FLOW, CLOSED = ErrorCode.PROTOCOL_ERROR, ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.STREAM_CLOSED
SIZE, COMPRESSION, CALM = ErrorCode.FRAME_SIZE_ERROR, ErrorCode.COMPRESSION_ERROR, ErrorCode.ENHANCE_YOUR_CALM
ASKED = headers(1, end=True)
OPENED = headers(1)
BLOCK = literal(PLAIN)


class Script(NamedTuple):
    """What is sent behind the greeting, and what must come of it: a GOAWAY code, or RST_STREAM codes by stream."""

    rule: str
    sent: bytes
    goaway: int | None = None
    resets: dict[int, int] = {}  # noqa: RUF012  # never changed


def without(name: str) -> list[tuple[str, str]]:
    return [field for field in PLAIN if field[0] != name]


def malformed(rule: str, *fields: tuple[str, str], instead: list[tuple[str, str]] | None = None) -> Script:
    return Script(rule, headers(1, [*(PLAIN if instead is None else instead), *fields], end=True), None, {1: PROTOCOL})


CONNECTION_ERRORS = [
    Script("4.2 frame above the size we take", frame(DATA, 0, 1, bytes(16_385)), SIZE),
    Script("4.2 oversize is judged by the header alone", frame(HEADERS, 0, 1, bytes(20_000))[:9], SIZE),
    Script("4.3 block that is not HPACK", frame(HEADERS, 5, 1, b"\x82\xff\xff\xff\xff\xff\xff\x7f"), COMPRESSION),
    Script("4.3 index beyond the tables", frame(HEADERS, 5, 1, b"\xff\x7f"), COMPRESSION),
    Script("4.3 index 0", frame(HEADERS, 5, 1, b"\x80"), COMPRESSION),
    Script("4.3 block cut short", frame(HEADERS, 5, 1, b"\x40\x0aabc"), COMPRESSION),
    Script("4.3 table above the size we announced", frame(HEADERS, 5, 1, b"\x3f\xe2\x1f" + BLOCK), COMPRESSION),
    Script("4.3 table resized behind a field", frame(HEADERS, 5, 1, BLOCK + b"\x20"), COMPRESSION),
    Script("4.3 Huffman code with EOS", frame(HEADERS, 5, 1, b"\x00\x01a\x84\xff\xff\xff\xff"), COMPRESSION),
    Script("4.3 another stream inside a block", frame(HEADERS, 1, 1, BLOCK) + headers(3), PROTOCOL),
    Script("4.3 another frame inside a block", frame(HEADERS, 1, 1, BLOCK) + frame(PING, 0, 0, bytes(8)), PROTOCOL),
    Script("4.3 unknown frame inside a block", frame(HEADERS, 1, 1, BLOCK) + frame(0x20, 0, 0), PROTOCOL),
    Script("5.1 DATA on an idle stream", data(1, b"x"), PROTOCOL),
    Script("5.1 RST_STREAM on an idle stream", frame(RST_STREAM, 0, 1, u32(8)), PROTOCOL),
    Script("5.1 WINDOW_UPDATE on an idle stream", frame(WINDOW_UPDATE, 0, 1, u32(8)), PROTOCOL),
    Script("5.1.1 even stream id", headers(2), PROTOCOL),
    Script("5.1.1 DATA on an even stream", data(2, b"x"), PROTOCOL),
    Script("5.1.1 stream id that went down", headers(5, end=True) + headers(3), PROTOCOL),
    Script("5.1 HEADERS after RST_STREAM", OPENED + frame(RST_STREAM, 0, 1, u32(8)) + headers(1), CLOSED),
    Script("5.3 PRIORITY that makes an idle stream depend on itself", frame(PRIORITY, 0, 3, u32(3) + b"\0"), PROTOCOL),
    Script("5.3 HEADERS that depend on themselves", frame(HEADERS, 0x25, 1, u32(1) + b"\0" + BLOCK), PROTOCOL),
    Script("6.1 DATA on stream 0", data(0, b"x"), PROTOCOL),
    Script("6.1 more padding than payload", OPENED + frame(DATA, PADDED, 1, b"\x05abcd"), PROTOCOL),
    Script("6.1 padding without its length", OPENED + frame(DATA, PADDED, 1), SIZE),
    Script("6.2 HEADERS on stream 0", headers(0), PROTOCOL),
    Script("6.2 HEADERS with too much padding", frame(HEADERS, PADDED | 5, 1, b"\xff" + BLOCK), PROTOCOL),
    Script("6.2 HEADERS shorter than its priority", frame(HEADERS, PRIORITIZED | 5, 1, b"\0\0"), SIZE),
    Script("6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, u32(1) + b"\0"), PROTOCOL),
    Script("6.4 RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, u32(8)), PROTOCOL),
    Script("6.4 RST_STREAM of another size", OPENED + frame(RST_STREAM, 0, 1, b"\0\0\0"), SIZE),
    Script("6.5 SETTINGS ACK with a payload", frame(SETTINGS, ACK, 0, bytes(6)), SIZE),
    Script("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1), PROTOCOL),
    Script("6.5 SETTINGS of a broken size", frame(SETTINGS, 0, 0, bytes(7)), SIZE),
    Script("6.5.2 ENABLE_PUSH neither 0 nor 1", settings_frame({2: 2}), PROTOCOL),
    Script("6.5.2 initial window above 2^31-1", settings_frame({4: 1 << 31}), FLOW),
    Script("6.5.2 frame size below 2^14", settings_frame({5: 16_383}), PROTOCOL),
    Script("6.5.2 frame size above 2^24-1", settings_frame({5: 1 << 24}), PROTOCOL),
    Script("6.6 PUSH_PROMISE from a client", OPENED + frame(PUSH_PROMISE, 4, 1, u32(2) + BLOCK), PROTOCOL),
    Script("6.7 PING on a stream", frame(PING, 0, 1, bytes(8)), PROTOCOL),
    Script("6.7 PING of another size", frame(PING, 0, 0, bytes(6)), SIZE),
    Script("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, u32(0, 0)), PROTOCOL),
    Script("6.8 GOAWAY too short", frame(GOAWAY, 0, 0, u32(0)), SIZE),
    Script("6.9 WINDOW_UPDATE by 0 for the connection", frame(WINDOW_UPDATE, 0, 0, u32(0)), PROTOCOL),
    Script("6.9 WINDOW_UPDATE of another size", frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), SIZE),
    Script("6.9.1 connection window above 2^31-1", frame(WINDOW_UPDATE, 0, 0, u32((1 << 31) - 1)), FLOW),
    Script("6.9.2 SETTINGS lift a stream above 2^31-1",
           OPENED + frame(WINDOW_UPDATE, 0, 1, u32((1 << 31) - 1 - 65_535)) + settings_frame({4: 65_536}), FLOW),
    Script("6.10 CONTINUATION without HEADERS", frame(CONTINUATION, 4, 1, BLOCK), PROTOCOL),
    Script("6.10 CONTINUATION behind a whole block", OPENED + frame(CONTINUATION, 4, 1, BLOCK), PROTOCOL),
    Script("6.10 CONTINUATION on stream 0", frame(HEADERS, 1, 1, BLOCK) + frame(CONTINUATION, 4, 0), PROTOCOL),
    Script("6.10 frames of a block without end", frame(HEADERS, 1, 1) + frame(CONTINUATION, 0, 1) * 32, CALM),
    Script("6.10 bytes of a block without end",
           frame(HEADERS, 1, 1) + frame(CONTINUATION, 0, 1, bytes(16_384)) * 5, CALM),
]  # fmt: skip

STREAM_ERRORS = [
    Script("5.1 DATA on a half-closed stream", ASKED + data(1, b"x"), None, {1: CLOSED}),
    Script("5.1 HEADERS on a half-closed stream", ASKED + headers(1, end=True), None, {1: CLOSED}),
    Script("5.1 DATA after RST_STREAM", OPENED + frame(RST_STREAM, 0, 1, u32(8)) + data(1, b"x"), None, {1: CLOSED}),
    Script("5.3 PRIORITY that depends on itself", OPENED + frame(PRIORITY, 0, 1, u32(1) + b"\0"), None, {1: PROTOCOL}),
    Script("6.3 PRIORITY of another size", OPENED + frame(PRIORITY, 0, 1, b"\0\0\0\0"), None, {1: SIZE}),
    Script("6.9 WINDOW_UPDATE by 0 for a stream", OPENED + frame(WINDOW_UPDATE, 0, 1, u32(0)), None, {1: PROTOCOL}),
    Script("6.9.1 stream window above 2^31-1",
           OPENED + frame(WINDOW_UPDATE, 0, 1, u32((1 << 31) - 1)), None, {1: FLOW}),
    Script("8.1 HEADERS inside a body that do not end it",
           OPENED + frame(HEADERS, 4, 1, literal([("a", "b")])), None, {1: PROTOCOL}),
    Script("8.1 trailers with a pseudo-header", OPENED + headers(1, [(":method", "POST")], end=True), None, {1:
    PROTOCOL}), Script("8.1.1 more data than content-length",
           headers(1, [*PLAIN, ("content-length", "1")]) + data(1, b"xy", end=True), None, {1: PROTOCOL}),
    Script("8.1.1 less data than content-length",
           headers(1, [*PLAIN, ("content-length", "3")]) + data(1, b"xy", end=True), None, {1: PROTOCOL}),
    malformed("8.1.1 no data at all, in spite of content-length", ("content-length", "3")),
    malformed("8.2 upper-case name", ("X-Test", "1")),
    malformed("8.2.1 space in a name", ("x test", "1")),
    malformed("8.2.1 empty name", ("", "1")),
    malformed("8.2.1 line break in a value", ("x", "a\r\nb")),
    malformed("8.2.1 NUL in a value", ("x", "a\0b")),
    malformed("8.2.1 space before a value", ("x", " a")),
    malformed("8.2.1 space behind a value", ("x", "a\t")),
    malformed("8.2.1 bad character in a pseudo-header", instead=[*without(":path"), (":path", "/a\nb")]),
    malformed("8.2.2 connection field", ("connection", "keep-alive")),
    malformed("8.2.2 transfer-encoding", ("transfer-encoding", "chunked")),
    malformed("8.2.2 te other than trailers", ("te", "gzip")),
    malformed("8.3 unknown pseudo-header", instead=[*PLAIN, (":new", "1")]),
    malformed("8.3 pseudo-header of a response", instead=[*PLAIN, (":status", "200")]),
    malformed("8.3 pseudo-header behind a field", ("x", "1"), (":authority", "b"), instead=without(":authority")),
    malformed("8.3.1 no method", instead=without(":method")),
    malformed("8.3.1 no scheme", instead=without(":scheme")),
    malformed("8.3.1 no path", instead=without(":path")),
    malformed("8.3.1 empty path", instead=[*without(":path"), (":path", "")]),
    malformed("8.3.1 method twice", instead=[(":method", "POST"), *PLAIN]),
    malformed("8.5 CONNECT with a path", instead=[(":method", "CONNECT"), *without(":method")]),
    malformed("8.6 two lengths", ("content-length", "3"), ("content-length", "4")),
    malformed("8.6 length that is no number", ("content-length", "+1")),
]  # fmt: skip

ALLOWED = [
    Script("5.5 unknown frame", frame(0xBB, 0xFF, 0, b"?") + frame(0xBB, 0, 77)),
    Script("4.1 reserved bit is ignored", b"\0\0\x08\6\0\x80\0\0\0" + bytes(8)),
    Script("4.1 unknown flags are ignored", frame(PING, 0xFE, 0, bytes(8))),
    Script("5.1 PRIORITY on an idle stream", frame(PRIORITY, 0, 9, u32(1) + b"\0")),
    Script("5.1 PRIORITY on a closed stream", OPENED + frame(RST_STREAM, 0, 1, u32(8)) + frame(PRIORITY, 0, 1,
    bytes(5))), Script("5.1 WINDOW_UPDATE on a closed stream",
           OPENED + frame(RST_STREAM, 0, 1, u32(8)) + frame(WINDOW_UPDATE, 0, 1, u32(5))),
    Script("5.1 RST_STREAM twice", OPENED + frame(RST_STREAM, 0, 1, u32(8)) * 2),
    Script("5.1.1 stream ids with gaps", headers(1, end=True) + headers(101, end=True)),
    Script("6.1 padded DATA", OPENED + frame(DATA, PADDED | END_STREAM, 1, b"\2ab\0\0")),
    Script("6.2 padded HEADERS with priority", frame(HEADERS, PADDED | 0x25, 1, b"\3" + u32(3) + b"\7" + BLOCK +
    bytes(3))), Script("6.5 unknown setting", settings_frame({0x99: 5})),
    Script("6.10 a block in pieces", split_headers(1, PLAIN, 7)),
    Script("8.1 trailers", OPENED + headers(1, [("x", "y")], end=True)),
    Script("8.1.1 content-length that fits", headers(1, [*PLAIN, ("content-length", "2")]) + data(1, b"xy", end=True)),
    Script("8.5 CONNECT", headers(1, [(":method", "CONNECT"), (":authority", "b")], end=True)),
    Script("8.3 no authority", headers(1, without(":authority"), end=True)),
]  # fmt: skip


def run(sent: bytes, *, piece: int) -> tuple[list[object], bytes]:
    connection = Connection(0.0)
    connection.take_output()
    found: list[object] = []
    for at in range(0, len(sent), piece):
        found += connection.receive(sent[at : at + piece], 1.0)
    return found, connection.take_output()


def shape(found: list[object]) -> list[object]:
    """Events without what differs from connection to connection; data joined as it may be cut differently."""
    plain: list[object] = []
    for one in found:
        if isinstance(one, HeadersReceived):
            plain.append(("headers", one.stream.id, one.headers.fields, one.ended))
        elif isinstance(one, DataReceived):
            plain.append(("data", one.stream.id, one.data, one.ended))
        elif isinstance(one, WholeRequest):
            plain.append(("headers", one.stream.id, one.headers.fields, False))
            plain.append(("data", one.stream.id, one.data, True))
        elif isinstance(one, TrailersReceived):
            plain.append(("trailers", one.stream.id, one.headers.fields))
        elif isinstance(one, StreamEnded):
            plain.append(("ended", one.stream.id, one.code))
        elif isinstance(one, ConnectionEnded):
            plain.append(("over", one.code, one.reason))
    return plain


def each(scripts: list[Script]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("script", scripts, ids=lambda script: script.rule)


@each(CONNECTION_ERRORS + STREAM_ERRORS + ALLOWED)
def test_a_rule_whole_byte_by_byte_and_with_more_behind(script: Script) -> None:
    sent = GREETING + script.sent
    found, output = run(sent, piece=len(sent))
    seen = frames_in(output)
    assert goaway_codes(seen) == ([] if script.goaway is None else [script.goaway])
    assert reset_codes(seen) == script.resets

    found_by_byte, output_by_byte = run(sent, piece=1)
    assert shape(found_by_byte) == shape(found)
    assert output_by_byte == output

    found_with_more, output_with_more = run(sent + frame(PING, 0, 0, b"trailing"), piece=1 << 20)
    assert shape(found_with_more) == shape(found)
    answer = frame(PING, ACK, 0, b"trailing") if script.goaway is None else b""
    assert output_with_more == output + answer


@each(CONNECTION_ERRORS)
def test_after_a_connection_error_nothing_is_received_or_sent(script: Script) -> None:
    connection = Connection(0.0)
    opened = connection.receive(GREETING + headers(99_999), 1.0)
    first = opened[0]
    assert isinstance(first, HeadersReceived)
    connection.receive(frame(PING, 0, 0, b"short"), 1.0)
    connection.take_output()
    assert connection.is_over
    assert first.stream.is_closed
    assert connection.receive(script.sent, 1.0) == []
    assert not connection.send_headers(first.stream, ((b":status", b"200"),))
    assert connection.take_output() == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n",
        PREFACE[:-1] + b"x",
        PREFACE + frame(PING, 0, 0, bytes(8)),
        PREFACE + frame(SETTINGS, ACK, 0),
    ],
)
def test_a_wrong_start_ends_the_connection(sent: bytes) -> None:
    for piece in (1, len(sent)):
        _, output = run(sent, piece=piece)
        assert goaway_codes(frames_in(output)) == [PROTOCOL]


def test_half_a_preface_is_waited_for() -> None:
    found, output = run(PREFACE[:20], piece=3)
    assert (found, output) == ([], b"")


def test_the_greeting_has_settings_first() -> None:
    first = frames_in(Connection(0.0).take_output())[0]
    assert (first.kind, first.flags, first.stream_id) == (SETTINGS, 0, 0)


def test_settings_are_acknowledged_once_each() -> None:
    _, output = run(GREETING + settings_frame({3: 5}), piece=1 << 20)
    assert output == frame(SETTINGS, ACK, 0) * 2


def test_http2_is_told_by_its_first_bytes() -> None:
    assert [looks_like_http2(head) for head in (b"", b"P", b"PR", b"PRI", PREFACE)] == [None, None, None, True, True]
    assert [looks_like_http2(head) for head in (b"G", b"PO", b"PUT", b"\x16\x03")] == [False] * 4


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("happened", list(Input))
def test_the_table_of_states_is_total(state: State, happened: Input) -> None:
    following = TRANSITIONS[state].get(happened)
    if following is not None:
        assert follow(state, happened) is following
        return
    fault, code = MISSES[state]
    with pytest.raises(fault) as caught:
        follow(state, happened)
    assert caught.value.code is code


def test_frames_for_a_stream_that_we_reset_are_passed_over() -> None:
    connection = Connection(0.0)
    (opened,) = connection.receive(GREETING + OPENED, 1.0)
    assert isinstance(opened, HeadersReceived)
    connection.reset(opened.stream, ErrorCode.CANCEL)
    connection.take_output()
    late = data(1, b"late") + headers(1, [("x", "y")], end=True) + frame(WINDOW_UPDATE, 0, 1, u32(1))
    assert connection.receive(late + frame(RST_STREAM, 0, 1, u32(0)), 1.0) == []
    assert connection.take_output() == b""


def test_an_answer_before_the_end_of_the_request_stops_the_client() -> None:
    connection = Connection(0.0)
    (opened,) = connection.receive(GREETING + OPENED, 1.0)
    assert isinstance(opened, HeadersReceived)
    connection.take_output()
    connection.respond(opened.stream, ((b":status", b"200"),), b"body", ((b"x", b"y"),))
    seen = frames_in(connection.take_output())
    assert [one.kind for one in seen] == [HEADERS, DATA, HEADERS, RST_STREAM]
    assert reset_codes(seen) == {1: ErrorCode.NO_ERROR}
    assert seen[2].flags == END_STREAM | END_HEADERS
