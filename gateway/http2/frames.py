"""The frames of HTTP/2: their numbers (RFC 9113 sections 6, 7, 11) and how they are written.

Every frame is nine bytes of header and a payload::

    00 00 04 | 08    | 00    | 00 00 00 01 | 00 00 ff ff
    length   | type  | flags | stream      | payload: here WINDOW_UPDATE by 65,535 on stream 1
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (section 3.4)."""

FRAME_HEADER_BYTES: Final = 9
FRAME_HEADER: Final = Struct("!BHBBI")
"""Length (high byte, low bytes), type, flags, stream. Unpacked into five plain integers."""

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20

MAX_WINDOW: Final = 0x7FFF_FFFF
"""The largest flow-control window (section 6.9.1)."""
DEFAULT_WINDOW: Final = 65_535
"""Both windows of a connection before anything was said about them (section 6.9.2)."""
DEFAULT_FRAME_SIZE: Final = 16_384
"""The largest payload before SETTINGS_MAX_FRAME_SIZE raises it (section 4.2)."""
MAX_STREAM_ID: Final = 0x7FFF_FFFF


class ErrorCode(IntEnum):
    """Why a stream or a connection ends (RFC 9113 section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Setting(IntEnum):
    """What SETTINGS frames set (RFC 9113 section 6.5.2)."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


_PING_ANSWER: Final = FRAME_HEADER.pack(0, 8, PING, ACK, 0)
_SETTING: Final = Struct("!HI")
_U32: Final = Struct("!I")
_TWO_U32: Final = Struct("!II")


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One whole frame.

    Args:
        kind: the frame type, such as `DATA`.
        flags: its flags, or-ed.
        stream_id: 0 for the connection.
        payload: less than 2^24 bytes; the caller keeps it within the peer's limit.
    """
    size = len(payload)
    return FRAME_HEADER.pack(size >> 16, size & 0xFFFF, kind, flags, stream_id) + payload


def settings_frame(values: dict[int, int]) -> bytes:
    """SETTINGS with ``values`` in the order given."""
    return frame(SETTINGS, 0, 0, b"".join([_SETTING.pack(key, value) for key, value in values.items()]))


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """The pairs of a SETTINGS payload, in order; its length must be a multiple of six."""
    return list(_SETTING.iter_unpack(payload))


def reset_frame(stream_id: int, code: int) -> bytes:
    """RST_STREAM with an error code."""
    return frame(RST_STREAM, 0, stream_id, _U32.pack(code))


def window_update_frame(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE by ``increment`` bytes (1 to 2^31-1), of a stream or (0) of the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, _U32.pack(increment))


def goaway_frame(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    """GOAWAY: streams above ``last_stream_id`` were not, and will not be, worked on."""
    return frame(GOAWAY, 0, 0, _TWO_U32.pack(last_stream_id, code) + debug)


def read_u32(data: bytes, at: int = 0) -> int:
    """The four bytes at ``at``, which must be there, as a number without its reserved bit.

    Stream ids and increments are 31 bits; the one above is ignored when received (RFC 9113, section 4.1).
    """
    return (data[at] & 0x7F) << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]


def ping_answer(payload: bytes) -> bytes:
    """PING that acknowledges one with ``payload``, of eight bytes."""
    return _PING_ANSWER + payload


def looks_like_http2(head: bytes) -> bool | None:
    """Whether a connection that began with ``head`` speaks HTTP/2: None while too little of it has arrived to tell.

    HTTP/1.1 has no method ``PRI``, so three bytes are enough (RFC 9113 section 3.4).
    """
    if head[:3] == PREFACE[: len(head[:3])]:
        return True if len(head) >= 3 else None
    return False
