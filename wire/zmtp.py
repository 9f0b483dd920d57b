"""ZMTP 3.1 with the NULL mechanism, without I/O: what libzmq's sockets say to each other on a TCP connection.

libzmq hands each message from one thread to another on either side, and on an idle machine every such hand-over wakes a
sleeping core. A lone request is answered in half the time where the threads that have the work read and write the
connection themselves. The wire is libzmq's (ZeroMQ RFC 37), so that either end may be libzmq, or this.

An end says its greeting (64 octets) at once, then READY with its socket's type, then messages. Both sides may send
commands at any time; a PING is answered by a PONG with the same context. All our messages are of one frame: those of
several are passed over.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from oarlock.wire.errors import ProtocolError

GREETING_BYTES: Final = 64
MAX_COMMAND_BYTES: Final = 4096
"""Longer than any command that a socket without subscriptions gets: READY has a few short properties."""
MAX_CONTEXT_BYTES: Final = 16
"""What a PING may carry, for its PONG to give back."""

_MORE, _LONG, _COMMAND = 1, 2, 4
_MECHANISM: Final = b"NULL".ljust(20, b"\0")
_SIGNATURE_BYTES: Final = 10
_GREETING: Final = (b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + _MECHANISM).ljust(GREETING_BYTES, b"\0")
_LENGTH: Final = Struct(">Q")
_PROPERTY_LENGTH: Final = Struct(">I")


def encode_message(message: bytes) -> bytes:
    """A message of one frame, as it goes over the wire."""
    length = len(message)
    if length < 256:
        return b"\0%c%b" % (length, message)
    return b"\2%b%b" % (_LENGTH.pack(length), message)


class ZmtpEnd:
    """One end of a connection: bytes in, messages out, and bytes that it wants sent.

    Invariants:
    1. ``to_send`` has what this end has to say by itself (greeting, READY, PONG) and the driver has not taken yet.
    2. Messages come only after the peer's READY; ``is_ready`` tells that it came.
    3. After an error the connection is of no use: the driver closes it.

    Args:
        socket_type: ours, "DEALER" for one.
        peer_types: those that ours talks to.
        max_message_bytes: a peer that announces more breaks the protocol.
    """

    def __init__(self, socket_type: str, peer_types: frozenset[str], max_message_bytes: int) -> None:
        self._ready_command: Final = _command(b"READY", _property(b"Socket-Type", socket_type.encode()))
        self._peer_types: Final = peer_types
        self._max_message_bytes: Final = max_message_bytes
        self._inbox = bytearray()
        self._greeted = False
        self._is_within_parts = False
        self.is_ready = False
        self.to_send = _GREETING

    def receive(self, data: bytes) -> list[bytes]:
        """The messages that ``data`` completes, in order.

        Raises:
            ProtocolError: the peer speaks something else, another mechanism, or is no socket for ours.
        """
        if self._inbox:
            self._inbox += data
            if len(self._inbox) < self._frame_end(self._inbox, 0):
                return []  # a long message comes in many parts: they are copied once
            data = bytes(self._inbox)
            self._inbox.clear()
        begin = 0
        if not self._greeted:
            begin = self._read_greeting(data)
        messages: list[bytes] = []
        if self._greeted:
            begin = self._read_frames(data, begin, messages)
        if begin < len(data):
            self._inbox += data[begin:]
        return messages

    def _read_greeting(self, data: bytes) -> int:
        signature = data[:_SIGNATURE_BYTES]
        if signature[:1] != b"\xff" or (len(signature) == _SIGNATURE_BYTES and not signature[-1] & 1):
            raise _malformed("not a greeting of ZMTP")
        if len(data) < GREETING_BYTES:
            return 0
        if data[_SIGNATURE_BYTES] < 3:
            raise _malformed(f"version {data[_SIGNATURE_BYTES]} of ZMTP is too old")
        if data[12:32] != _MECHANISM:
            raise _malformed(f"mechanism {data[12:32].rstrip(bytes(1))!r} is not NULL")
        self._greeted = True
        self.to_send += self._ready_command
        return GREETING_BYTES

    def _read_frames(self, data: bytes, begin: int, messages: list[bytes]) -> int:
        """Takes whole frames off ``data`` from ``begin`` on; returns where the rest begins."""
        available = len(data)
        while available - begin > 1 and (end := self._frame_end(data, begin)) <= available:
            flags = data[begin]
            body = data[begin + (9 if flags & _LONG else 2) : end]
            begin = end
            if flags & _COMMAND:
                self._take_command(body)
            elif not self.is_ready:
                raise _malformed("a message before READY")
            elif not flags & _MORE and not self._is_within_parts:
                messages.append(body)
            else:
                self._is_within_parts = bool(flags & _MORE)
        return begin

    def _frame_end(self, data: bytes | bytearray, begin: int) -> int:
        """Where the frame at ``begin`` ends; beyond all that there is where its length is not there yet."""
        if not self._greeted:
            return GREETING_BYTES
        available = len(data) - begin
        if available < 2:
            return begin + 2
        if data[begin] & _LONG and available < 9:
            return begin + 9
        flags = data[begin]
        if flags & ~(_MORE | _LONG | _COMMAND):
            raise _malformed(f"a frame with the flags {flags:#x}")
        length: int = _LENGTH.unpack_from(data, begin + 1)[0] if flags & _LONG else data[begin + 1]
        if length > (MAX_COMMAND_BYTES if flags & _COMMAND else self._max_message_bytes):
            raise _malformed(f"a frame of {length} bytes")
        return begin + (9 if flags & _LONG else 2) + length

    def _take_command(self, body: bytes) -> None:
        name_end = 1 + (body[0] if body else 0)
        name = body[1:name_end]
        if name == b"READY":
            peer_type = _properties(body[name_end:]).get(b"socket-type", b"").decode("ascii", "replace")
            if peer_type not in self._peer_types:
                raise _malformed(f"a socket of type {peer_type!r}")
            self.is_ready = True
        elif name == b"ERROR":
            raise _malformed(f"the other end refuses: {body[name_end + 1 :].decode('ascii', 'replace')}")
        elif not self.is_ready:
            raise _malformed("another command before READY")
        elif name == b"PING":  # all others are for other kinds of sockets
            self.to_send += _command(b"PONG", body[name_end + 2 :][:MAX_CONTEXT_BYTES])  # without the time to live


def _command(name: bytes, rest: bytes) -> bytes:
    body = b"%c%b%b" % (len(name), name, rest)
    return b"%c%c%b" % (_COMMAND, len(body), body)


def _property(name: bytes, value: bytes) -> bytes:
    return b"%c%b%b%b" % (len(name), name, _PROPERTY_LENGTH.pack(len(value)), value)


def _properties(data: bytes) -> dict[bytes, bytes]:
    """The properties of a READY; their names have no case."""
    found: dict[bytes, bytes] = {}
    while data:
        name_end = 1 + data[0]
        value_begin = name_end + _PROPERTY_LENGTH.size
        if value_begin > len(data):
            raise _malformed("a READY that is cut off")
        value_end = value_begin + _PROPERTY_LENGTH.unpack_from(data, name_end)[0]
        if value_end > len(data):
            raise _malformed("a READY that is cut off")
        found[data[1:name_end].lower()] = data[value_begin:value_end]
        data = data[value_end:]
    return found


def _malformed(problem: str) -> ProtocolError:
    return ProtocolError(f"{ProtocolError.text}: {problem}")
