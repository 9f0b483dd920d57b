"""Messages over a stream socket between two processes of one host: framed, in order, without waiting.

The processes of one host are so close that ZeroMQ's I/O threads are most of a message's way: a round trip over a unix
socket takes 12 µs where ZeroMQ's ipc transport takes 50 (measured; see docs/performance.md). A frame is its length, 4
bytes little-endian, and a msgpack value.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from struct import Struct
from typing import Any, Final

from oarlock.wire.errors import ProtocolError
from oarlock.wire.frames import MAX_FRAME_BYTES, pack, unpack

_LENGTH: Final = Struct("<I")
READ_BYTES: Final = 1 << 18
"""Read at once; larger frames take several reads."""
MAX_READS: Final = 16
"""Reads a call of ``receive``: 4 MiB, after which others get their turn."""


class ChannelClosedError(ProtocolError):
    """The other end has closed the channel, or is no end of ours."""

    text = "oarlock: channel closed"


class Channel:
    """One end of a connection.

    Invariants:
    1. Bytes leave in the order of ``send``: as long as any wait in ``_outbox``, nothing is sent past them.
    2. ``waiting_bytes`` is what waits in ``_outbox``.

    Args:
        stream: a connected stream socket; the channel owns it and makes it non-blocking.
    """

    def __init__(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        self._socket = stream
        self._inbox = bytearray()
        self._outbox: deque[memoryview] = deque()
        self.waiting_bytes = 0

    def fileno(self) -> int:
        """The descriptor: readable when there is something to receive, or the other end has closed."""
        return self._socket.fileno()

    def send(self, message: Any) -> bool:
        """Sends a message, or keeps it until ``flush`` can.

        The caller bounds what it sends; ``waiting_bytes`` tells how much the other end is behind.

        Returns:
            Whether all of it has left; if not, call ``flush`` when the descriptor is writable.

        Raises:
            ChannelClosedError: the other end has closed.
        """
        return self.send_packed(pack(message))

    def send_packed(self, body: bytes) -> bool:
        """As ``send``, for a value that is packed already, once for several channels."""
        self._outbox.append(memoryview(_LENGTH.pack(len(body)) + body))
        self.waiting_bytes += len(body) + _LENGTH.size
        if len(self._outbox) > 1:
            return False  # what waits before it could not be sent a moment ago
        return self.flush()

    def flush(self) -> bool:
        """Sends what waits, as far as the other end takes it; returns whether all of it has left.

        Raises:
            ChannelClosedError: the other end has closed.
        """
        while self._outbox:
            part = self._outbox[0]
            try:
                sent = self._socket.send(part)
            except BlockingIOError:
                return False
            except OSError as problem:
                raise ChannelClosedError(f"{ChannelClosedError.text}: {problem}") from problem
            self.waiting_bytes -= sent
            if sent < len(part):
                self._outbox[0] = part[sent:]
                return False
            self._outbox.popleft()
        return True

    def receive(self) -> Iterator[Any]:
        """The messages that have arrived, without waiting.

        Raises:
            ChannelClosedError: the other end has closed; raised after its last message was given.
            ProtocolError: what arrived is no frame of ours.
        """
        for _ in range(MAX_READS):
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError as problem:
                raise ChannelClosedError(f"{ChannelClosedError.text}: {problem}") from problem
            if not data:
                raise ChannelClosedError
            if self._inbox:
                self._inbox += data
                data = bytes(self._inbox) if self._has_frame() else b""
                if not data:
                    continue
                self._inbox.clear()
            yield from self._frames(data)
            if len(data) < READ_BYTES:
                return

    def close(self) -> None:
        """Closes the socket; what waits is dropped."""
        self._socket.close()

    def _has_frame(self) -> bool:
        inbox = self._inbox
        return len(inbox) >= _LENGTH.size and len(inbox) >= _LENGTH.size + _length_at(inbox, 0)

    def _frames(self, data: bytes) -> Iterator[Any]:
        """The whole frames in ``data``; the rest goes to the inbox."""
        begin, available = 0, len(data)
        while available - begin >= _LENGTH.size:
            body = begin + _LENGTH.size
            end = body + _length_at(data, begin)
            if end > available:
                break
            begin = end
            yield unpack(data[body:end])
        self._inbox += data[begin:]


def _length_at(data: bytes | bytearray, offset: int) -> int:
    length: int = _LENGTH.unpack_from(data, offset)[0]
    if length > MAX_FRAME_BYTES:
        raise ProtocolError(f"{ProtocolError.text}: a frame of {length} bytes; the longest has {MAX_FRAME_BYTES}")
    return length
