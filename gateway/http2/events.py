"""What a connection tells the layer above. Events come in the order in which their frames did."""

from __future__ import annotations

from dataclasses import dataclass

from oarlock.gateway.http2.headers import Headers
from oarlock.gateway.http2.streams import Stream


class HeadersReceived:
    """A peer opened ``stream``; ``ended`` if there is no body."""

    # Made for every call, and so no dataclass: those are not compiled whole.
    __slots__ = ("ended", "headers", "stream")

    def __init__(self, stream: Stream, headers: Headers, ended: bool) -> None:
        self.stream = stream
        self.headers = headers
        self.ended = ended


@dataclass(slots=True)
class DataReceived:
    """Bytes of a body, perhaps none; ``ended`` if they are the last."""

    stream: Stream
    data: bytes
    ended: bool


class WholeRequest:
    """A peer opened ``stream``, and the frame behind the headers had all of the body: both of the above in one, since
    nearly every call is like this."""

    __slots__ = ("data", "headers", "stream")

    def __init__(self, stream: Stream, headers: Headers, data: bytes) -> None:
        self.stream = stream
        self.headers = headers
        self.data = data


@dataclass(slots=True)
class TrailersReceived:
    """Fields after the body, which end it."""

    stream: Stream
    headers: Headers


@dataclass(slots=True)
class StreamEnded:
    """The stream is over before its time. ``by_peer``: it sent RST_STREAM; else it broke a rule, or did not read.

    Attributes:
        stream: closed; sending on it does nothing.
        code: the error code (`frames.ErrorCode` where it is a known one).
        reason: one line for the log.
        by_peer: who ended it.
    """

    stream: Stream
    code: int
    reason: str
    by_peer: bool


@dataclass(slots=True)
class PeerGoingAway:
    """The peer sent GOAWAY: it will open no more streams, and wants its open ones answered."""

    code: int
    debug: bytes


@dataclass(slots=True)
class ConnectionEnded:
    """The connection is over: send what there is to send, and close the transport.

    Attributes:
        streams: those that were open, now closed.
        code: what the peer was told by GOAWAY; NO_ERROR after a graceful end.
        reason: one line for the log.
    """

    streams: list[Stream]
    code: int
    reason: str


Event = HeadersReceived | DataReceived | WholeRequest | TrailersReceived | StreamEnded | PeerGoingAway | ConnectionEnded
