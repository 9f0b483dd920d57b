"""The wire protocol of libzmq, as we speak it ourselves: against libzmq, cut anywhere, and wrong."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.wire.errors import ProtocolError
from oarlock.wire.zmtp import GREETING_BYTES, MAX_COMMAND_BYTES, ZmtpEnd, encode_message

DEALERS = frozenset({"DEALER"})
ROUTERS = frozenset({"ROUTER"})
TIMEOUT_S = 30
PING = b"\x04\x0b\x04PING\x00\x0aabcd"
PONG = b"\x04\x09\x04PONGabcd"


def dealer(max_message_bytes: int = 1 << 20) -> ZmtpEnd:
    return ZmtpEnd("DEALER", ROUTERS, max_message_bytes)


def router() -> ZmtpEnd:
    return ZmtpEnd("ROUTER", DEALERS, 1 << 20)


def said(end: ZmtpEnd) -> bytes:
    """What it wants sent, taken."""
    data, end.to_send = end.to_send, b""
    return data


def handshake(end: ZmtpEnd) -> bytes:
    """All that ``end`` says until it may send messages."""
    return said(end) + end._ready_command


def ready_pair() -> tuple[ZmtpEnd, ZmtpEnd]:
    client, server = dealer(), router()
    for _ in range(2):
        server.receive(said(client))
        client.receive(said(server))
    server.receive(said(client))
    assert client.is_ready
    assert server.is_ready
    return client, server


@settings(max_examples=100, deadline=None)
@given(
    messages=st.lists(st.binary(max_size=700) | st.just(b"x" * 70_000), max_size=5),
    cuts=st.lists(st.integers(min_value=1, max_value=500), min_size=1),
)
def test_messages_arrive_however_the_bytes_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream = handshake(dealer()) + b"".join(map(encode_message, messages))
    end, received, begin = router(), [], 0
    for number in range(len(stream)):
        cut = cuts[number % len(cuts)]
        received += end.receive(stream[begin : begin + cut])
        begin += cut
        if begin >= len(stream):
            break
    assert received == messages


@settings(max_examples=300, deadline=None)
@given(garbage=st.binary(max_size=200), greeted=st.booleans())
def test_garbage_is_refused_or_waited_for(garbage: bytes, greeted: bool) -> None:
    end = router()
    if greeted:
        end.receive(said(dealer()))
    with suppress(ProtocolError):
        assert end.receive(garbage) == []


def test_a_ping_is_answered_with_its_context() -> None:
    client, _ = ready_pair()
    assert client.receive(PING + encode_message(b"m")) == [b"m"]
    assert said(client) == PONG


def test_messages_of_several_frames_are_passed_over() -> None:
    _, server = ready_pair()
    assert server.receive(b"\x01\x01a\x01\x01b\x00\x01c" + encode_message(b"m") + b"\x01\x01a") == [b"m"]
    assert server.receive(b"\x00\x01b" + encode_message(b"n")) == [b"n"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"GET / HTTP/1.1\r\n", "not a greeting"),
        (b"\xff" + bytes(8) + b"\x7f\x02\x00".ljust(GREETING_BYTES - 9, b"\0"), "version 2"),
        (b"\xff" + bytes(8) + b"\x7f\x03\x01CURVE".ljust(GREETING_BYTES - 9, b"\0"), "mechanism b'CURVE'"),
    ],
)
def test_other_protocols_are_named(data: bytes, problem: str) -> None:
    with pytest.raises(ProtocolError, match=problem):
        router().receive(data)


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (b"\x02" + struct.pack(">Q", (1 << 20) + 1), "a frame of 1048577 bytes"),
        (b"\x06" + struct.pack(">Q", MAX_COMMAND_BYTES + 1), "a frame of 4097 bytes"),
        (b"\xff" * 9, "the flags 0xff"),
        (b"\x04\x0a\x05ERROR\x03no!", "refuses: no!"),
    ],
)
def test_what_breaks_a_connection(frame: bytes, problem: str) -> None:
    _, server = ready_pair()
    with pytest.raises(ProtocolError, match=problem):
        server.receive(frame)


def test_a_socket_of_another_type_is_refused() -> None:
    end = router()
    with pytest.raises(ProtocolError, match="a socket of type 'SUB'"):
        end.receive(handshake(ZmtpEnd("SUB", ROUTERS, 1)))


@pytest.mark.parametrize("early", [encode_message(b"m"), PING, b"\x04\x05\x05REALL"])
def test_only_a_ready_comes_first(early: bytes) -> None:
    end = router()
    with pytest.raises(ProtocolError, match="before READY"):
        end.receive(said(dealer()) + early)


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


def converse(end: ZmtpEnd, connection: socket.socket) -> list[bytes]:
    """Says what is to be said, and takes messages until there is one."""
    messages: list[bytes] = []
    while not messages:
        if end.to_send:
            connection.sendall(said(end))
        if end.is_ready:
            return messages
        messages = end.receive(connection.recv(1 << 16))
    return messages


@pytest.mark.parametrize("length", [0, 255, 256, 300_000])
def test_libzmqs_router_takes_our_messages_and_answers(context: zmq.Context[zmq.Socket[bytes]], length: int) -> None:
    libzmq = context.socket(zmq.ROUTER)
    libzmq.setsockopt(zmq.RCVTIMEO, TIMEOUT_S * 1000)
    port = libzmq.bind_to_random_port("tcp://127.0.0.1")
    end = dealer()
    with closing(socket.create_connection(("127.0.0.1", port), TIMEOUT_S)) as connection:
        converse(end, connection)
        connection.sendall(encode_message(b"v" * length))
        identity, message = libzmq.recv_multipart()
        assert message == b"v" * length
        libzmq.send_multipart([identity, message + b"!"])
        answer: list[bytes] = []
        while not answer:
            answer = end.receive(connection.recv(1 << 16))
        assert answer == [message + b"!"]


def test_libzmqs_dealer_talks_to_us(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(TIMEOUT_S)
        libzmq = context.socket(zmq.DEALER)
        libzmq.setsockopt(zmq.RCVTIMEO, TIMEOUT_S * 1000)
        libzmq.setsockopt(zmq.HEARTBEAT_IVL, 100)
        libzmq.connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        libzmq.send(b"question")
        end = router()
        with closing(listener.accept()[0]) as connection:
            connection.settimeout(TIMEOUT_S)
            messages: list[bytes] = []
            while not messages:
                connection.sendall(said(end))
                messages = end.receive(connection.recv(1 << 16))
            assert messages == [b"question"]
            while not end.to_send:  # the first PING comes after a tenth of a second
                assert end.receive(connection.recv(1 << 16)) == []
            connection.sendall(said(end) + encode_message(b"answer"))
            assert libzmq.recv() == b"answer"
