"""Messages over a stream socket between two processes of one host: framed, in order, without waiting.

The processes of one host are so close that ZeroMQ's I/O threads are most of a message's way: a round trip over a unix
socket takes 12 µs where ZeroMQ's ipc transport takes 50 (measured; see docs/performance.md). A frame is its length, 4
bytes little-endian, and a msgpack value. One of no bytes is a knock: a message is about to come.
"""

from __future__ import annotations

import socket
from collections import deque
from struct import Struct
from typing import Any, Final

from oarlock.wire.errors import ProtocolError
from oarlock.wire.frames import MAX_FRAME_BYTES, pack, unpack

_LENGTH: Final = Struct("<I")
_KNOCK: Final = memoryview(_LENGTH.pack(0))
READ_BYTES: Final = 1 << 18
"""Read at once, into memory that is kept: to get so much each time takes 10 µs. Larger frames take several reads."""
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
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._inbox = bytearray()
        self._outbox: deque[memoryview] = deque()
        self.waiting_bytes = 0
        self._was_knocked = False

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

    def knock(self) -> bool:
        """Wakes the other end, for a message that is about to be sent: by an empty frame, which is no message. Nothing
        where others wait to be sent.

        Returns:
            As ``send``.

        Raises:
            ChannelClosedError: the other end has closed.
        """
        if self._outbox:
            return False
        self._outbox.append(_KNOCK)
        self.waiting_bytes += len(_KNOCK)
        return self.flush()

    def take_knock(self) -> bool:
        """Whether the other end has knocked since the last time; ``receive`` finds it."""
        was_knocked, self._was_knocked = self._was_knocked, False
        return was_knocked

    def receive(self) -> list[Any]:
        """The messages that have arrived, without waiting; where the other end has closed, first those before the end.

        Raises:
            ChannelClosedError: the other end has closed.
            ProtocolError: what arrived is no frame of ours. The messages before it are lost with the connection.
        """
        messages: list[Any] = []
        for _ in range(MAX_READS):
            try:
                count = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                break
            except OSError as problem:
                if messages:
                    break  # the next read says that it is closed
                raise ChannelClosedError(f"{ChannelClosedError.text}: {problem}") from problem
            if not count:
                if messages:
                    break
                raise ChannelClosedError
            if not self._inbox:
                self._take_frames(self._view[:count], messages)
            else:
                self._inbox += self._view[:count]
                if self._has_frame():
                    data, self._inbox = bytes(self._inbox), bytearray()
                    self._take_frames(memoryview(data), messages)
            if count < READ_BYTES:
                break
        return messages

    def close(self) -> None:
        """Closes the socket; what waits is dropped."""
        self._socket.close()

    def _has_frame(self) -> bool:
        inbox = self._inbox
        return len(inbox) >= _LENGTH.size and len(inbox) >= _LENGTH.size + _length_at(inbox, 0)

    def _take_frames(self, data: memoryview, messages: list[Any]) -> None:
        """Adds the whole frames in ``data`` to ``messages``; the rest goes to the inbox."""
        begin, available = 0, len(data)
        while available - begin >= _LENGTH.size:
            body = begin + _LENGTH.size
            end = body + _length_at(data, begin)
            if end > available:
                break
            if end > body:
                messages.append(unpack(data[body:end]))
            else:
                self._was_knocked = True
            begin = end
        if begin < available:
            self._inbox += data[begin:]


def _length_at(data: memoryview | bytearray, offset: int) -> int:
    length: int = _LENGTH.unpack_from(data, offset)[0]
    if length > MAX_FRAME_BYTES:
        raise ProtocolError(f"{ProtocolError.text}: a frame of {length} bytes; the longest has {MAX_FRAME_BYTES}")
    return length
