"""A call in progress, and what the owner of a connection is told about calls."""

from __future__ import annotations

from dataclasses import dataclass

from oarlock.gateway.grpc.messages import MessageReader
from oarlock.gateway.grpc.requests import Method, Request
from oarlock.gateway.grpc.status import Status
from oarlock.gateway.http2.streams import Stream


class Call:
    """One call, from its headers to its trailers; the handle for everything that is sent on it.

    Attributes:
        stream: what carries it.
        request: its headers; its method is ``request.method``.
        deadline_s: when the client stops waiting, monotonic time in seconds; None never.
        reader: the body so far; None while messages came in one piece.
        message: the one message of a call that has just one, while the end of the body is awaited.
        is_known: whether the owner has heard of it.
        is_over: whether its end was sent, or has happened otherwise; sending does nothing from then on.
        context: belongs to the owner.
    """

    __slots__ = ("context", "deadline_s", "is_known", "is_over", "message", "reader", "request", "stream")

    def __init__(self, stream: Stream, request: Request, deadline_s: float | None) -> None:
        self.stream = stream
        self.request = request
        self.deadline_s = deadline_s
        self.reader: MessageReader | None = None
        self.message: bytes | None = None
        self.is_known = False
        self.is_over = False
        self.context: object | None = None

    @property
    def method(self) -> Method:
        """What is called."""
        return self.request.method


class RequestReceived:
    """A call of a method that takes one message is complete."""

    # Made for every call, and so no dataclass: those are not compiled whole.
    __slots__ = ("call", "message")

    def __init__(self, call: Call, message: bytes) -> None:
        self.call = call
        self.message = message


@dataclass(slots=True)
class CallOpened:
    """A call of a method that takes a stream has begun."""

    call: Call


@dataclass(slots=True)
class MessageReceived:
    """The next message of such a call."""

    call: Call
    message: bytes


@dataclass(slots=True)
class RequestsEnded:
    """The client sends no more messages; it still waits for the server's."""

    call: Call


@dataclass(slots=True)
class CallEnded:
    """A call is over before the server ended it: cancelled, past its deadline, broken, or its connection is gone.

    Told of every call that the owner has heard of (by `RequestReceived` or `CallOpened`) and has not ended itself.
    """

    call: Call
    status: Status


@dataclass(slots=True)
class ConnectionEnded:
    """The connection is over: write what there is, and close the transport. Its calls have ended before."""

    reason: str


Event = RequestReceived | CallOpened | MessageReceived | RequestsEnded | CallEnded | ConnectionEnded
