"""A gRPC server's end of one connection, without I/O: see `http2.connection` for the loop of its owner.

A unary call, from the bytes to the bytes::

    for event in connection.receive(data, now_s):            # RequestReceived(call, message)
        connection.reply(event.call, answer)                 # or later; or .finish(call, Status(NOT_FOUND, "…"))
    transport.write(connection.take_output())
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from oarlock.gateway.grpc.calls import (
    Call,
    CallEnded,
    CallOpened,
    ConnectionEnded,
    Event,
    MessageReceived,
    RequestReceived,
    RequestsEnded,
)
from oarlock.gateway.grpc.deadlines import Deadlines
from oarlock.gateway.grpc.messages import PREFIX_BYTES, MessageReader, framed, prefix_of
from oarlock.gateway.grpc.requests import TIMEOUT, Methods, Refusal, Request, deadline_of, judge
from oarlock.gateway.grpc.status import (
    OK,
    OK_TRAILERS,
    REMEMBERED,
    RESPONSE_HEADERS,
    RejectionError,
    Status,
    metadata_fields,
    trailers,
)
from oarlock.gateway.http2 import events as http2
from oarlock.gateway.http2.connection import Connection
from oarlock.gateway.http2.faults import MisuseError
from oarlock.gateway.http2.frames import ErrorCode, read_u32
from oarlock.gateway.http2.keepalive import KeepalivePolicy
from oarlock.gateway.http2.limits import DEFAULT_LIMITS, Limits
from oarlock.gateway.http2.streams import Stream
from oarlock.wire.errors import Code

_CANCELED: Final = Status(Code.CANCELED, "context canceled")
_EXPIRED: Final = Status(Code.DEADLINE_EXCEEDED, "context deadline exceeded")


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """The bounds of messages.

    Attributes:
        message_bytes: the longest that is taken: etcd's ``max-request-bytes`` (1.5 MiB) and 512 kB, as etcd does.
        kept_bytes: of messages that are not complete, on all streams of a connection together. A client has 32 of the
            longest under way; one that begins more than it finishes loses those that it extends.
    """

    message_bytes: int = 1_572_864 + 524_288
    kept_bytes: int = 64 << 20


DEFAULT_MESSAGE_LIMITS: Final = MessageLimits()


class GrpcConnection:
    """Calls on one connection.

    Invariants: as `Connection`; a call is its stream's context from its headers until it is over, and not longer, so
    that both are freed at once; ``_kept_bytes`` is the sum over the readers of those.

    Args:
        methods: what is served.
        now_s: monotonic time in seconds, as with all methods.
        limits: of the connection.
        message_limits: of messages.
        policy: pings, theirs and ours.
    """

    def __init__(
        self,
        methods: Methods,
        now_s: float,
        *,
        limits: Limits = DEFAULT_LIMITS,
        message_limits: MessageLimits = DEFAULT_MESSAGE_LIMITS,
        policy: KeepalivePolicy | None = None,
    ) -> None:
        self._methods = methods
        self._limits = message_limits
        self._connection = Connection(now_s, limits=limits, policy=policy, remembered=REMEMBERED, varying=TIMEOUT)
        self._deadlines = Deadlines()
        self._kept_bytes = 0
        self._events: list[Event] = []

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended, and the transport is to be closed once all output is written."""
        return self._connection.is_over

    @property
    def is_due(self) -> bool:
        """Whether there is something to write that should not wait, or the transport is to be closed."""
        return self._connection.is_due

    @property
    def has_ready(self) -> bool:
        """Whether messages wait that the peer would take."""
        return self._connection.has_ready

    @property
    def has_output(self) -> bool:
        """Whether there is something to write, though it may be nothing but what can wait for an answer: a client that
        measures its bandwidth sends a ping with every lone request, and would have two writes for it."""
        return self._connection.has_output

    @property
    def open_calls(self) -> int:
        """How many calls are open."""
        return self._connection.open_streams

    @property
    def wake_at_s(self) -> float | None:
        """When `tick` is to be called at the latest, None if there is nothing to wait for."""
        wake_at_s, deadline_s = self._connection.wake_at_s, self._deadlines.next_s
        if wake_at_s is None or (deadline_s is not None and deadline_s < wake_at_s):
            return deadline_s
        return wake_at_s

    @property
    def has_deadlines(self) -> bool:
        """Whether calls may have to end before anything else is due: what comes can bring ``wake_at_s`` forward."""
        return self._deadlines.next_s is not None

    def receive(self, data: bytes, now_s: float) -> list[Event]:
        """What ``data``, read from the transport at ``now_s``, means; never raises for it."""
        for event in self._connection.receive(data, now_s):
            if type(event) is http2.WholeRequest:
                self._whole(event, now_s)
            elif type(event) is http2.DataReceived:
                self._data(event)
            elif type(event) is http2.HeadersReceived:
                self._open(event, now_s)
            else:
                self._other(event)
        return self._take_events()

    def tick(self, now_s: float) -> list[Event]:
        """What the time brings: deadlines, pings, the end of a silent connection."""
        for call in self._deadlines.expired(now_s):
            self._break_off(call, _EXPIRED)
        return self._pass_on(self._connection.tick(now_s))

    def shut_down(self, now_s: float) -> list[Event]:
        """Begins a graceful end (`Connection.shut_down`): calls are answered, and then the connection is over."""
        return self._pass_on(self._connection.shut_down(now_s))

    def close(self, code: ErrorCode = ErrorCode.NO_ERROR, reason: str = "") -> list[Event]:
        """Ends the connection now, with a GOAWAY."""
        return self._pass_on(self._connection.close(code, reason))

    def lost(self, reason: str = "the transport was closed") -> list[Event]:
        """The transport is gone."""
        return self._pass_on(self._connection.lost(reason))

    def take_output(self) -> bytes:
        """The bytes to write now, perhaps none. Call it again when the transport has taken them."""
        return self._connection.take_output()

    def take_written(self) -> bytes:
        """As `take_output`, but that messages which wait go on waiting: for a long answer's next part."""
        return self._connection.take_written()

    def take_drained(self) -> list[Call]:
        """The calls whose waiting messages have all been sent since the last call: they can take more."""
        streams = self._connection.take_drained()
        return [stream.context for stream in streams if isinstance(stream.context, Call) and not stream.context.is_over]

    def reply(self, call: Call, message: bytes) -> bool:
        """Ends ``call`` with one message and status OK.

        Returns:
            False if the call is over, or was broken off because the client reads too slowly. Nothing more is told of
            it.

        Raises:
            MisuseError: something was sent on the call already.
        """
        return not call.is_over and self._connection.respond(
            self._end_with_reply(call), RESPONSE_HEADERS, framed(message), OK_TRAILERS
        )

    def reply_in_parts(self, call: Call, parts: Sequence[bytes]) -> bool:
        """As `reply`, of one long message in parts, none of them empty, which spares joining them."""
        if call.is_over:
            return False
        size = sum(map(len, parts))
        body = [prefix_of(size), *parts]
        stream = self._end_with_reply(call)
        return self._connection.respond_in_parts(stream, RESPONSE_HEADERS, body, PREFIX_BYTES + size, OK_TRAILERS)

    def _end_with_reply(self, call: Call) -> Stream:
        """The call is over with what is sent now; where that goes."""
        stream = call.stream
        if stream.headers_sent:
            raise MisuseError(f"a whole reply to stream {stream.id} after its beginning")
        if call.reader is None:
            call.is_over = True
            stream.context = None
        else:
            self._forget(call)
        return stream

    def start(self, call: Call, metadata: tuple[tuple[str, str | bytes], ...] = ()) -> bool:
        """Sends the headers of the answer now, before its first message. False: the call is over.

        Raises:
            MisuseError: they were sent already.
            ValueError: the metadata can not be sent, see `Status.metadata`.
        """
        if call.is_over:
            return False
        return self._connection.send_headers(call.stream, RESPONSE_HEADERS + metadata_fields(metadata))

    def send(self, call: Call, message: bytes) -> bool:
        """One message of a streamed answer. It waits where it must, see `queued_bytes`.

        Returns:
            False if the call is over, or was broken off because the client reads too slowly. Nothing more is told of
            it.
        """
        return self.send_framed(call, framed(message))

    def send_framed(self, call: Call, body: bytes) -> bool:
        """Messages that were framed before (`messages.framed`), as many as there are in ``body``; else as `send`."""
        if call.is_over:
            return False
        if not call.stream.headers_sent:
            self._connection.send_headers(call.stream, RESPONSE_HEADERS)
        if self._connection.send_data(call.stream, body):
            return True
        self._forget(call)
        return False

    def finish(self, call: Call, status: Status = OK) -> bool:
        """Ends ``call`` with ``status``, behind the messages that wait; alone if nothing was sent (trailers-only).

        Returns:
            False if the call is over.

        Raises:
            ValueError: the metadata of ``status`` can not be sent.
        """
        if call.is_over:
            return False
        fields = trailers(status)
        self._forget(call)
        if call.stream.headers_sent:
            return self._connection.finish(call.stream, fields)
        return self._connection.send_headers(call.stream, RESPONSE_HEADERS + fields, end=True)

    def queued_bytes(self, call: Call) -> int:
        """What was sent on ``call`` and waits for the client or the transport. `take_drained` tells when it is 0
        again."""
        return call.stream.queued_bytes

    @property
    def queued_bytes_of_all(self) -> int:
        """The same for all calls together. They share `Limits.queued_bytes`: above it whoever sends is broken off."""
        return self._connection.queued_bytes

    def pause(self, call: Call) -> None:
        """The client may send one more window of messages, and then has to wait."""
        self._connection.pause(call.stream)

    def resume(self, call: Call) -> None:
        """The client may go on."""
        self._connection.resume(call.stream)

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _pass_on(self, events: list[http2.Event]) -> list[Event]:
        for event in events:
            self._other(event)
        return self._take_events()

    def _open(self, event: http2.HeadersReceived, now_s: float) -> None:
        stream = event.stream
        request = judge(event.headers, self._methods)
        if type(request) is Refusal:
            self._connection.send_headers(stream, request.fields, end=True)
            return
        assert not isinstance(request, Refusal)
        call = stream.context = Call(stream, request, deadline_of(event.headers, now_s))
        if call.deadline_s is not None:
            self._deadlines.add(call.deadline_s, call, self._connection.open_streams)
        if request.method.takes_stream:
            call.is_known = True
            self._events.append(CallOpened(call))
        if event.ended:
            self._end_requests(call)

    def _whole(self, event: http2.WholeRequest, now_s: float) -> None:
        """A call that came whole; what is not plain about it is seen to in two steps, as if it had come in two."""
        stream, data = event.stream, event.data
        request = judge(event.headers, self._methods)
        if (
            type(request) is Request
            and not request.method.takes_stream
            and _is_one_plain_message(data, self._limits.message_bytes)
        ):
            call = stream.context = Call(stream, request, deadline_of(event.headers, now_s))
            if call.deadline_s is not None:
                self._deadlines.add(call.deadline_s, call, self._connection.open_streams)
            call.is_known = True
            self._events.append(RequestReceived(call, data[PREFIX_BYTES:]))
            return
        self._open(http2.HeadersReceived(stream, event.headers, False), now_s)
        self._data(http2.DataReceived(stream, data, True))

    def _data(self, event: http2.DataReceived) -> None:
        call = event.stream.context
        if not isinstance(call, Call) or call.is_over:
            return
        data = event.data
        try:
            if call.reader is None and _is_one_plain_message(data, self._limits.message_bytes):
                self._message(call, data[PREFIX_BYTES:])
            elif data:
                self._partial(call, data)
            if event.ended:
                self._end_requests(call)
        except RejectionError as error:
            self._break_off(call, error.status)

    def _partial(self, call: Call, data: bytes) -> None:
        reader = call.reader
        if reader is None:
            reader = call.reader = MessageReader(self._limits.message_bytes, is_gzipped=call.request.is_gzipped)
        self._kept_bytes -= reader.kept_bytes
        try:
            messages = reader.feed(data)
        finally:
            self._kept_bytes += reader.kept_bytes
        for message in messages:
            self._message(call, message)
        if not reader.kept_bytes:
            call.reader = None
        elif self._kept_bytes > self._limits.kept_bytes:
            text = f"oarlock: more than {self._limits.kept_bytes} bytes of unfinished messages on one connection"
            raise RejectionError(Code.RESOURCE_EXHAUSTED, text)

    def _message(self, call: Call, message: bytes) -> None:
        if call.request.method.takes_stream:
            self._events.append(MessageReceived(call, message))
        elif call.message is None:
            call.message = message
        else:
            text = "cardinality violation: received multiple request messages for non-client-streaming RPC"
            raise RejectionError(Code.INTERNAL, text)

    def _end_requests(self, call: Call) -> None:
        if call.reader is not None:
            self._break_off(call, Status(Code.INTERNAL, "unexpected EOF"))
        elif call.request.method.takes_stream:
            self._events.append(RequestsEnded(call))
        elif call.message is None:
            text = "cardinality violation: received no request message from non-client-streaming RPC"
            self._break_off(call, Status(Code.INTERNAL, text))
        else:
            message, call.message = call.message, None
            call.is_known = True
            self._events.append(RequestReceived(call, message))

    def _break_off(self, call: Call, status: Status) -> None:
        """Ends a call on our side, and tells the owner if it has heard of it."""
        if call.is_over:
            return
        if call.stream.queued_bytes:  # a client that does not read would not see the status behind it either
            self._forget(call)
            self._connection.reset(call.stream, ErrorCode.CANCEL)
        else:
            self.finish(call, status)
        if call.is_known:
            self._events.append(CallEnded(call, status))

    def _forget(self, call: Call) -> None:
        """The call is over."""
        call.is_over = True
        call.message = None
        call.stream.context = None
        if call.reader is not None:
            self._kept_bytes -= call.reader.kept_bytes
            call.reader = None

    def _other(self, event: http2.Event) -> None:
        if isinstance(event, http2.TrailersReceived):
            call = event.stream.context
            if isinstance(call, Call) and not call.is_over:
                self._end_requests(call)
        elif isinstance(event, http2.StreamEnded):
            status = _CANCELED if event.by_peer else Status(Code.INTERNAL, event.reason)
            self._ended(event.stream, status)
        elif isinstance(event, http2.ConnectionEnded):
            for stream in event.streams:
                self._ended(stream, _CANCELED)
            self._events.append(ConnectionEnded(event.reason))

    def _ended(self, stream: Stream, status: Status) -> None:
        call = stream.context
        if not isinstance(call, Call) or call.is_over:
            return
        self._forget(call)
        if call.is_known:
            self._events.append(CallEnded(call, status))


def _is_one_plain_message(data: bytes, limit_bytes: int) -> bool:
    """Whether a frame's data is just one message, uncompressed: what a unary call nearly always is."""
    size = len(data) - PREFIX_BYTES
    return 0 <= size <= limit_bytes and not data[0] and not data[1] & 0x80 and read_u32(data, 1) == size
