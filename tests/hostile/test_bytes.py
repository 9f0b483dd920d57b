"""Bytes on the native ports that are no ZeroMQ, or stop being it: the connection ends, and nothing else happens."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from random import Random

import pytest

import oarlock
from tests.server import Server

SIGNATURE = b"\xff" + b"\0" * 7 + b"\1\x7f"
GREETING = SIGNATURE + b"\3\0" + b"NULL".ljust(20, b"\0") + b"\0" * 32
READY = b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
SUBSCRIBER = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x04XSUB"
HUGE = b"\x02" + b"\x7f" * 8
"""The head of a frame that announces more bytes than there are."""
PORTS = ("native_endpoint", "watch_endpoint")
TIMEOUT_S = 20.0


def dial(endpoint: str) -> socket.socket:
    host, port = endpoint.rsplit(":", 1)
    return socket.create_connection((host, int(port)), TIMEOUT_S)


def say(endpoint: str, *parts: bytes) -> socket.socket:
    """A connection on which this was sent; the server may have closed it on the way."""
    connection = dial(endpoint)
    with contextlib.suppress(OSError):
        for part in parts:
            connection.sendall(part)
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Whether the server closes it; reads away what it says before."""
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(
    "parts",
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 64,),
        (b"\x16\x03\x01" + b"\0" * 200,),
        (GREETING.replace(b"NULL", b"WHAT"), b"\0" * 64),
        (GREETING, b"\x04\x05\x05REALL"),
        (GREETING, READY.replace(b"DEALER", b"PUSHER")),
        (GREETING, READY, HUGE),
        (GREETING, b"\xff" * 300),
    ],
    ids=["http/2", "tls", "mechanism", "command", "socket type", "huge frame", "reserved flags"],
)
def test_what_is_not_the_protocol_costs_the_connection(victim: Server, port: str, parts: tuple[bytes, ...]) -> None:
    with say(getattr(victim, port), *parts) as connection:
        assert is_closed(connection)


@pytest.mark.parametrize("port", PORTS)
def test_random_bytes_at_any_point_of_a_conversation(victim: Server, neighbour: oarlock.Client, port: str) -> None:
    for parts in conversations(Random(port), 150):
        say(getattr(victim, port), *parts).close()
    neighbour.put("still", "here")


@pytest.mark.soak
@pytest.mark.parametrize("port", PORTS)
def test_random_bytes_for_long(victim: Server, neighbour: oarlock.Client, port: str) -> None:
    for number, parts in enumerate(conversations(Random(), 20_000)):
        say(getattr(victim, port), *parts).close()
        if number % 100 == 0:
            neighbour.put("still", "here")


def conversations(random: Random, count: int) -> Iterator[tuple[bytes, ...]]:
    """Conversations that begin well, or not at all, and go astray somewhere."""
    for _ in range(count):
        whole = GREETING + (READY if random.random() < 0.7 else SUBSCRIBER)
        well = whole[: random.choice([0, 1, 9, 10, 11, 12, 64, len(whole), random.randrange(len(whole))])]
        astray = bytearray(random.randbytes(random.choice([0, 1, 2, 9, 64, 2000])))
        if astray and random.random() < 0.5:
            astray[0] = random.choice([0, 1, 2, 3, 4, 5, 6, 7])  # what may begin a frame
        yield well, bytes(astray)


@pytest.mark.parametrize("port", PORTS)
def test_connections_that_say_nothing_or_very_little_hold_nobody_up(
    victim: Server, neighbour: oarlock.Client, port: str
) -> None:
    idle = [say(getattr(victim, port), GREETING[: number % 64]) for number in range(300)]
    idle.append(say(getattr(victim, port), b"GET / HTTP/1.1\r\n\r\n"))  # libzmq waits: a peer of its first version?
    for number in range(20):
        neighbour.put("busy", str(number))
    for connection in idle:
        connection.close()


@pytest.mark.parametrize("port", PORTS)
def test_thousands_of_connections_that_come_and_vanish(victim: Server, neighbour: oarlock.Client, port: str) -> None:
    for number in range(2_000):
        say(getattr(victim, port), GREETING[: 64 * (number % 2)]).close()
    neighbour.put("still", "here")
