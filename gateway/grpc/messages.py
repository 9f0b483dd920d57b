"""Messages in a body: a flag byte, four bytes of length, the message; compressed by gzip where the flag says so.

Messages do not keep to frames: one may be spread over many, and many may be in one. ::

    00  00 00 00 05  "hello"          plain
    01  00 00 00 1b  1f 8b 08 …       gzip
"""

from __future__ import annotations

import zlib
from struct import Struct
from typing import Final

from oarlock.gateway.grpc.status import RejectionError
from oarlock.wire.errors import Code

PREFIX_BYTES: Final = 5
_PREFIX: Final = Struct("!BI")
_GZIP_WINDOW: Final = 31
"""zlib's notation for the largest window in a gzip wrapper."""


def framed(message: bytes) -> bytes:
    """``message`` as a body carries it, uncompressed."""
    return prefix_of(len(message)) + message


def prefix_of(size: int) -> bytes:
    """What comes before an uncompressed message of ``size`` bytes."""
    return b"\0" + size.to_bytes(4, "big")


class MessageReader:
    """Puts the messages of one body together.

    Invariant: what is kept is less than one message of ``limit_bytes``, and its prefix.

    Args:
        limit_bytes: the longest message, before and after decompression.
        is_gzipped: whether compressed messages are announced, as gzip.
    """

    __slots__ = ("_is_gzipped", "_kept", "_limit_bytes", "_needed")

    def __init__(self, limit_bytes: int, *, is_gzipped: bool) -> None:
        self._limit_bytes = limit_bytes
        self._is_gzipped = is_gzipped
        self._kept = bytearray()
        self._needed = PREFIX_BYTES

    @property
    def kept_bytes(self) -> int:
        """The size of what has come of a message that is not complete."""
        return len(self._kept)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that ``data`` completes.

        Raises:
            RejectionError: one is too long (RESOURCE_EXHAUSTED), or not as announced (INTERNAL).
        """
        if self._kept:
            self._kept += data
            if len(self._kept) < self._needed:
                return []
            data = bytes(self._kept)
            self._kept.clear()
        messages = []
        position, end = 0, len(data)
        self._needed = PREFIX_BYTES
        while end - position >= PREFIX_BYTES:
            flag, size = _PREFIX.unpack_from(data, position)
            if flag or size > self._limit_bytes:
                self._judge(flag, size)
            start = position + PREFIX_BYTES
            if end - start < size:
                self._needed = PREFIX_BYTES + size
                break
            position = start + size
            message = data[start:position]
            messages.append(self._inflated(message) if flag else message)
        if position < end:
            self._kept += data[position:]
        return messages

    def _judge(self, flag: int, size: int) -> None:
        if flag > 1:
            raise RejectionError(Code.INTERNAL, f"grpc: received unexpected payload format {flag}")
        if flag and not self._is_gzipped:
            raise RejectionError(Code.INTERNAL, "grpc: compressed flag set with identity or empty encoding")
        if size > self._limit_bytes:
            text = f"grpc: received message larger than max ({size} vs. {self._limit_bytes})"
            raise RejectionError(Code.RESOURCE_EXHAUSTED, text)

    def _inflated(self, message: bytes) -> bytes:
        """The message out of its gzip wrapper. Never more than the limit and a byte is unpacked, however small it
        came."""
        inflate = zlib.decompressobj(_GZIP_WINDOW)
        try:
            plain = inflate.decompress(message, self._limit_bytes + 1)
        except zlib.error as error:
            raise RejectionError(Code.INTERNAL, f"grpc: failed to decompress the received message: {error}") from None
        if len(plain) > self._limit_bytes:
            text = f"grpc: received message after decompression larger than max {self._limit_bytes}"
            raise RejectionError(Code.RESOURCE_EXHAUSTED, text)
        if not inflate.eof or inflate.unused_data:
            problem = "bytes behind its end" if inflate.eof else "unexpected EOF"
            raise RejectionError(Code.INTERNAL, f"grpc: failed to decompress the received message: {problem}")
        return plain
