"""Floods, pings, greetings that do not come, and the ends of a connection."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oarlock.gateway.http2.connection import Connection
from oarlock.gateway.http2.events import ConnectionEnded, Event, HeadersReceived, PeerGoingAway
from oarlock.gateway.http2.frames import (
    ACK,
    DATA,
    GOAWAY,
    MAX_STREAM_ID,
    PING,
    RST_STREAM,
    WINDOW_UPDATE,
    ErrorCode,
    frame,
    goaway_frame,
    settings_frame,
)
from oarlock.gateway.http2.keepalive import KeepalivePolicy
from oarlock.gateway.http2.limits import Allowance, Limits, Rate
from tests.gateway.wire import GREETING, PLAIN, data, frames_in, goaway_codes, headers, literal, reset_codes, u32

CALM = ErrorCode.ENHANCE_YOUR_CALM
SMALL = Limits(
    resets=Rate(20, 1), settings=Rate(20, 1), pings=Rate(20, 1), empty_frames=Rate(20, 1), concurrent_streams=10
)
PING_FRAME = frame(PING, 0, 0, b"12345678")
ANSWER = ((b":status", b"200"),)


def started(limits: Limits = SMALL, policy: KeepalivePolicy | None = None) -> Connection:
    connection = Connection(0.0, limits=limits, policy=policy)
    connection.receive(GREETING, 0.0)
    connection.take_output()
    return connection


def until_cut_off(connection: Connection, make: Callable[[int], bytes], *, at_most: int = 200) -> int:
    """How many of ``make(n)`` the connection takes at one moment before it says ENHANCE_YOUR_CALM."""
    for count in range(at_most):
        connection.receive(make(count), 0.0)
        if connection.is_over:
            assert goaway_codes(frames_in(connection.take_output())) == [CALM]
            return count
    return at_most


def reset_by_client(n: int) -> bytes:
    return headers(2 * n + 1) + frame(RST_STREAM, 0, 2 * n + 1, u32(8))


def reset_by_provoked_server(n: int) -> bytes:
    return headers(2 * n + 1) + frame(WINDOW_UPDATE, 0, 2 * n + 1, u32(0))


def refused_as_malformed(n: int) -> bytes:
    return headers(2 * n + 1, [*PLAIN, ("connection", "close")])


@pytest.mark.parametrize("make", [reset_by_client, reset_by_provoked_server, refused_as_malformed])
def test_resets_in_quick_succession(make: Callable[[int], bytes]) -> None:
    assert until_cut_off(started(), make) == 20


def test_answered_calls_pay_for_resets() -> None:
    connection = started()
    for n in range(100):
        stream_id = 4 * n + 1
        for event in connection.receive(headers(stream_id, end=True), 0.0):
            assert isinstance(event, HeadersReceived)
            connection.respond(event.stream, ANSWER, b"", ANSWER)
        connection.receive(headers(stream_id + 2) + frame(RST_STREAM, 0, stream_id + 2, u32(8)), 0.0)
    assert not connection.is_over


def test_settings_in_quick_succession() -> None:
    assert until_cut_off(started(), lambda n: settings_frame({})) == 19  # the greeting had one


def test_empty_data_in_quick_succession() -> None:
    connection = started()
    connection.receive(headers(1), 0.0)
    assert until_cut_off(connection, lambda n: data(1)) == 20


def test_padding_alone_is_empty_data_too() -> None:
    connection = started()
    connection.receive(headers(1), 0.0)
    assert until_cut_off(connection, lambda n: frame(DATA, 8, 1, b"\1\0")) == 20


def test_pings_that_the_policy_allows_are_bounded_all_the_same() -> None:
    connection = started(policy=KeepalivePolicy(min_time_s=0.0, permit_without_stream=True))
    assert until_cut_off(connection, lambda n: PING_FRAME) == 20


def test_answers_that_nobody_reads_are_bounded() -> None:
    connection = started(Limits(control_bytes=5_000, concurrent_streams=0))
    refused = until_cut_off(connection, lambda n: headers(2 * n + 1), at_most=1_000)
    assert refused == 5_000 // 13


def test_one_stream_too_many_is_refused_and_its_block_decoded() -> None:
    connection = started()
    connection.receive(b"".join(headers(2 * n + 1) for n in range(10)), 0.0)
    indexed = frame(1, 5, 21, literal(PLAIN) + b"\x40\x01n\x01v")
    assert connection.receive(indexed, 0.0) == []
    assert reset_codes(frames_in(connection.take_output())) == {21: ErrorCode.REFUSED_STREAM}
    connection.receive(frame(RST_STREAM, 0, 1, u32(8)), 0.0)
    (opened,) = connection.receive(frame(1, 5, 23, literal(PLAIN) + b"\xbe"), 0.0)
    assert isinstance(opened, HeadersReceived)
    assert opened.headers.fields[-1] == (b"n", b"v")


def test_a_header_list_that_is_too_long_is_told_and_its_block_decoded() -> None:
    connection = started(Limits(header_list_bytes=400))
    many = b"\x40\x01n\x01v" + b"\xbe" * 30
    (opened,) = connection.receive(frame(1, 5, 1, literal(PLAIN) + many), 0.0)
    assert isinstance(opened, HeadersReceived)
    assert (opened.headers.is_too_large, opened.headers.fields) == (True, ())
    (opened,) = connection.receive(frame(1, 5, 3, literal(PLAIN) + b"\xbe"), 0.0)
    assert isinstance(opened, HeadersReceived)
    assert not opened.headers.is_too_large


def test_an_allowance_comes_back_with_time() -> None:
    allowance = Allowance(Rate(2, 0.5), 0.0)
    assert [allowance.take(now_s) for now_s in (0.0, 0.0, 0.0, 1.9, 2.0, 2.0)] == [
        True,
        True,
        False,
        False,
        True,
        False,
    ]
    allowance.give_back(5)
    assert [allowance.take(2.0) for _ in range(3)] == [True, True, False]


def test_the_third_ping_too_early_is_one_too_many() -> None:
    connection = started()
    connection.receive(headers(1), 0.0)
    for now_s in (1.0, 2.0, 3.0):
        connection.receive(PING_FRAME, now_s)
    assert [one.flags for one in frames_in(connection.take_output()) if one.kind == PING] == [ACK] * 3
    (ended,) = connection.receive(PING_FRAME, 4.0)
    assert isinstance(ended, ConnectionEnded)
    (goaway,) = frames_in(connection.take_output())
    assert goaway.payload == u32(1, CALM) + b"too_many_pings"


def test_pings_at_the_permitted_pace_are_answered() -> None:
    connection = started()
    connection.receive(headers(1), 0.0)
    for n in range(50):
        connection.receive(PING_FRAME, 5.0 * n)
    assert not connection.is_over


def test_pings_without_a_stream_are_strikes_unless_permitted() -> None:
    for permitted, is_over in ((False, True), (True, False)):
        connection = started(policy=KeepalivePolicy(permit_without_stream=permitted))
        for n in range(4):
            connection.receive(PING_FRAME, 6.0 * n)
        assert connection.is_over is is_over


def test_a_ping_with_each_answer_is_never_too_many() -> None:
    """grpc-go measures bandwidth so, on a lone client's connection some thousand times a second."""
    connection = started()
    for n in range(5 * SMALL.pings.burst):
        for event in connection.receive(PING_FRAME + headers(2 * n + 1, end=True), 0.0):
            assert isinstance(event, HeadersReceived)
            connection.respond(event.stream, ANSWER, b"", ANSWER)
    assert not connection.is_over


def test_a_silent_peer_is_pinged_and_then_given_up() -> None:
    connection = started(policy=KeepalivePolicy(interval_s=100.0, timeout_s=20.0))
    assert connection.wake_at_s == 100.0
    assert connection.tick(99.0) == []
    assert connection.take_output() == b""
    connection.tick(100.0)
    (ping,) = frames_in(connection.take_output())
    assert (ping.kind, ping.flags, connection.wake_at_s) == (PING, 0, 120.0)
    (ended,) = connection.tick(120.0)
    assert isinstance(ended, ConnectionEnded)
    assert connection.is_over


def test_a_peer_that_answers_is_kept() -> None:
    connection = started(policy=KeepalivePolicy(interval_s=100.0, timeout_s=20.0))
    connection.tick(100.0)
    (ping,) = frames_in(connection.take_output())
    connection.receive(frame(PING, ACK, 0, ping.payload), 110.0)
    assert connection.tick(125.0) == []
    assert connection.wake_at_s == 210.0


@pytest.mark.parametrize("sent", [b"", GREETING[:30], GREETING[: -len(frame(4, 1, 0))]])
def test_a_greeting_must_come_in_time(sent: bytes) -> None:
    connection = Connection(0.0, limits=Limits(handshake_timeout_s=10.0))
    connection.receive(sent, 1.0)
    assert connection.wake_at_s == 10.0
    connection.tick(10.0)
    assert goaway_codes(frames_in(connection.take_output())) == [ErrorCode.SETTINGS_TIMEOUT]


def kinds(events: list[Event]) -> list[type]:
    return [type(event) for event in events]


def test_a_graceful_end_answers_what_is_open_and_what_is_on_its_way() -> None:
    connection = started()
    (first,) = connection.receive(headers(1, end=True), 0.0)
    assert connection.shut_down(1.0) == []
    goaway, ping = frames_in(connection.take_output())
    assert goaway.payload[:8] == u32(MAX_STREAM_ID, ErrorCode.NO_ERROR)

    (second,) = connection.receive(headers(3, end=True) + frame(PING, ACK, 0, ping.payload), 2.0)
    (final,) = frames_in(connection.take_output())
    assert final.payload[:8] == u32(3, ErrorCode.NO_ERROR)

    assert connection.receive(headers(5) + data(5, b"x") + headers(5, [("a", "b")], end=True), 2.0) == []
    for event in (first, second):
        assert isinstance(event, HeadersReceived)
        assert not connection.is_over
        connection.respond(event.stream, ANSWER, b"body", ANSWER)
        assert len(frames_in(connection.take_output())) == 3
    assert connection.is_over
    assert kinds(connection.lost()) == [ConnectionEnded]
    assert connection.lost() == []


def test_a_graceful_end_does_not_wait_for_ever_for_the_ping() -> None:
    connection = started()
    connection.shut_down(1.0)
    assert connection.wake_at_s == 6.0
    assert kinds(connection.tick(6.0)) == [ConnectionEnded]
    assert [one.kind for one in frames_in(connection.take_output())] == [GOAWAY, PING, GOAWAY]


def test_a_peer_that_goes_away_gets_its_answers() -> None:
    connection = started()
    opened, going = connection.receive(headers(1, end=True) + goaway_frame(0, 0, b"bye"), 0.0)
    assert isinstance(opened, HeadersReceived)
    assert going == PeerGoingAway(0, b"bye")
    connection.respond(opened.stream, ANSWER, b"", ANSWER)
    connection.take_output()
    assert connection.is_over


def test_closing_ends_every_stream() -> None:
    connection = started()
    connection.receive(headers(1) + headers(3), 0.0)
    (ended,) = connection.close(ErrorCode.INTERNAL_ERROR, "because")
    assert isinstance(ended, ConnectionEnded)
    assert [stream.id for stream in ended.streams] == [1, 3]
    (goaway,) = frames_in(connection.take_output())
    assert goaway.payload == u32(3, ErrorCode.INTERNAL_ERROR) + b"because"
    assert connection.wake_at_s is None
