"""The streams of a connection: the open ones, and what has to be known of those that are not."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict, deque

from oarlock.gateway.http2.faults import ConnectionFault
from oarlock.gateway.http2.frames import ErrorCode
from oarlock.gateway.http2.headers import Fields
from oarlock.gateway.http2.states import Input, State, follow

_REMEMBERED_GAPS = 100
"""Unused ids below the highest, as ranges. Clients number their streams without gaps; this only picks the error
code."""


class Stream:
    """One stream, from its HEADERS to its end.

    Invariants: ``queued_bytes`` is what of ``queue`` is not sent, beginning ``offset`` bytes into its first chunk;
    ``uncredited`` is at most the window that we give.

    Attributes:
        id: its number.
        state: where it is in its life.
        send_window: bytes of data that the peer takes at present; below 0 after it reduced its initial window.
        uncredited: bytes of data that have come and that no WINDOW_UPDATE of ours has answered.
        is_paused: whether WINDOW_UPDATEs are withheld.
        missing_bytes: of the body that content-length announced; None without one.
        queue: data that waits for the window; None as long as none ever had to.
        trailers: fields to send behind the queue, () for a bare END_STREAM; None while more data may come.
        headers_sent: whether the answer has begun.
        context: belongs to the layer above.
    """

    __slots__ = (
        "context",
        "headers_sent",
        "id",
        "is_paused",
        "missing_bytes",
        "offset",
        "queue",
        "queued_bytes",
        "send_window",
        "state",
        "trailers",
        "uncredited",
    )

    def __init__(self, stream_id: int, state: State, send_window: int, missing_bytes: int | None) -> None:
        self.id = stream_id
        self.state = state
        self.send_window = send_window
        self.missing_bytes = missing_bytes
        self.uncredited = 0
        self.is_paused = False
        self.queue: deque[bytes] | None = None
        self.offset = 0
        self.queued_bytes = 0
        self.trailers: Fields | None = None
        self.headers_sent = False
        self.context: object | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be sent or received."""
        return self.state is State.CLOSED


class Streams:
    """The table of streams.

    Invariants: ``by_id`` holds exactly the streams that are neither idle nor closed; every id in it is at most
    ``highest``; ids only grow (RFC 9113 section 5.1.1).

    Attributes:
        by_id: the open streams.
        highest: the highest id that the peer has used.
        completed: streams that ended in order since somebody last set this to 0.
    """

    __slots__ = ("_gap_ends", "_gap_starts", "_remembered", "_reset", "by_id", "completed", "highest")

    def __init__(self, remembered_resets: int) -> None:
        self.by_id: dict[int, Stream] = {}
        self.highest = 0
        self.completed = 0
        self._reset: OrderedDict[int, None] = OrderedDict()
        self._remembered = remembered_resets
        self._gap_starts: deque[int] = deque(maxlen=_REMEMBERED_GAPS)
        self._gap_ends: deque[int] = deque(maxlen=_REMEMBERED_GAPS)

    def advance(self, stream_id: int) -> None:
        """The peer has used ``stream_id``, which is above ``highest``; ids between are now closed and never used."""
        if stream_id != self.highest + 2 and stream_id != 1:
            self._gap_starts.append(self.highest + 1)
            self._gap_ends.append(stream_id - 1)
        self.highest = stream_id

    def end_received(self, stream: Stream) -> None:
        """The peer has closed its half."""
        stream.state = (
            State.HALF_CLOSED_REMOTE if stream.state is State.OPEN else follow(stream.state, Input.RECEIVE_END)
        )
        if stream.state is State.CLOSED:
            self.close(stream)

    def end_sent(self, stream: Stream) -> None:
        """We have closed our half."""
        if stream.state is State.HALF_CLOSED_REMOTE:  # the common case of the table, without its two look-ups
            self.close(stream)
        else:
            stream.state = follow(stream.state, Input.SEND_END)

    def close(self, stream: Stream) -> None:
        """Both halves of an open stream are closed."""
        stream.state = State.CLOSED
        del self.by_id[stream.id]
        self.completed += 1

    def reset_received(self, stream: Stream) -> None:
        """The peer has given the stream up."""
        stream.state = follow(stream.state, Input.RECEIVE_RESET)
        del self.by_id[stream.id]

    def reset_sent(self, stream_id: int) -> None:
        """We have given the stream up; what the peer sent before it knew is to be passed over."""
        stream = self.by_id.pop(stream_id, None)
        if stream is not None:
            stream.state = follow(stream.state, Input.SEND_RESET)
        if len(self._reset) >= self._remembered:
            self._reset.popitem(last=False)
        self._reset[stream_id] = None

    def close_all(self) -> list[Stream]:
        """The connection is over, and with it every stream; the streams that were open."""
        streams = list(self.by_id.values())
        for stream in streams:
            stream.state = State.CLOSED
        self.by_id.clear()
        return streams

    def is_passed_over(self, stream_id: int, happened: Input) -> bool:
        """Whether a frame for a stream that is not open is to be passed over, because we reset the stream not long ago,
        or because the table allows it.

        Raises:
            Fault: it is neither, and breaks the rule of the state that the stream is in.
        """
        if stream_id in self._reset:
            return True
        if stream_id > self.highest or not stream_id & 1:
            follow(State.IDLE, happened)  # even ids are ours to open, and we never do: idle for good
        elif self._was_skipped(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} is below {self.highest}, and unused")
        follow(State.CLOSED, happened)
        return True

    def _was_skipped(self, stream_id: int) -> bool:
        index = bisect_right(self._gap_starts, stream_id) - 1
        return index >= 0 and stream_id <= self._gap_ends[index]
