"""The receiving half: what each frame means, and whether it may come now (RFC 9113 sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from oarlock.gateway.http2.events import (
    DataReceived,
    Event,
    HeadersReceived,
    PeerGoingAway,
    StreamEnded,
    TrailersReceived,
    WholeRequest,
)
from oarlock.gateway.http2.faults import ConnectionFault, StreamFault
from oarlock.gateway.http2.frame_reader import FrameReader, unpad
from oarlock.gateway.http2.frames import (
    ACK,
    DATA,
    END_STREAM,
    HEADERS,
    MAX_STREAM_ID,
    MAX_WINDOW,
    PADDED,
    SETTINGS,
    ErrorCode,
    Setting,
    frame,
    parse_settings,
    ping_answer,
    read_u32,
    window_update_frame,
)
from oarlock.gateway.http2.header_decoder import HeaderDecoder
from oarlock.gateway.http2.header_encoder import HeaderEncoder
from oarlock.gateway.http2.headers import Headers, regular_problem
from oarlock.gateway.http2.keepalive import DRAIN_PAYLOAD, KeepalivePolicy, PingJudge
from oarlock.gateway.http2.limits import Allowance, Limits
from oarlock.gateway.http2.sender import Sender
from oarlock.gateway.http2.states import Input, State, follow
from oarlock.gateway.http2.streams import Stream, Streams

_MAX_FRAME_SIZE: Final = (1 << 24) - 1
_MIN_FRAME_SIZE: Final = 1 << 14


class Receiver:
    """Takes frames one by one, and keeps the receiving state of the connection.

    Invariants: ``uncredited`` data bytes have come that no WINDOW_UPDATE has answered, at most the connection's window;
    every header block is decoded, whatever becomes of its stream.

    Attributes:
        events: what the frames meant; the caller takes them away.
        last_stream_id: streams above it are passed over, since we said GOAWAY.
        settings_acknowledged: whether the peer has taken our SETTINGS.
        drain_acknowledged: whether the peer answered the ping that followed our first GOAWAY.
        peer_going_away: whether the peer said GOAWAY.
    """

    def __init__(
        self,
        limits: Limits,
        policy: KeepalivePolicy,
        streams: Streams,
        sender: Sender,
        encoder: HeaderEncoder,
        now_s: float,
        varying: bytes = b"",
    ) -> None:
        self._limits = limits
        self._streams = streams
        self._sender = sender
        self._encoder = encoder
        self._decoder = HeaderDecoder(limits.header_list_bytes, varying)
        self._judge = PingJudge(policy)
        self._resets = Allowance(limits.resets, now_s)
        self._settings_left = Allowance(limits.settings, now_s)
        self._pings = Allowance(limits.pings, now_s)
        self._empty = Allowance(limits.empty_frames, now_s)
        self._uncredited = 0
        self._now_s = now_s
        self.events: list[Event] = []
        self.last_stream_id = MAX_STREAM_ID
        self.settings_acknowledged = False
        self.drain_acknowledged = False
        self.peer_going_away = False

    def take(self, frames: FrameReader, now_s: float) -> None:
        """All ``frames`` that arrived at ``now_s`` (monotonic, seconds).

        Raises:
            ConnectionFault: the connection cannot go on.
        """
        self._now_s = now_s
        sender, control_bytes = self._sender, self._limits.control_bytes
        while frames.advance():
            kind, flags, stream_id, payload = frames.kind, frames.flags, frames.stream_id, frames.payload
            try:
                if kind == DATA:
                    self._data(flags, stream_id, payload)
                elif kind == HEADERS:
                    self._headers(flags, stream_id, payload)
                elif kind < len(_HANDLERS):  # what is unknown is passed over (section 5.5)
                    _HANDLERS[kind](self, flags, stream_id, payload)
            except StreamFault as fault:
                self._end_stream(stream_id, fault)
            if sender.unsent_bytes > control_bytes:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "asks, and does not read the answers")

    def _end_stream(self, stream_id: int, fault: StreamFault) -> None:
        stream = self._streams.by_id.get(stream_id)
        self._sender.reset(stream_id, fault.code)
        if stream is not None:
            self.events.append(StreamEnded(stream, fault.code, fault.reason, by_peer=False))
        self._count_reset()

    def _count_reset(self) -> None:
        self._resets.give_back(self._streams.completed)
        self._streams.completed = 0
        if not self._resets.take(self._now_s):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many streams that end by RST_STREAM")

    def _headers(self, flags: int, stream_id: int, block: bytes) -> None:
        headers = self._decoder.decode(block)
        streams = self._streams
        stream = streams.by_id.get(stream_id)
        if stream is not None:
            self._trailers(stream, headers, flags)
            return
        if stream_id <= streams.highest or not stream_id & 1:
            self._headers_on_missing(stream_id)
            return
        streams.advance(stream_id)
        if stream_id > self.last_stream_id:
            return
        if len(streams.by_id) >= self._limits.concurrent_streams:
            raise StreamFault(ErrorCode.REFUSED_STREAM, f"more than {self._limits.concurrent_streams} streams")
        if headers.problem:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, headers.problem)
        stream = Stream(stream_id, State.OPEN, self._sender.initial_window, headers.content_length)
        streams.by_id[stream_id] = stream
        if flags & END_STREAM:
            self._end_of_body(stream)
        self.events.append(HeadersReceived(stream, headers, bool(flags & END_STREAM)))

    def _headers_on_missing(self, stream_id: int) -> None:
        if not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}; a client's are odd")
        if stream_id <= self.last_stream_id:
            self._streams.is_passed_over(stream_id, Input.RECEIVE_HEADERS)

    def _trailers(self, stream: Stream, headers: Headers, flags: int) -> None:
        follow(stream.state, Input.RECEIVE_HEADERS)
        if not flags & END_STREAM:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "HEADERS inside a body that do not end it")
        if problem := regular_problem(headers.fields):
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, problem)
        self._end_of_body(stream)
        self.events.append(TrailersReceived(stream, headers))

    def _end_of_body(self, stream: Stream) -> None:
        if stream.missing_bytes:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"{stream.missing_bytes} bytes less than content-length said")
        self._streams.end_received(stream)

    def _data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        stream = self._streams.by_id.get(stream_id)
        if size:
            self._credit_connection(size)
        if flags & PADDED:
            payload = unpad(payload)
        if stream is None:
            self._data_on_missing(stream_id)
            return
        if stream.state is not State.OPEN:
            follow(stream.state, Input.RECEIVE_DATA)
        stream.uncredited += size
        if stream.uncredited > self._limits.stream_window_bytes:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, f"{stream.uncredited} bytes of data pass the window")
        if stream.missing_bytes is not None:
            self._count_body(stream, len(payload))
        if flags & END_STREAM:
            self._end_of_body(stream)
            events = self.events
            last = events[-1] if events else None
            if type(last) is HeadersReceived and last.stream is stream:
                events[-1] = WholeRequest(stream, last.headers, payload)
            else:
                events.append(DataReceived(stream, payload, True))
            return
        if not payload and not self._empty.take(self._now_s):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many DATA frames without data")
        self.credit(stream, at_least=self._limits.stream_window_bytes // 2)
        self.events.append(DataReceived(stream, payload, False))

    def _data_on_missing(self, stream_id: int) -> None:
        if stream_id > self.last_stream_id:
            return
        try:
            self._streams.is_passed_over(stream_id, Input.RECEIVE_DATA)
        except ConnectionFault as fault:
            if fault.code is not ErrorCode.STREAM_CLOSED:
                raise
            # We remember only so many resets, and data behind an older one is no crime: the mild of the two reactions
            # that section 5.1 leaves open.
            raise StreamFault(fault.code, fault.reason) from None

    def _count_body(self, stream: Stream, size: int) -> None:
        assert stream.missing_bytes is not None
        if size > stream.missing_bytes:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "more data than content-length said")
        stream.missing_bytes -= size

    def _credit_connection(self, size: int) -> None:
        self._uncredited += size
        window = self._limits.connection_window_bytes
        if self._uncredited > window:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"{self._uncredited} bytes of data pass the window")
        if self._uncredited * 2 >= window:
            self._sender.write(window_update_frame(0, self._uncredited))
            self._uncredited = 0

    def credit(self, stream: Stream, *, at_least: int) -> None:
        """Lets the peer send again what it has sent on ``stream``, if that is ``at_least`` so many bytes."""
        if stream.uncredited >= at_least and not stream.is_paused and stream.uncredited:
            self._sender.write(window_update_frame(stream.id, stream.uncredited))
            stream.uncredited = 0

    def _priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        is_idle = stream_id > self._streams.highest
        fault = ConnectionFault if is_idle else StreamFault  # RST_STREAM may not be sent on an idle stream
        if len(payload) != 5:
            raise fault(ErrorCode.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes; it has 5")
        if read_u32(payload) == stream_id:
            raise fault(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} depends on itself")

    def _rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"RST_STREAM of {len(payload)} bytes; it has 4")
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on stream 0")
        stream = self._streams.by_id.get(stream_id)
        if stream is None:
            self._streams.is_passed_over(stream_id, Input.RECEIVE_RESET)
            return
        self._streams.reset_received(stream)
        self._sender.drop(stream)
        code = int.from_bytes(payload, "big")
        self.events.append(StreamEnded(stream, code, f"the client sent RST_STREAM with code {code}", by_peer=True))
        self._count_reset()

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if flags & ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS that acknowledges, with a payload")
            self.settings_acknowledged = True
            return
        if len(payload) % 6:
            raise ConnectionFault(
                ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes; it has a multiple of 6"
            )
        if not self._settings_left.take(self._now_s):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many SETTINGS")
        self._apply_settings(parse_settings(payload))
        self._sender.write(frame(SETTINGS, ACK, 0))

    def _apply_settings(self, values: list[tuple[int, int]]) -> None:
        window = self._sender.initial_window
        for key, value in values:
            if key == Setting.INITIAL_WINDOW_SIZE:
                if value > MAX_WINDOW:
                    raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"an initial window of {value} passes 2^31-1")
                window = value
            elif key == Setting.MAX_FRAME_SIZE:
                if not _MIN_FRAME_SIZE <= value <= _MAX_FRAME_SIZE:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a frame size of {value}: not 2^14 to 2^24-1")
                self._sender.frame_bytes = value
            elif key == Setting.HEADER_TABLE_SIZE:
                self._encoder.limit_table(value)
            elif key == Setting.ENABLE_PUSH and value > 1:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH of {value}: neither 0 nor 1")
        self._sender.change_initial_window(window)  # once a frame, since it walks over all streams

    def _push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"PING on stream {stream_id}")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes; it has 8")
        if flags & ACK:
            self.drain_acknowledged |= payload == DRAIN_PAYLOAD
            return
        answered, self._sender.answered = self._sender.answered, False
        has_streams = bool(self._streams.by_id)
        too_many = self._judge.is_too_many(self._now_s, has_streams=has_streams, has_answered=answered)
        # A ping for each answer is what clients that measure bandwidth send, a lone one thousands a second: the answers
        # bound them.
        if too_many or not (answered or self._pings.take(self._now_s)):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings")
        self._sender.write_patiently(ping_answer(payload))

    def _goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"GOAWAY on stream {stream_id}")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes; it has at least 8")
        self.peer_going_away = True
        self.events.append(PeerGoingAway(int.from_bytes(payload[4:8], "big"), payload[8:]))

    def _window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"WINDOW_UPDATE of {len(payload)} bytes; it has 4")
        increment = read_u32(payload)
        stream = self._streams.by_id.get(stream_id)
        if not stream_id:
            if not increment:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
            self._sender.widen(increment)
        elif stream is None:
            self._streams.is_passed_over(stream_id, Input.RECEIVE_WINDOW_UPDATE)
        elif not increment:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
        else:
            self._sender.widen_stream(stream, increment)

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise AssertionError("the reader puts header blocks together")


_HANDLERS: Final[tuple[Callable[[Receiver, int, int, bytes], None], ...]] = (
    Receiver._data,
    Receiver._headers,
    Receiver._priority,
    Receiver._rst_stream,
    Receiver._settings,
    Receiver._push_promise,
    Receiver._ping,
    Receiver._goaway,
    Receiver._window_update,
    Receiver._continuation,
)
"""By frame type."""
