"""Windows in both directions, and what waits for them."""

from __future__ import annotations

from oarlock.gateway.http2.connection import Connection
from oarlock.gateway.http2.events import HeadersReceived, StreamEnded
from oarlock.gateway.http2.frames import (
    DATA,
    HEADERS,
    RST_STREAM,
    WINDOW_UPDATE,
    ErrorCode,
    frame,
    settings_frame,
)
from oarlock.gateway.http2.limits import Limits
from oarlock.gateway.http2.streams import Stream
from tests.gateway.wire import GREETING, data, frames_in, goaway_codes, headers, reset_codes, u32

ANSWER = ((b":status", b"200"),)
TRAILERS = ((b"x", b"y"),)


def opened(connection: Connection, *stream_ids: int, greeting: bytes = GREETING, end: bool = True) -> list[Stream]:
    sent = greeting + b"".join(headers(stream_id, end=end) for stream_id in stream_ids)
    events = connection.receive(sent, 0.0)
    connection.take_output()
    return [event.stream for event in events if isinstance(event, HeadersReceived)]


def widened(stream_id: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, u32(increment))


def sizes(output: bytes) -> list[tuple[int, int]]:
    """Stream and length of each DATA frame."""
    return [(one.stream_id, len(one.payload)) for one in frames_in(output) if one.kind == DATA]


def test_data_keeps_to_the_stream_window_and_goes_on_when_it_opens() -> None:
    connection = Connection(0.0)
    (stream,) = opened(connection, 1, greeting=GREETING + settings_frame({4: 10}))
    connection.respond(stream, ANSWER, b"0123456789abcde", TRAILERS)
    assert sizes(connection.take_output()) == [(1, 10)]
    connection.receive(widened(1, 3), 0.0)
    assert sizes(connection.take_output()) == [(1, 3)]
    connection.receive(widened(1, 100), 0.0)
    seen = frames_in(connection.take_output())
    assert [(one.kind, one.payload[-2:]) for one in seen] == [(DATA, b"de"), (HEADERS, b"\x01y")]
    assert stream.is_closed


def test_a_window_of_one_byte_is_used() -> None:
    connection = Connection(0.0)
    (stream,) = opened(connection, 1, greeting=GREETING + settings_frame({4: 1}))
    connection.respond(stream, ANSWER, b"0123", TRAILERS)
    assert sizes(connection.take_output()) == [(1, 1)]


def test_settings_move_the_windows_of_open_streams_below_zero_and_back() -> None:
    connection = Connection(0.0)
    (stream,) = opened(connection, 1, greeting=GREETING + settings_frame({4: 10}))
    connection.send_headers(stream, ANSWER)
    connection.send_data(stream, bytes(25))
    connection.receive(settings_frame({4: 5}), 0.0)
    assert stream.send_window == -5
    connection.take_output()
    connection.receive(widened(1, 5), 0.0)
    assert sizes(connection.take_output()) == []
    connection.receive(settings_frame({4: 12}), 0.0)
    assert sizes(connection.take_output()) == [(1, 7)]


def test_the_connection_window_is_shared_frame_by_frame() -> None:
    connection = Connection(0.0)
    first, second = opened(connection, 1, 3, greeting=GREETING + settings_frame({4: 1 << 20}))
    connection.respond(first, ANSWER, bytes(100_000), TRAILERS)
    connection.respond(second, ANSWER, b"short", TRAILERS)
    assert sum(size for _, size in sizes(connection.take_output())) == 65_535
    connection.receive(widened(0, 20_000), 0.0)
    assert sizes(connection.take_output()) == [(1, 16_384), (3, 5), (1, 3_611)]
    assert connection.queued_bytes == 100_000 + 5 - 65_535 - 20_000


def test_data_waits_while_the_transport_takes_nothing() -> None:
    connection = Connection(0.0, limits=Limits(unsent_bytes=10_000))
    (stream,) = opened(connection, 1)
    connection.send_headers(stream, ANSWER)
    for _ in range(6):
        connection.send_data(stream, bytes(6_000))
    assert connection.queued_bytes == 36_000 - 12_000
    assert sum(size for _, size in sizes(connection.take_output())) == 12_000
    rest = b"".join(iter(connection.take_output, b""))
    assert sum(size for _, size in sizes(rest)) == 24_000
    assert connection.take_drained() == [stream]
    assert connection.take_drained() == []


def test_a_peer_that_does_not_read_loses_the_stream_and_no_other() -> None:
    connection = Connection(0.0, limits=Limits(queued_stream_bytes=1_000))
    slow, other = opened(connection, 1, 3, greeting=GREETING + settings_frame({4: 0}))
    for stream in (slow, other):
        connection.send_headers(stream, ANSWER)
    assert connection.send_data(slow, bytes(5_000)), "one message always finds room"
    assert not connection.send_data(slow, b"x")
    assert reset_codes(frames_in(connection.take_output())) == {1: ErrorCode.ENHANCE_YOUR_CALM}
    assert slow.is_closed
    assert connection.queued_bytes == 0
    assert connection.send_data(other, b"x")


def test_the_sum_of_what_waits_is_bounded_too() -> None:
    connection = Connection(0.0, limits=Limits(queued_bytes=1_000))
    first, second = opened(connection, 1, 3, greeting=GREETING + settings_frame({4: 0}))
    assert connection.respond(first, ANSWER, bytes(900), TRAILERS)
    assert not connection.respond(second, ANSWER, bytes(900), TRAILERS)
    assert connection.queued_bytes == 900


def test_a_reset_drops_what_waits() -> None:
    connection = Connection(0.0)
    (stream,) = opened(connection, 1, greeting=GREETING + settings_frame({4: 0}))
    connection.respond(stream, ANSWER, bytes(900), TRAILERS)
    (ended,) = connection.receive(frame(RST_STREAM, 0, 1, u32(8)), 0.0)
    assert isinstance(ended, StreamEnded)
    assert (ended.code, ended.by_peer, connection.queued_bytes) == (8, True, 0)
    connection.take_output()
    connection.receive(settings_frame({4: 5_000}) + widened(0, 5), 0.0)
    assert sizes(connection.take_output()) == []


def test_updates_come_in_batches_and_count_padding() -> None:
    connection = Connection(0.0, limits=Limits(stream_window_bytes=4_000, connection_window_bytes=8_000))
    opened(connection, 1, 3, end=False)
    padded = frame(DATA, 8, 1, b"\xff" + bytes(1_000 + 255))
    connection.receive(padded, 0.0)
    assert connection.take_output() == b""
    connection.receive(padded, 0.0)
    assert connection.take_output() == widened(1, 2 * 1_256)
    connection.receive(data(3, bytes(1_500)), 0.0)
    assert connection.take_output() == widened(0, 2 * 1_256 + 1_500)


def test_more_data_than_the_stream_window_is_an_error_of_the_stream() -> None:
    connection = Connection(0.0, limits=Limits(stream_window_bytes=3_000))
    (stream,) = opened(connection, 1, end=False)
    connection.pause(stream)
    connection.receive(data(1, bytes(3_000)), 0.0)
    assert connection.take_output() == b""
    connection.receive(data(1, b"x"), 0.0)
    assert reset_codes(frames_in(connection.take_output())) == {1: ErrorCode.FLOW_CONTROL_ERROR}


def test_a_paused_stream_is_credited_when_it_goes_on() -> None:
    connection = Connection(0.0, limits=Limits(stream_window_bytes=3_000))
    (stream,) = opened(connection, 1, end=False)
    connection.pause(stream)
    connection.receive(data(1, bytes(2_000)), 0.0)
    assert connection.take_output() == b""
    connection.resume(stream)
    assert connection.take_output() == widened(1, 2_000)


def test_data_for_streams_that_are_gone_still_counts_for_the_connection() -> None:
    connection = Connection(0.0, limits=Limits(connection_window_bytes=4_000))
    (stream,) = opened(connection, 1, end=False)
    connection.reset(stream, ErrorCode.CANCEL)
    connection.take_output()
    connection.receive(data(1, bytes(2_000)), 0.0)
    assert connection.take_output() == widened(0, 2_000)


def test_more_data_than_the_connection_window_ends_the_connection() -> None:
    connection = Connection(0.0, limits=Limits(connection_window_bytes=1_000))
    opened(connection, 1, end=False)
    connection.receive(data(1, bytes(1_001)), 0.0)
    assert goaway_codes(frames_in(connection.take_output())) == [ErrorCode.FLOW_CONTROL_ERROR]


def test_long_header_blocks_are_sent_in_pieces() -> None:
    connection = Connection(0.0)
    (stream,) = opened(connection, 1)
    connection.send_headers(stream, (*ANSWER, (b"long", b"v" * 40_000)), end=True)
    seen = frames_in(connection.take_output())
    assert [(one.kind, one.flags, one.stream_id) for one in seen] == [(1, 1, 1), (9, 0, 1), (9, 4, 1)]
    assert max(len(one.payload) for one in seen) == 16_384


def test_an_answer_in_parts_is_sent_as_one_as_the_window_allows() -> None:
    connection = Connection(0.0)
    (stream,) = opened(connection, 1, greeting=GREETING + settings_frame({4: 4}))
    assert connection.respond_in_parts(stream, ANSWER, [b"012", b"3456", b"789"], 10, TRAILERS)
    seen = frames_in(connection.take_output())
    connection.receive(widened(1, 100), 0.0)
    seen += frames_in(connection.take_output())
    assert b"".join(one.payload for one in seen if one.kind == DATA) == b"0123456789"
    assert (seen[0].kind, seen[-1].kind, connection.queued_bytes) == (HEADERS, HEADERS, 0)
    assert stream.is_closed
    assert not connection.respond_in_parts(stream, ANSWER, [b"late"], 4, TRAILERS)


def test_an_answer_in_parts_beyond_what_may_wait_ends_its_stream() -> None:
    connection = Connection(0.0, limits=Limits(queued_bytes=8))
    first, second = opened(connection, 1, 3, greeting=GREETING + settings_frame({4: 0}))
    assert connection.respond_in_parts(first, ANSWER, [b"0123", b"45"], 6, TRAILERS)
    assert not connection.respond_in_parts(second, ANSWER, [b"0123", b"45"], 6, TRAILERS)
    assert reset_codes(frames_in(connection.take_output())) == {3: ErrorCode.ENHANCE_YOUR_CALM}
