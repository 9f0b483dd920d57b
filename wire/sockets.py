"""Sockets that clients reach: one port for all workers of a host."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from struct import Struct
from typing import Final
from urllib.parse import urlsplit

import zmq

from oarlock.wire.errors import ConfigurationError

LISTEN_BACKLOG: Final = 4096
"""Connections that wait to be accepted: thousands of clients may come back at once after a restart."""


SILENT_S: Final = 10
PROBE_S: Final = 5
PROBES: Final = 2
"""A connection on which nothing came for so long is probed, so often, so many times: a host that vanished without a
word is noticed in 20 seconds. The kernel does it, also for a process that has no thread to answer with."""


def detect_dead_peers(connection: socket.socket) -> None:
    """Has the kernel break a TCP connection whose other host is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, (SILENT_S + PROBE_S * PROBES) * 1000)


def split_endpoint(url: str) -> tuple[str, int]:
    """Host and port of ``tcp://host:port``; the host ``*`` becomes the empty one: every address.

    Raises:
        ConfigurationError: not such an endpoint.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "tcp" or port is None or parts.path not in ("", "/"):
        raise ConfigurationError(f"{url!r}: must be tcp://host:port")
    host = parts.hostname or ""
    return ("" if host == "*" else host), port


def listen_shared(url: str) -> socket.socket:
    """A listening socket whose port other processes of ours listen on as well; the kernel spreads connections.

    Args:
        url: ``tcp://host:port``.

    Raises:
        ConfigurationError: not such a url, or the address cannot be had; the message names it.
    """
    host, port = split_endpoint(url)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as problem:
        raise ConfigurationError(f"{url}: cannot listen: {problem}") from problem
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(LISTEN_BACKLOG)
        listener.setblocking(False)
    except OSError as problem:
        listener.close()
        raise ConfigurationError(f"{url}: cannot listen: {problem}") from problem
    return listener


def bind_shared(zmq_socket: zmq.Socket[bytes], url: str) -> None:
    """Binds a ZeroMQ socket to a port that other processes of ours are bound to as well (ZMQ_USE_FD).

    Raises:
        ConfigurationError: as ``listen_shared``.
    """
    listener = listen_shared(url)
    host, port = listener.getsockname()[:2]
    zmq_socket.setsockopt(zmq.USE_FD, listener.detach())
    zmq_socket.bind(f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}")


def descriptor(zmq_socket: zmq.Socket[bytes]) -> int:
    """The descriptor that becomes readable when the socket's events may have changed (edge-triggered)."""
    return int(zmq_socket.getsockopt(zmq.FD))


def is_readable(zmq_socket: zmq.Socket[bytes]) -> bool:
    """Whether a message can be received without waiting."""
    return bool(int(zmq_socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)


_MONITORED: Final = Struct("=HI")


def monitored_event(frames: Sequence[bytes]) -> int:
    """The event that a message of a monitor socket tells of (zmq_socket_monitor(3)).

    pyzmq has the same, in a module that imports all of asyncio.

    Raises:
        struct.error: the message is none of a monitor.
    """
    event, _ = _MONITORED.unpack(frames[0])
    return int(event)
