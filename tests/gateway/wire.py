"""Bytes of a client, and the reading of a server's, for tests on the level of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hpack import Decoder, Encoder

from oarlock.gateway.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    settings_frame,
)

GREETING = PREFACE + settings_frame({}) + frame(SETTINGS, ACK, 0)
PLAIN = [(":method", "POST"), (":scheme", "http"), (":path", "/a.B/Unary"), (":authority", "here")]
GRPC = [*PLAIN, ("content-type", "application/grpc"), ("te", "trailers")]


class Seen(NamedTuple):
    """One frame of the server's."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


def frames_in(output: bytes) -> list[Seen]:
    """The frames in ``output``, all of them whole."""
    found, position = [], 0
    while position < len(output):
        high, low, kind, flags, stream_id = FRAME_HEADER.unpack_from(output, position)
        end = position + 9 + (high << 16 | low)
        assert end <= len(output), "the server wrote half a frame"
        found.append(Seen(kind, flags, stream_id, output[position + 9 : end]))
        position = end
    return found


def literal(fields: Sequence[tuple[str, str]]) -> bytes:
    """A header block that leaves the tables alone, so that it is valid anywhere."""
    block = b""
    for name, value in fields:
        block += b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return block


def headers(stream_id: int, fields: Sequence[tuple[str, str]] = PLAIN, *, end: bool = False) -> bytes:
    """HEADERS in one frame."""
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream_id, literal(fields))


def split_headers(stream_id: int, fields: Sequence[tuple[str, str]], pieces: int) -> bytes:
    """HEADERS and CONTINUATION frames, ``pieces`` in all, with END_STREAM."""
    block = literal(fields)
    size = -(-len(block) // pieces)
    parts = [block[at : at + size] for at in range(0, len(block), size)]
    kinds = [(HEADERS, END_STREAM)] + [(CONTINUATION, 0)] * (len(parts) - 1)
    kinds[-1] = (kinds[-1][0], kinds[-1][1] | END_HEADERS)
    return b"".join(frame(kind, flags, stream_id, part) for (kind, flags), part in zip(kinds, parts, strict=True))


def data(stream_id: int, payload: bytes = b"", *, end: bool = False) -> bytes:
    """DATA without padding."""
    return frame(DATA, END_STREAM if end else 0, stream_id, payload)


def u32(*numbers: int) -> bytes:
    """Numbers of four bytes, one after the other."""
    return b"".join(number.to_bytes(4, "big") for number in numbers)


def goaway_codes(seen: list[Seen]) -> list[int]:
    """The error codes of all GOAWAYs."""
    return [int.from_bytes(one.payload[4:8], "big") for one in seen if one.kind == GOAWAY]


def reset_codes(seen: list[Seen]) -> dict[int, int]:
    """Error codes of all RST_STREAMs by stream."""
    return {one.stream_id: int.from_bytes(one.payload, "big") for one in seen if one.kind == RST_STREAM}


class Client:
    """The header tables of a client, and the answers that it put together."""

    def __init__(self) -> None:
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.fields: dict[int, list[tuple[str, str]]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: list[int] = []

    def headers(self, stream_id: int, fields: Sequence[tuple[str, str]] = GRPC, *, end: bool = False) -> bytes:
        flags = END_HEADERS | (END_STREAM if end else 0)
        return frame(HEADERS, flags, stream_id, self.encoder.encode(list(fields)))

    def read(self, output: bytes) -> list[Seen]:
        """Takes what the server wrote; header blocks are one frame in all tests but one."""
        seen = frames_in(output)
        for one in seen:
            if one.kind == HEADERS:
                block = [(str(name), str(value)) for name, value in self.decoder.decode(one.payload)]
                self.fields.setdefault(one.stream_id, []).extend(block)
            elif one.kind == DATA:
                self.bodies[one.stream_id] = self.bodies.get(one.stream_id, b"") + one.payload
            if one.kind in (HEADERS, DATA) and one.flags & END_STREAM:
                self.ended.append(one.stream_id)
        return seen

    def field(self, stream_id: int, name: str) -> str | None:
        return dict(self.fields.get(stream_id, [])).get(name)
