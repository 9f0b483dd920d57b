"""One ZeroMQ connection to one address, and news of it. Never waits; not for two threads at once.

A DEALER for requests, or an XSUB for watches, that connects once: libzmq's own reconnection is off, because a
connection that was silently replaced has lost what it carried. A monitor socket tells when it is up, and when gone.
"""

from __future__ import annotations

import os
import struct
from enum import Enum
from typing import Any, Final, Protocol

import zmq

from oarlock.wire.frames import MAX_FRAME_BYTES

HEARTBEAT_INTERVAL_MS: Final = 2_000
HEARTBEAT_TIMEOUT_MS: Final = 6_000
"""A host that vanishes without a word is noticed in 8 seconds at most, also by a client that only watches."""
HIGH_WATER_MARK: Final = 1_000
"""Messages (of up to a mebibyte, mostly far smaller) that libzmq holds for us in either direction."""
WATCH_QUEUE_MESSAGES: Final = 50_000
"""Published messages held for a loop that is busy: a burst of one for each of thousands of watches should not overflow,
since what overflows costs a pull each. Small ones, mostly: some 20 MB."""
MAX_SOCKETS: Final = 65_536
"""Of a process: a load generator has thousands of clients with three sockets each."""

_LOST: Final = (
    zmq.Event.DISCONNECTED
    | zmq.Event.CLOSED
    | zmq.Event.CONNECT_RETRIED
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
)
_MONITORED: Final = zmq.Event.HANDSHAKE_SUCCEEDED | _LOST
_EVENTS, _POLLIN, _NOBLOCK = int(zmq.EVENTS), int(zmq.POLLIN), int(zmq.NOBLOCK)

_context: zmq.Context[zmq.Socket[bytes]] | None = None
_context_pid = 0


def context() -> zmq.Context[zmq.Socket[bytes]]:
    """The process's context, shared by its clients and never terminated, so that nothing hangs on it.

    A forked child makes its own: a context does not survive a fork.
    """
    global _context, _context_pid
    if _context is None or _context_pid != os.getpid():
        _context = zmq.Context()
        _context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
        _context_pid = os.getpid()
    return _context


def set_common_options(socket: zmq.Socket[bytes]) -> None:
    """What request and watch sockets have in common. LINGER 0: nobody waits for what a closed client had to say."""
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
    socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.setsockopt(zmq.IPV6, 1)


class News(Enum):
    """What became of the connection."""

    UP = "up"
    LOST = "lost"


class AnyConnection(Protocol):
    """What a driver needs of a connection, whoever speaks the protocol: see ``Connection``."""

    @property
    def fd(self) -> int: ...

    @property
    def monitor_fd(self) -> int | None: ...

    @property
    def has_news(self) -> bool: ...

    def send(self, message: bytes) -> bool: ...

    def receive(self, limit: int) -> list[bytes]: ...

    def news(self) -> list[News]: ...

    def close(self) -> None: ...


class Connection:
    """A socket of its own for the one attempt to talk to ``address`` ("tcp://host:port").

    Attributes:
        fd: readable, by an edge, when there may be something to receive.
        monitor_fd: likewise when there may be news.
        has_news: whether there are some, as far as this end knows without a look at ``monitor_fd``.
    """

    has_news: Final = False

    def __init__(self, address: str, kind: int = zmq.DEALER) -> None:
        self._socket: Final = context().socket(kind)
        try:
            set_common_options(self._socket)
            if kind == zmq.XSUB:  # XSUB drops what does not fit; subscriptions are bounded by the number of watches
                self._socket.setsockopt(zmq.SNDHWM, 0)
                self._socket.setsockopt(zmq.RCVHWM, WATCH_QUEUE_MESSAGES)
            self._socket.setsockopt(zmq.IMMEDIATE, 1)
            self._socket.setsockopt(zmq.RECONNECT_IVL, -1)
            self._monitor: Final[zmq.Socket[bytes]] = self._socket.get_monitor_socket(_MONITORED)
            self._monitor.setsockopt(zmq.LINGER, 0)
            self.fd: Final = int(self._socket.getsockopt(zmq.FD))
            self.monitor_fd: Final = int(self._monitor.getsockopt(zmq.FD))
            self._send: Final = self._socket.send
            self._receive: Final[Any] = self._socket.recv
            self._getsockopt: Final[Any] = self._socket.getsockopt
            self._monitor_getsockopt: Final[Any] = self._monitor.getsockopt
            self._socket.connect(address)
        except BaseException:
            self._socket.close(linger=0)
            raise

    def send(self, message: bytes) -> bool:
        """Hands a message over; False where libzmq holds as many as it may."""
        try:
            self._send(message, _NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self, limit: int) -> list[bytes]:
        """The messages that are there, ``limit`` at most.

        The descriptor is edge-triggered: after a full list, or after a send, there may be more without another signal.
        """
        messages: list[bytes] = []
        while len(messages) < limit and self._getsockopt(_EVENTS) & _POLLIN:
            messages.append(self._receive(_NOBLOCK))
        return messages

    def news(self) -> list[News]:
        """What happened to the connection since the last look."""
        found: list[News] = []
        while self._monitor_getsockopt(_EVENTS) & _POLLIN:
            event, _ = struct.unpack("=HI", self._monitor.recv_multipart(_NOBLOCK)[0])
            if event == zmq.Event.HANDSHAKE_SUCCEEDED:
                found.append(News.UP)
            elif event & _LOST:
                found.append(News.LOST)
        return found

    def close(self) -> None:
        """Closes both sockets; nothing that was not sent yet is."""
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
            self._socket.close(linger=0)
