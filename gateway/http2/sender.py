"""The sending half: frames to write, the peer's windows, and data that waits for them.

Data goes out at once while the windows allow it and the transport keeps up. Otherwise it waits in its stream, and the
streams with data and an open window wait in line: each sends one frame in its turn, so that a long answer holds up
nobody. Headers and control frames never wait. Trailers wait behind the data of their stream; they are encoded when they
are written, because HPACK wants blocks sent in the order of encoding.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final

from oarlock.gateway.http2.faults import ConnectionFault, StreamFault
from oarlock.gateway.http2.frames import (
    CONTINUATION,
    DATA,
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER,
    HEADERS,
    MAX_WINDOW,
    ErrorCode,
    frame,
    reset_frame,
)
from oarlock.gateway.http2.header_encoder import HeaderEncoder
from oarlock.gateway.http2.headers import Fields
from oarlock.gateway.http2.limits import Limits
from oarlock.gateway.http2.states import State
from oarlock.gateway.http2.streams import Stream, Streams

_SHORT_BLOCK: Final = 64
_HEADERS_HEADS: Final = [FRAME_HEADER.pack(0, size, HEADERS, END_HEADERS, 0)[:5] for size in range(_SHORT_BLOCK)]
_TRAILERS_HEADS: Final = [
    FRAME_HEADER.pack(0, size, HEADERS, END_HEADERS | END_STREAM, 0)[:5] for size in range(_SHORT_BLOCK)
]
_DATA_HEAD: Final = bytes((DATA, 0))


class Sender:
    """What is to be written, in order.

    Invariants: ``unsent_bytes`` is the length of all that is in ``_out``; ``queued_bytes`` the sum over the streams; a
    stream is in the ready line if, and only if, it is open and has queued data and an open window.

    Attributes:
        window: bytes of data that the peer takes at present on all streams together.
        initial_window: the send window that a new stream begins with.
        frame_bytes: the largest payload that the peer takes.
        unsent_bytes: written, and not yet taken by the transport.
        patient_bytes: of those, what may wait for an answer to go with: acknowledgements of pings.
        queued_bytes: data that waits in its stream.
        answered: whether HEADERS or DATA were written since somebody last cleared it.
        drained: streams that had queued data and have none now, since somebody last cleared it.
    """

    def __init__(self, limits: Limits, streams: Streams, encoder: HeaderEncoder) -> None:
        self._limits = limits
        self._streams = streams
        self._encoder = encoder
        self._out: list[bytes] = []
        self._ready: OrderedDict[int, Stream] = OrderedDict()
        self.window = DEFAULT_WINDOW
        self.initial_window = DEFAULT_WINDOW
        self.frame_bytes = DEFAULT_FRAME_SIZE
        self.unsent_bytes = 0
        self.patient_bytes = 0
        self.queued_bytes = 0
        self.answered = False
        self.drained: dict[int, Stream] = {}

    def write(self, chunk: bytes) -> None:
        """Frames that do not wait."""
        self._out.append(chunk)
        self.unsent_bytes += len(chunk)

    def write_patiently(self, chunk: bytes) -> None:
        """Frames that may wait a little for others."""
        self.write(chunk)
        self.patient_bytes += len(chunk)

    def take(self) -> bytes:
        """All that is to be written now; the caller writes it. Data that waited for this takes its place."""
        if self._ready:
            self.pump()
        return self.take_written()

    def take_written(self) -> bytes:
        """The same, but that data which waits goes on waiting."""
        if not self._out:
            return b""
        output = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self.unsent_bytes = self.patient_bytes = 0
        return output

    @property
    def has_ready(self) -> bool:
        """Whether data waits in a stream that the peer would take."""
        return bool(self._ready)

    @property
    def has_output(self) -> bool:
        """Whether `take` has something to give."""
        return self.unsent_bytes > 0 or self.has_ready

    @property
    def is_due(self) -> bool:
        """Whether `take` has something to give that should not wait."""
        return self.unsent_bytes > self.patient_bytes or self.has_ready

    def headers(self, stream: Stream, fields: Fields, *, end: bool) -> None:
        """HEADERS, before any data; with ``end`` all of the answer."""
        stream.headers_sent = True
        self._write_block(stream, fields, end=end)
        if end:
            self._end_sent(stream)

    def _write_block(self, stream: Stream, fields: Fields, *, end: bool) -> None:
        block = self._encoder.encode(fields)
        self.answered = True
        flags = END_STREAM if end else 0
        if len(block) <= self.frame_bytes:
            self.write(frame(HEADERS, flags | END_HEADERS, stream.id, block))
            return
        pieces = [block[at : at + self.frame_bytes] for at in range(0, len(block), self.frame_bytes)]
        self.write(frame(HEADERS, flags, stream.id, pieces[0]))
        for piece in pieces[1:-1]:
            self.write(frame(CONTINUATION, 0, stream.id, piece))
        self.write(frame(CONTINUATION, END_HEADERS, stream.id, pieces[-1]))

    def respond(self, stream: Stream, headers: Fields, body: bytes, trailers: Fields) -> bool:
        """A whole answer; one piece of bytes where the windows allow it. False: the peer reads too slowly, see
        `data`."""
        size = len(body)
        if (
            size <= self.frame_bytes
            and size <= self.window
            and size <= stream.send_window
            and self.unsent_bytes < self._limits.unsent_bytes
            and not stream.headers_sent
        ):
            head, tail = self._encoder.encode(headers), self._encoder.encode(trailers)
            if len(head) < _SHORT_BLOCK and len(tail) < _SHORT_BLOCK:
                number = stream.id.to_bytes(4, "big")
                length = size.to_bytes(3, "big")
                # fmt: off
                chunk = b"".join((_HEADERS_HEADS[len(head)], number, head, length, _DATA_HEAD, number, body,
                                  _TRAILERS_HEADS[len(tail)], number, tail))
                # fmt: on
                self._out.append(chunk)
                self.unsent_bytes += len(chunk)
                self.window -= size
                self.answered = stream.headers_sent = True
                if stream.state is State.HALF_CLOSED_REMOTE:
                    self._streams.close(stream)
                else:
                    self._end_sent(stream)
                return True
        if not stream.headers_sent:
            self.headers(stream, headers, end=False)
        if not self.data(stream, body):
            return False
        self.finish(stream, trailers)
        return True

    def data(self, stream: Stream, chunk: bytes) -> bool:
        """Bytes of the body. False: they would have to wait, and no more may; the stream is then to be reset."""
        size = len(chunk)
        if not stream.queue:
            if not self._ready and size <= self.frame_bytes and size <= self.window and size <= stream.send_window:
                if self.unsent_bytes < self._limits.unsent_bytes:  # as _write_data, in place: watches come here
                    self._out += (FRAME_HEADER.pack(size >> 16, size & 0xFFFF, DATA, 0, stream.id), chunk)
                    self.unsent_bytes += FRAME_HEADER.size + size
                    self.window -= size
                    stream.send_window -= size
                    self.answered = True
                    return True
            elif not size:
                return True
        return self.data_in_parts(stream, (chunk,), size)

    def data_in_parts(self, stream: Stream, chunks: Sequence[bytes], size: int) -> bool:
        """As `data`, of one long piece in ``chunks``, which spares joining them; ``size`` is their length."""
        if not self._may_queue(stream, size):
            return False
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.extend(chunks)
        stream.queued_bytes += size
        self.queued_bytes += size
        self._line_up(stream)
        self.pump()
        return True

    def _may_queue(self, stream: Stream, size: int) -> bool:
        """One message always finds room, in a stream and in the connection; a second one only within the limits."""
        limits = self._limits
        if stream.queued_bytes and stream.queued_bytes + size > limits.queued_stream_bytes:
            return False
        return not self.queued_bytes or self.queued_bytes + size <= limits.queued_bytes

    def finish(self, stream: Stream, trailers: Fields) -> None:
        """The end of the answer: trailers, or () for a bare END_STREAM, behind the data."""
        stream.trailers = trailers
        if not stream.queue:
            self._end(stream)

    def _end(self, stream: Stream) -> None:
        if stream.trailers:
            self._write_block(stream, stream.trailers, end=True)
        else:
            self._write_data(stream, b"", 0, flags=END_STREAM)
        self._end_sent(stream)

    def _end_sent(self, stream: Stream) -> None:
        """A client that is not done is told that nobody listens any more (RFC 9113 section 8.1)."""
        self._streams.end_sent(stream)
        if stream.state is State.HALF_CLOSED_LOCAL:
            self.reset(stream.id, ErrorCode.NO_ERROR)

    def reset(self, stream_id: int, code: int) -> None:
        """RST_STREAM; what waited in the stream is dropped."""
        stream = self._streams.by_id.get(stream_id)
        self._streams.reset_sent(stream_id)
        if stream is not None:
            self.drop(stream)
        self.write(reset_frame(stream_id, code))

    def drop(self, stream: Stream) -> None:
        """Forgets the data of a stream that is closed."""
        if stream.queue:
            self.queued_bytes -= stream.queued_bytes
            stream.queued_bytes = 0
            stream.queue = None
        self._ready.pop(stream.id, None)
        self.drained.pop(stream.id, None)

    def pump(self) -> None:
        """Sends what waits, as far as the windows and the transport allow. Each frame is at least one byte of
        progress."""
        ready = self._ready
        while ready and self.window > 0 and self.unsent_bytes < self._limits.unsent_bytes:
            stream = ready.popitem(last=False)[1]
            if stream.send_window > 0:  # the peer may have taken it back
                self._send_queued(stream)
                self._line_up(stream)

    def _line_up(self, stream: Stream) -> None:
        if stream.queue and stream.send_window > 0:
            self._ready.setdefault(stream.id, stream)

    def _send_queued(self, stream: Stream) -> None:
        """One frame of what waits in ``stream``, and its end if that was all."""
        assert stream.queue
        chunk, start = stream.queue[0], stream.offset
        size = min(len(chunk) - start, self.frame_bytes, self.window, stream.send_window)
        stream.offset += size
        stream.queued_bytes -= size
        self.queued_bytes -= size
        if stream.offset == len(chunk):
            stream.queue.popleft()
            stream.offset = 0
        self._write_data(stream, chunk[start : start + size], size, flags=0)
        if not stream.queue:
            if stream.trailers is not None:
                self._end(stream)
            else:
                self.drained[stream.id] = stream

    def _write_data(self, stream: Stream, chunk: bytes, size: int, *, flags: int) -> None:
        self._out += (FRAME_HEADER.pack(size >> 16, size & 0xFFFF, DATA, flags, stream.id), chunk)
        self.unsent_bytes += FRAME_HEADER.size + size
        self.window -= size
        stream.send_window -= size
        self.answered = True

    def widen(self, increment: int) -> None:
        """The peer's WINDOW_UPDATE for the connection."""
        if self.window + increment > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"WINDOW_UPDATE by {increment} passes 2^31-1")
        self.window += increment

    def widen_stream(self, stream: Stream, increment: int) -> None:
        """The peer's WINDOW_UPDATE for a stream."""
        if stream.send_window + increment > MAX_WINDOW:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, f"WINDOW_UPDATE by {increment} passes 2^31-1")
        stream.send_window += increment
        self._line_up(stream)

    def change_initial_window(self, size: int) -> None:
        """The peer's SETTINGS_INITIAL_WINDOW_SIZE, which moves the windows of all open streams (section 6.9.2)."""
        difference = size - self.initial_window
        self.initial_window = size
        if not difference:
            return
        for stream in self._streams.by_id.values():
            stream.send_window += difference
            if stream.send_window > MAX_WINDOW:
                raise ConnectionFault(
                    ErrorCode.FLOW_CONTROL_ERROR, f"initial window {size} lifts stream {stream.id} above 2^31-1"
                )
            self._line_up(stream)
