"""Bytes to whole frames: the preface, the framing, and header blocks put together from their fragments.

What has not arrived completely is kept, at most one frame and one header block. How many bytes are needed for the next
step is remembered, so a peer that sends byte by byte does not make us look at the same bytes again and again.
"""

from __future__ import annotations

from typing import Final

from oarlock.gateway.http2.faults import ConnectionFault
from oarlock.gateway.http2.frames import (
    ACK,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER_BYTES,
    HEADERS,
    PADDED,
    PREFACE,
    PRIORITIZED,
    SETTINGS,
    ErrorCode,
    read_u32,
)
from oarlock.gateway.http2.limits import Limits


class FrameReader:
    """Reads one connection from its first byte on: a cursor over what was fed to it.

    Invariants: between two feeds, what is kept is shorter than ``_needed``, which is at most one frame of
    `Limits.frame_bytes`; the block under way has at most `Limits.header_block_bytes`.

    Attributes:
        kind, flags, stream_id, payload: of the frame that `advance` has reached. Of HEADERS, the payload is the whole
            header block, and END_STREAM the only flag left to look at.
    """

    __slots__ = (
        "_block",
        "_block_flags",
        "_block_stream",
        "_continuations",
        "_data",
        "_kept",
        "_limits",
        "_needed",
        "_position",
        "_stage",
        "flags",
        "kind",
        "payload",
        "stream_id",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._data = b""
        self._position = 0
        self._kept = bytearray()
        self._needed = 1
        self._stage = _PREFACE
        self._block: bytearray | None = None
        self._block_stream = 0
        self._block_flags = 0
        self._continuations = 0
        self.kind = self.flags = self.stream_id = 0
        self.payload = b""

    def feed(self, data: bytes) -> None:
        """Takes bytes of the connection; `advance` is then to be called until it says that there is no more, or the
        connection given up.

        Raises:
            ConnectionFault: the connection does not begin as HTTP/2.
        """
        if self._kept:
            self._kept += data
            if len(self._kept) < self._needed:
                return
            data = bytes(self._kept)
            self._kept.clear()
        self._data = data
        self._position = self._preface(data) if self._stage == _PREFACE else 0

    def advance(self) -> bool:
        """Goes on to the next frame; False if there is none that has come completely.

        Raises:
            ConnectionFault: a frame breaks a rule of framing.
        """
        data = self._data
        while True:
            position = self._position
            left = len(data) - position - FRAME_HEADER_BYTES
            if left < 0:
                return self._keep(FRAME_HEADER_BYTES)
            size = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
            kind, flags, stream_id = data[position + 3], data[position + 4], read_u32(data, position + 5)
            if size > self._limits.frame_bytes or self._stage != _FRAMES or self._block is not None:
                self._judge(size, kind, flags, stream_id)
            if left < size:
                return self._keep(FRAME_HEADER_BYTES + size)
            start = position + FRAME_HEADER_BYTES
            self._position = start + size
            self._stage = _FRAMES
            payload = data[start : start + size]
            if kind != HEADERS and kind != CONTINUATION:
                self.kind, self.flags, self.stream_id, self.payload = kind, flags, stream_id, payload
                return True
            if kind == HEADERS and flags & _BLOCK_FLAGS == END_HEADERS:  # as nearly all of them come
                self.kind, self.flags, self.stream_id, self.payload = kind, flags & END_STREAM, stream_id, payload
                return True
            if self._fragment(kind, flags, stream_id, payload):
                return True

    def _keep(self, needed: int) -> bool:
        """What is left is less than the ``needed`` bytes: it waits for more, and nothing else is kept."""
        if self._position < len(self._data):
            self._kept += self._data[self._position :]
        self._needed = needed
        self._data, self._position, self.payload = b"", 0, b""
        return False

    def _preface(self, data: bytes) -> int:
        """The position after the preface, or the end of ``data`` while it may still become one."""
        if data[: len(PREFACE)] != PREFACE[: len(data)]:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"no HTTP/2 preface, but {data[: len(PREFACE)]!r}")
        if len(data) < len(PREFACE):
            self._kept += data
            return len(data)
        self._stage = _SETTINGS
        return len(PREFACE)

    def _judge(self, size: int, kind: int, flags: int, stream_id: int) -> None:
        """What a frame's header alone may be wrong about, before its payload is waited for."""
        if size > self._limits.frame_bytes:
            raise ConnectionFault(
                ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes; at most {self._limits.frame_bytes} are allowed"
            )
        if self._stage != _FRAMES and (kind != SETTINGS or flags & ACK):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"the first frame must be SETTINGS, not type {kind}")
        if self._block is not None and (kind != CONTINUATION or stream_id != self._block_stream):
            raise ConnectionFault(
                ErrorCode.PROTOCOL_ERROR,
                f"a frame of type {kind} on stream {stream_id} inside the header block of stream {self._block_stream}",
            )

    def _fragment(self, kind: int, flags: int, stream_id: int, payload: bytes) -> bool:
        """HEADERS or CONTINUATION; True once the block is whole, and the cursor at it as one HEADERS frame."""
        if kind == HEADERS:
            if flags & (PADDED | PRIORITIZED):
                payload = _without_priority(flags, stream_id, _without_padding(flags, payload))
            if flags & END_HEADERS:
                self.kind, self.flags, self.stream_id, self.payload = HEADERS, flags & END_STREAM, stream_id, payload
                return True
            self._block, self._continuations = bytearray(), 0
            self._block_stream, self._block_flags = stream_id, flags & END_STREAM
        elif self._block is None:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"CONTINUATION on stream {stream_id} without HEADERS")
        self._extend(payload)
        if not flags & END_HEADERS:
            return False
        assert self._block is not None
        self.kind, self.flags, self.stream_id, self.payload = HEADERS, self._block_flags, stream_id, bytes(self._block)
        self._block = None
        return True

    def _extend(self, payload: bytes) -> None:
        assert self._block is not None
        self._continuations += 1
        self._block += payload
        if self._continuations > self._limits.continuation_frames or len(self._block) > self._limits.header_block_bytes:
            raise ConnectionFault(
                ErrorCode.ENHANCE_YOUR_CALM,
                f"a header block of {len(self._block)} bytes in {self._continuations} frames and no end; allowed are "
                f"{self._limits.header_block_bytes} bytes, {self._limits.continuation_frames} frames",
            )


_BLOCK_FLAGS: Final = END_HEADERS | PADDED | PRIORITIZED

_PREFACE: Final = 0
_SETTINGS: Final = 1
_FRAMES: Final = 2


def _without_padding(flags: int, payload: bytes) -> bytes:
    return unpad(payload) if flags & PADDED else payload


def unpad(payload: bytes) -> bytes:
    """The payload of a frame with the PADDED flag without its padding (RFC 9113 section 6.1).

    Raises:
        ConnectionFault: there is no length byte (FRAME_SIZE_ERROR), or more padding than payload (PROTOCOL_ERROR).
    """
    if not payload:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without the length of its padding")
    padding = payload[0]
    if padding >= len(payload):
        raise ConnectionFault(
            ErrorCode.PROTOCOL_ERROR, f"{padding} bytes of padding in a payload of {len(payload)} bytes"
        )
    return payload[1 : len(payload) - padding]


def _without_priority(flags: int, stream_id: int, payload: bytes) -> bytes:
    if not flags & PRIORITIZED:
        return payload
    if len(payload) < 5:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS with PRIORITY and less than its five bytes")
    if read_u32(payload) == stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} depends on itself")
    return payload[5:]
