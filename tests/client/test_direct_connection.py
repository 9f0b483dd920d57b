"""The connection without libzmq's threads behaves as libzmq's does, towards its driver and towards the other end."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from select import select
from typing import Any

import pytest

import oarlock
from oarlock.connection import Connection, News
from oarlock.direct_connection import DirectConnection, open_connection
from oarlock.wire.zmtp import ZmtpEnd, encode_message
from tests.client.fake_worker import FakeWorker

TIMEOUT_S = 30


@contextmanager
def opened(port: int) -> Iterator[DirectConnection]:
    connection = open_connection(f"127.0.0.1:{port}")
    assert isinstance(connection, DirectConnection)
    with closing(connection):
        yield connection


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(TIMEOUT_S)
        yield listener


def take(
    connection: DirectConnection, done: Callable[[list[bytes], list[News]], bool]
) -> tuple[list[bytes], list[News]]:
    """Waits on the descriptor, as a driver does, until ``done`` with what came."""
    messages: list[bytes] = []
    news: list[News] = []
    deadline_s = time.monotonic() + TIMEOUT_S
    while not done(messages, news):
        assert select([connection.fd], [], [], max(0.0, deadline_s - time.monotonic()))[0], "nothing came"
        messages += connection.receive(2)
        news += connection.news()
    return messages, news


def test_news_and_messages_come_by_the_one_descriptor(listener: socket.socket) -> None:
    with opened(listener.getsockname()[1]) as connection, closing(listener.accept()[0]) as peer:
        peer.sendall(ZmtpEnd("ROUTER", frozenset(), 1).to_send)  # libzmq, too, speaks first
        take(connection, lambda *_: bool(select([peer], [], [], 0)[0]))
        end = ZmtpEnd("ROUTER", frozenset({"DEALER"}), 1 << 20)
        while not end.is_ready:
            end.receive(peer.recv(1 << 16))
            peer.sendall(end.to_send[64:])
            end.to_send = end.to_send[:64]
        assert take(connection, lambda _, news: bool(news)) == ([], [News.UP])
        for number in range(5):
            peer.sendall(encode_message(b"%d" % number))
        peer.close()
        messages, news = take(connection, lambda _, news: bool(news))
        assert messages == [b"0", b"1", b"2", b"3", b"4"]
        assert news == [News.LOST]
        assert not connection.has_news


def test_a_refused_connection_is_lost() -> None:
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        with opened(nobody.getsockname()[1]) as connection:
            assert take(connection, lambda _, news: bool(news)) == ([], [News.LOST])


def test_a_peer_of_another_kind_is_lost(listener: socket.socket) -> None:
    with opened(listener.getsockname()[1]) as connection, closing(listener.accept()[0]) as peer:
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert take(connection, lambda _, news: bool(news)) == ([], [News.LOST])


def test_a_message_that_does_not_fit_goes_on_where_it_stopped(listener: socket.socket) -> None:
    long, short = b"l" * (16 << 20), b"s"
    with opened(listener.getsockname()[1]) as connection, closing(listener.accept()[0]) as peer:
        peer.sendall(ZmtpEnd("ROUTER", frozenset(), 1).to_send)
        take(connection, lambda *_: bool(select([peer], [], [], 0)[0]))
        end = ZmtpEnd("ROUTER", frozenset({"DEALER"}), 1 << 30)
        assert not connection.send(long), "the kernel took 16 MiB at once"
        received: list[bytes] = []
        sent = [long, short]
        while len(received) < 2:
            received += end.receive(peer.recv(1 << 20))
            while sent and connection.send(sent[0]):
                sent.pop(0)
        assert received == [long, short]


def test_a_name_is_left_to_libzmq() -> None:
    connection = open_connection("localhost:1")
    assert isinstance(connection, Connection)
    connection.close()


def test_a_client_by_name_and_by_number(worker: FakeWorker) -> None:
    for host in ("localhost", "127.0.0.1"):
        with oarlock.connect(f"{host}:{worker.port}", connect_timeout_s=TIMEOUT_S) as client:
            client.put("k", host)
            found: Any = client.get("k")
            assert found.value == host.encode()


def test_an_idle_client_answers_pings_when_it_is_used_again(listener: socket.socket) -> None:
    with opened(listener.getsockname()[1]) as connection, closing(listener.accept()[0]) as peer:
        peer.sendall(ZmtpEnd("ROUTER", frozenset(), 1).to_send)
        take(connection, lambda *_: bool(select([peer], [], [], 0)[0]))
        peer.sendall(b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER")
        take(connection, lambda _, news: news == [News.UP])
        peer.sendall(b"\x04\x09\x04PING\x00\x0aab")
        assert select([connection.fd], [], [], TIMEOUT_S)[0]
        assert connection.receive(1) == []
        peer.settimeout(TIMEOUT_S)
        heard = b""
        while not heard.endswith(b"\x04\x07\x04PONGab"):
            heard += peer.recv(1 << 16)
