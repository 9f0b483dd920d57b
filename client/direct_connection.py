"""The connection for requests without libzmq's threads: whoever waits for the answer reads it from the TCP socket.

It speaks libzmq's protocol (wire/zmtp.py), and is used as a ``Connection`` is. Between libzmq's thread and ours a lone
request and its answer change hands twice, which takes about as long as all the rest of a read.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import Any, Final

from oarlock.connection import Connection, News
from oarlock.wire.errors import ProtocolError
from oarlock.wire.frames import MAX_FRAME_BYTES
from oarlock.wire.sockets import detect_dead_peers, split_endpoint
from oarlock.wire.zmtp import ZmtpEnd, encode_message

READ_BYTES: Final = 1 << 16
"""Read at once: most replies are far shorter, and a buffer of this length costs malloc nothing."""
PEER_TYPES: Final = frozenset({"ROUTER", "DEALER", "REP"})
"""What a DEALER talks to."""


def open_connection(endpoint: str) -> Connection | DirectConnection:
    """A connection to ``endpoint``, "host:port", that is about to be made.

    A name of a host is left to libzmq, whose thread looks it up: that may take seconds, and must not hold up a loop.

    Raises:
        OSError, zmq.ZMQError: there cannot be one.
    """
    address = f"tcp://{endpoint}"
    host, port = split_endpoint(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return Connection(address)
    return DirectConnection(found[0][0], found[0][4])


class DirectConnection:
    """A TCP connection for the one attempt to talk to ``address``. Never waits; not for two threads at once.

    Invariants:
    1. ``_outbox`` is what is left of the frame that is being sent: of a message of the caller's, where ``_has_begun``,
       else of our own. Nothing is sent past it.
    2. After LOST was given nothing else comes.

    Args:
        family: of the address.
        address: as the ``socket`` module has them.

    Attributes:
        fd: readable when there is something to receive, or news.
        monitor_fd: None: there is no other descriptor.
        has_news: whether ``news`` has something to say.
    """

    monitor_fd: Final = None

    def __init__(self, family: int, address: tuple[Any, ...]) -> None:
        self._socket: Final = socket.socket(family, socket.SOCK_STREAM)
        self._end: Final = ZmtpEnd("DEALER", PEER_TYPES, MAX_FRAME_BYTES)
        self._received: Final[deque[bytes]] = deque()
        self._outbox = memoryview(b"")
        self._has_begun = False
        self._is_up = self._is_lost = False
        self._news: list[News] = []
        self.has_news = False
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            detect_dead_peers(self._socket)
            self._socket.connect_ex(address)  # what comes of it makes the descriptor readable
        except BaseException:
            self._socket.close()
            raise
        self.fd: Final = self._socket.fileno()

    def send(self, message: bytes) -> bool:
        """Hands a message over; False where not all of it could go: to be called again, with the same one."""
        if not self._has_begun:
            if not self._flush():
                return False
            self._outbox, self._has_begun = memoryview(encode_message(message)), True
        if not self._flush():
            return False
        self._has_begun = False
        return True

    def receive(self, limit: int) -> list[bytes]:
        """The messages that are there, ``limit`` at most; fewer than that are all."""
        received = self._received
        while len(received) < limit and not self._is_lost and self._read():
            pass
        if len(received) <= limit:
            messages = list(received)
            received.clear()
            return messages
        return [received.popleft() for _ in range(limit)]

    def news(self) -> list[News]:
        """What happened to the connection since the last look."""
        found, self._news, self.has_news = self._news, [], False
        return found

    def close(self) -> None:
        """Closes the socket; nothing that was not sent yet is."""
        self._socket.close()

    def _read(self) -> bool:
        """Takes what has come; whether there may be more."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            self._lost()
            return False
        if not data:
            self._lost()
            return False
        try:
            self._received.extend(self._end.receive(data))
        except ProtocolError:
            self._lost()
            return False
        if self._end.to_send or (self._end.is_ready and not self._is_up):
            self._shake_hands()
        return len(data) == READ_BYTES

    def _shake_hands(self) -> None:
        """Says what the protocol wants said, but not between two parts of a message."""
        if not self._outbox:
            self._outbox, self._end.to_send = memoryview(self._end.to_send), b""
            self._flush()
        if self._end.is_ready and not self._is_up:
            self._is_up = True
            self._tell(News.UP)

    def _flush(self) -> bool:
        """Sends what waits, as far as there is room; returns whether all of it is gone."""
        if self._outbox:
            try:
                sent = self._socket.send(self._outbox, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return False
            except OSError:
                self._lost()
                return False
            self._outbox = self._outbox[sent:]
        return not self._outbox

    def _lost(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._tell(News.LOST)

    def _tell(self, news: News) -> None:
        self._news.append(news)
        self.has_news = True
