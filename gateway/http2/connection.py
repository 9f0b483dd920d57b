"""A connection as its owner sees it: bytes in, events out, answers in, bytes out, and a clock that the owner reads.

The owner's loop, with one `take_output` for all that a turn brought about::

    events = connection.receive(data, now_s)          # or .tick(now_s), when .wake_at_s has come
    ... handle events: connection.respond(stream, ...), connection.send_data(stream, ...)
    transport.write(connection.take_output())         # not while the transport asks to pause

A transport that pauses and is not served bounds itself: data waits in its streams, within `Limits`. After
`ConnectionEnded` (or when `is_over`) the owner writes what there is and closes the transport; a transport that closes
by itself is told by `lost`.
"""

from __future__ import annotations

from collections.abc import Sequence

from oarlock.gateway.http2.events import ConnectionEnded, Event
from oarlock.gateway.http2.faults import ConnectionFault, MisuseError
from oarlock.gateway.http2.frame_reader import FrameReader
from oarlock.gateway.http2.frames import (
    DEFAULT_WINDOW,
    MAX_STREAM_ID,
    PING,
    ErrorCode,
    Setting,
    frame,
    goaway_frame,
    settings_frame,
    window_update_frame,
)
from oarlock.gateway.http2.header_encoder import HeaderEncoder
from oarlock.gateway.http2.headers import Fields
from oarlock.gateway.http2.keepalive import DRAIN_PAYLOAD, KEEPALIVE_PAYLOAD, Keepalive, KeepalivePolicy
from oarlock.gateway.http2.limits import DEFAULT_LIMITS, Limits
from oarlock.gateway.http2.receiver import Receiver
from oarlock.gateway.http2.sender import Sender
from oarlock.gateway.http2.states import State
from oarlock.gateway.http2.streams import Stream, Streams

_DRAIN_PING_S = 5.0
"""How long the answer to the ping behind the first GOAWAY is waited for, as with grpc-go."""


class Connection:
    """The server's end of one HTTP/2 connection.

    Invariants: after the connection is over, nothing is received and sending does nothing; a peer cannot make any
    method raise.

    Args:
        now_s: monotonic time in seconds, as with all methods.
        limits: what the peer may take.
        policy: pings, theirs and ours.
        remembered: response fields worth a place in the peer's header table, see `HeaderEncoder`.
        varying: the request field whose value hardly comes twice, see `HeaderDecoder`.

    Raises:
        MisuseError: ``remembered`` does not fit there.
    """

    def __init__(
        self,
        now_s: float,
        *,
        limits: Limits = DEFAULT_LIMITS,
        policy: KeepalivePolicy | None = None,
        remembered: Fields = (),
        varying: bytes = b"",
    ) -> None:
        policy = policy or KeepalivePolicy()
        encoder = HeaderEncoder(remembered)
        self._streams = Streams(limits.remembered_resets)
        self._sender = Sender(limits, self._streams, encoder)
        self._receiver = Receiver(limits, policy, self._streams, self._sender, encoder, now_s, varying)
        self._reader = FrameReader(limits)
        self._keepalive = Keepalive(policy, now_s)
        self._handshake_until_s: float | None = now_s + limits.handshake_timeout_s
        self._drain_until_s: float | None = None
        self._is_draining = False
        self._is_over = False
        self._sender.write(_greeting(limits))

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended, and the transport is to be closed once all output is written."""
        return self._is_over

    @property
    def is_due(self) -> bool:
        """Whether `take_output` has something to give that should not wait, or the transport is to be closed."""
        return self._sender.is_due or self._is_over

    @property
    def has_ready(self) -> bool:
        """Whether data waits in a stream that the peer would take."""
        return self._sender.has_ready

    @property
    def has_output(self) -> bool:
        """Whether `take_output` has something to give, though it may be nothing but what can wait for an answer."""
        return self._sender.has_output

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self._streams.by_id)

    @property
    def queued_bytes(self) -> int:
        """Data that waits for the peer or the transport."""
        return self._sender.queued_bytes

    def receive(self, data: bytes, now_s: float) -> list[Event]:
        """What ``data``, read from the transport at ``now_s``, means; never raises for it."""
        if self._is_over:
            return []
        self._keepalive.heard(now_s)
        receiver = self._receiver
        try:
            self._reader.feed(data)
            receiver.take(self._reader, now_s)
        except ConnectionFault as fault:
            self._fail(fault.code, fault.reason)
        if self._handshake_until_s is not None and receiver.settings_acknowledged:
            self._handshake_until_s = None
        if self._is_draining or receiver.peer_going_away:
            self._drain(now_s)
        return self._take_events()

    def _take_events(self) -> list[Event]:
        events, self._receiver.events = self._receiver.events, []
        return events

    def take_output(self) -> bytes:
        """The bytes to write now, perhaps none. Call it again when the transport has taken them.

        The last answer of a connection that is going away ends it: look at `is_over` after this.
        """
        output = self._sender.take()
        if self._is_draining or self._receiver.peer_going_away:
            self._end_if_drained()
        return output

    def take_written(self) -> bytes:
        """As `take_output`, but that data which waits in streams goes on waiting: for a long answer's next part."""
        return self._sender.take_written()

    def take_drained(self) -> list[Stream]:
        """The streams whose waiting data has all been sent since the last call: they can take more."""
        if not self._sender.drained:
            return []
        drained = list(self._sender.drained.values())
        self._sender.drained.clear()
        return drained

    def respond(self, stream: Stream, headers: Fields, body: bytes, trailers: Fields) -> bool:
        """A whole answer at once. False: the stream is over, or was reset because the peer reads too slowly."""
        if stream.state is State.CLOSED:
            return False
        return self._sender.respond(stream, headers, body, trailers) or self._cut_off(stream)

    def send_headers(self, stream: Stream, fields: Fields, *, end: bool = False) -> bool:
        """The start of an answer, or with ``end`` all of it. False: the stream is over.

        Raises:
            MisuseError: they were sent already.
        """
        if stream.state is State.CLOSED:
            return False
        if stream.headers_sent:
            raise MisuseError(f"headers of stream {stream.id} sent twice")
        self._sender.headers(stream, fields, end=end)
        return True

    def send_data(self, stream: Stream, data: bytes) -> bool:
        """A part of the body; it waits where it must. False: the stream is over, or was reset because the peer reads
        too slowly (see `Limits.queued_stream_bytes`).

        Raises:
            MisuseError: before headers, or after the end.
        """
        if stream.state is State.CLOSED:
            return False
        if not stream.headers_sent or stream.trailers is not None:
            raise MisuseError(f"data of stream {stream.id} before its headers or after its end")
        return self._sender.data(stream, data) or self._cut_off(stream)

    def respond_in_parts(
        self, stream: Stream, headers: Fields, body: Sequence[bytes], size: int, trailers: Fields
    ) -> bool:
        """As `respond`, of a long body of ``size`` bytes in parts, none of them empty."""
        if stream.state is State.CLOSED:
            return False
        self._sender.headers(stream, headers, end=False)
        if not self._sender.data_in_parts(stream, body, size):
            return self._cut_off(stream)
        self._sender.finish(stream, trailers)
        return True

    def finish(self, stream: Stream, trailers: Fields = ()) -> bool:
        """The end of the answer, with trailers or without. False: the stream is over.

        Raises:
            MisuseError: before headers, or a second time.
        """
        if stream.state is State.CLOSED:
            return False
        if not stream.headers_sent or stream.trailers is not None:
            raise MisuseError(f"the end of stream {stream.id} before its headers, or twice")
        self._sender.finish(stream, trailers)
        return True

    def reset(self, stream: Stream, code: int) -> None:
        """Gives a stream up with RST_STREAM."""
        if stream.state is not State.CLOSED:
            self._sender.reset(stream.id, code)

    def _cut_off(self, stream: Stream) -> bool:
        """Resets a stream whose peer does not read; gRPC clients take the code for ResourceExhausted."""
        self.reset(stream, ErrorCode.ENHANCE_YOUR_CALM)
        return False

    def pause(self, stream: Stream) -> None:
        """The peer may fill the window of ``stream``, and then has to wait."""
        stream.is_paused = True

    def resume(self, stream: Stream) -> None:
        """The peer may go on."""
        stream.is_paused = False
        if stream.state in (State.OPEN, State.HALF_CLOSED_LOCAL):
            self._receiver.credit(stream, at_least=1)

    @property
    def wake_at_s(self) -> float | None:
        """When `tick` is to be called at the latest, None if there is nothing to wait for."""
        if self._is_over:
            return None
        wake_at_s = self._keepalive.wake_at_s
        for other_s in (self._handshake_until_s, self._drain_until_s):
            if other_s is not None and (wake_at_s is None or other_s < wake_at_s):
                wake_at_s = other_s
        return wake_at_s

    def tick(self, now_s: float) -> list[Event]:
        """What the time brings: pings, and the end of a connection that is silent or did not greet."""
        if self._is_over:
            return []
        if self._handshake_until_s is not None and now_s >= self._handshake_until_s:
            self._fail(ErrorCode.SETTINGS_TIMEOUT, "no preface, or no acknowledgement of SETTINGS, in time")
        elif self._keepalive.is_lost(now_s):
            self._fail(ErrorCode.NO_ERROR, "no answer to a keepalive ping in time")
        elif self._keepalive.is_ping_due(now_s):
            self._sender.write(frame(PING, 0, 0, KEEPALIVE_PAYLOAD))
        if self._is_draining:
            self._drain(now_s)
        return self._take_events()

    def shut_down(self, now_s: float) -> list[Event]:
        """Begins a graceful end: open streams are answered, and those that the peer opens before it knows.

        The first GOAWAY takes streams up to the highest id, so that nothing on its way is lost. When the peer has
        answered the ping behind it (or `tick` says that it took too long), the second says which stream was the last.
        The connection is over with the last open stream; the owner bounds that time by `close`.
        """
        if not self._is_over and not self._is_draining:
            self._is_draining = True
            self._drain_until_s = now_s + _DRAIN_PING_S
            self._sender.write(goaway_frame(MAX_STREAM_ID, ErrorCode.NO_ERROR, b"graceful_stop"))
            self._sender.write(frame(PING, 0, 0, DRAIN_PAYLOAD))
        return self.tick(now_s)

    def _drain(self, now_s: float) -> None:
        if self._is_over:
            return
        if self._drain_until_s is not None and (self._receiver.drain_acknowledged or now_s >= self._drain_until_s):
            self._drain_until_s = None
            self._receiver.last_stream_id = self._streams.highest
            self._sender.write(goaway_frame(self._streams.highest, ErrorCode.NO_ERROR))
        self._end_if_drained()

    def _end_if_drained(self) -> None:
        if not self._streams.by_id and self._drain_until_s is None and not self._is_over:
            self._end(ErrorCode.NO_ERROR, "all streams of a connection that was going away have ended")

    def close(self, code: ErrorCode = ErrorCode.NO_ERROR, reason: str = "") -> list[Event]:
        """Ends the connection now: GOAWAY, and every open stream is over."""
        if not self._is_over:
            self._fail(code, reason)
        return self._take_events()

    def lost(self, reason: str = "the transport was closed") -> list[Event]:
        """The transport is gone, and with it the connection."""
        if not self._is_over:
            self._end(ErrorCode.NO_ERROR, reason)
        return self._take_events()

    def _fail(self, code: ErrorCode, reason: str) -> None:
        self._sender.write(goaway_frame(self._streams.highest, code, reason.encode("utf-8", "replace")[:256]))
        self._end(code, reason)

    def _end(self, code: ErrorCode, reason: str) -> None:
        self._is_over = True
        streams = self._streams.close_all()
        for stream in streams:
            self._sender.drop(stream)
        self._receiver.events.append(ConnectionEnded(streams, code, reason))


def _greeting(limits: Limits) -> bytes:
    """The server's preface: SETTINGS, and the connection's window, which SETTINGS cannot set."""
    values = {
        Setting.MAX_CONCURRENT_STREAMS: limits.concurrent_streams,
        Setting.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
        Setting.MAX_FRAME_SIZE: limits.frame_bytes,
        Setting.MAX_HEADER_LIST_SIZE: limits.header_list_bytes,
    }
    greeting = settings_frame({int(key): value for key, value in values.items()})
    more = limits.connection_window_bytes - DEFAULT_WINDOW
    return greeting + window_update_frame(0, more) if more > 0 else greeting
