"""A gRPC client's connection: bytes of its transport to calls of services, answers to bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from oarlock.gateway.admission import guarded
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
from oarlock.gateway.grpc.connection import GrpcConnection
from oarlock.gateway.grpc.messages import framed
from oarlock.gateway.grpc.status import OK, Status
from oarlock.gateway.service import Exchange, SharedMessages, Timer
from oarlock.wire.errors import Code
from oarlock.workers.long_answers import LONG_BYTES, PART_BYTES

if TYPE_CHECKING:
    from oarlock.workers.etcd_door import EtcdDoor

CROWDED_PART: Final = 4
"""A connection is crowded, so that nothing long is added, when this part of what may wait for its client does: the rest
is for answers that must be sent, since above the limit calls are broken off."""
SLOW_READER: Final = Status(Code.RESOURCE_EXHAUSTED, "oarlock: the client reads too slowly")


class GrpcExchange(Exchange):
    """A call on such a connection.

    Invariant: it is its call's context, and has callbacks, only until the call is over. So it is freed at once: garbage
    that refers to itself would wait for a collection, which a busy worker puts off.
    """

    __slots__ = ("_call", "_peer", "counts")

    def __init__(self, peer: GrpcPeer, call: Call) -> None:
        # Not super().__init__(): it costs a tenth of a small call.
        self.on_message = self.on_requests_ended = self.on_drained = self.on_ended = None
        self._peer = peer
        self._call = call
        self.counts = counts = peer.door.counts.by_path[call.request.method.path]
        counts.started += 1

    def metadata(self, name: str) -> str | bytes | None:
        """The first metadata value under ``name``."""
        return self._call.request.value(name)

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._call.is_over

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the client to read."""
        return self._peer.connection.queued_bytes(self._call)

    def reply(self, message: bytes) -> None:
        """Ends the call with one message."""
        peer, call = self._peer, self._call
        if not call.is_over:
            counts = self.counts
            counts.replied += 1
            counts.sent_bytes += len(message)
            call.context = self.on_ended = None
        peer.connection.reply(call, message)
        if not peer.is_dirty:
            peer.mark()

    def reply_in_parts(self, parts: Sequence[bytes]) -> None:
        """As ``reply``."""
        peer, call = self._peer, self._call
        if not call.is_over:
            self.counts.replied += 1
            self.counts.sent_bytes += sum(map(len, parts))
            call.context = self.on_ended = None
        peer.connection.reply_in_parts(call, parts)
        if not peer.is_dirty:
            peer.mark()

    def send(self, message: bytes) -> None:
        """Sends one message of several."""
        peer = self._peer
        if not self._call.is_over:
            self.counts.sent += 1
            self.counts.sent_bytes += len(message)
            if not peer.connection.send(self._call, message):
                self._cut_off()
        if not peer.is_dirty:
            peer.mark()

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits on the whole connection that nothing long should be added."""
        return self._peer.connection.queued_bytes_of_all > self._peer.crowded_bytes

    def offer(self, batch: SharedMessages, most_bytes: int) -> bool:
        """Sends messages that others get too, framed once for all, in one piece; False if the client does not keep
        up."""
        call, peer = self._call, self._peer
        if call.is_over:
            return True
        connection = peer.connection
        queued_bytes = call.stream.queued_bytes
        if queued_bytes and queued_bytes + batch.size_bytes > most_bytes:
            return False
        if connection.queued_bytes_of_all > peer.crowded_bytes:
            return False
        body = batch.framed
        if body is None:
            body = batch.framed = b"".join(map(framed, batch.messages))
        self.counts.sent += len(batch.messages)
        self.counts.sent_bytes += batch.size_bytes
        if not connection.send_framed(call, body):
            self._cut_off()
        if not peer.is_dirty:
            peer.mark()
        return True

    def finish(self, status: Status = OK) -> None:
        """Ends the call with a status."""
        peer = self._peer
        if not self._call.is_over:
            self.counts.end(status.code)
            self.let_go()
        peer.connection.finish(self._call, status)
        if not peer.is_dirty:
            peer.mark()

    def _cut_off(self) -> None:
        """The client reads too slowly, and its call was ended by the connection."""
        self.counts.end(SLOW_READER.code)
        on_ended = self.on_ended
        self.let_go()
        if on_ended is not None:
            on_ended(SLOW_READER)

    def let_go(self) -> None:
        """The call is over: nobody calls back any more."""
        self._call.context = None
        self.on_message = self.on_requests_ended = self.on_drained = self.on_ended = None


class GrpcPeer(asyncio.Protocol):
    """Drives a `GrpcConnection`. What it has to write leaves at the end of the worker's turn (``flush``). A ping that
    comes alone is answered at once, one that comes with a request when that is answered.

    Invariants:
    1. ``is_dirty`` says whether the door has it in its list of those with something to write, ``is_late`` whether in
       that of those whose writing may wait for an answer.
    2. At most one timer is set, at or before the connection's ``wake_at_s``; none without a transport.

    Args:
        door: that it came through.
        transport: connected.
    """

    def __init__(self, door: EtcdDoor, transport: asyncio.Transport) -> None:
        self.door = door
        self.connection = GrpcConnection(
            door.methods,
            time.monotonic(),
            limits=door.limits,
            message_limits=door.message_limits,
            policy=door.keepalive,
        )
        self.is_dirty = False
        self.is_late = False
        self.crowded_bytes = door.limits.queued_bytes // CROWDED_PART
        self._transport: asyncio.Transport | None = transport
        self._is_paused = False
        self._timer: Timer | None = None
        self._timer_at_s = 0.0
        self._arm()
        self.mark()  # our SETTINGS

    def mark(self) -> None:
        """There is something to write."""
        if not self.is_dirty:
            self.is_dirty = True
            self.door.mark(self)

    # What the transport tells

    def data_received(self, data: bytes) -> None:
        """Takes what came."""
        if self.door.knocking.is_due:
            self.door.knocking.bytes_came()
        events = self.connection.receive(data, time.monotonic())
        if events:
            self._handle(events)
        elif not self.is_dirty:
            self.flush()
        if self._timer is None or self.connection.has_deadlines:
            self._arm()

    def pause_writing(self) -> None:
        """The client does not read fast enough."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """It has read."""
        self._is_paused = False
        self.mark()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone; so are its calls."""
        self.door.forget(self)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._transport = None
        self._handle(self.connection.lost())

    # What the door tells

    def flush(self) -> None:
        """Writes what there is to write, as far as the transport takes it. Where that is long it lines up for it."""
        self.is_dirty = False
        transport, connection = self._transport, self.connection
        if transport is None or transport.is_closing():
            return
        if connection.queued_bytes_of_all <= LONG_BYTES:
            while self._write_more(transport):
                pass
        elif not self._is_paused:
            self._write(transport, connection.take_written())
            if connection.has_ready:
                self.door.long_answers.line_up(self)
        if connection.is_over:
            transport.close()

    def send_part(self) -> None:
        """The next part of what is long; see ``LongSender``."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        left_bytes = PART_BYTES
        while left_bytes > 0 and (written_bytes := self._write_more(transport)):
            left_bytes -= written_bytes
        self.flush()

    def _write_more(self, transport: asyncio.Transport) -> int:
        """Writes what comes next, if the transport takes it; how many bytes."""
        return 0 if self._is_paused else self._write(transport, self.connection.take_output())

    def _write(self, transport: asyncio.Transport, output: bytes) -> int:
        if output:
            transport.write(output)
            for call in self.connection.take_drained():
                self._drained(call)
        return len(output)

    def shut_down(self) -> None:
        """No new calls: those that are open are answered, and then the connection ends."""
        self._handle(self.connection.shut_down(time.monotonic()))
        self._arm()

    def close(self) -> None:
        """Ends it now; what is written leaves first."""
        self._handle(self.connection.close())
        self.flush()
        if self._transport is not None:
            self._transport.close()

    # Inside

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is RequestReceived:
                call = event.call
                exchange = call.context = GrpcExchange(self, call)
                exchange.counts.received += 1
                exchange.counts.received_bytes += len(event.message)
                self.door.call(call, exchange, event.message)
            elif isinstance(event, ConnectionEnded):
                continue  # flush sees it
            elif isinstance(event, CallOpened):
                event.call.context = GrpcExchange(self, event.call)
                self.door.call(event.call, event.call.context, None)
            else:
                self._tell(event)
        if not self.is_dirty:
            if self.connection.is_due:
                self.mark()
            elif self.connection.has_output and not self.is_late:
                self.is_late = True
                self.door.put_off(self)

    def _tell(self, event: MessageReceived | RequestsEnded | CallEnded | RequestReceived) -> None:
        exchange = event.call.context
        if not isinstance(exchange, GrpcExchange):
            return  # what came before in the same turn has ended it
        if isinstance(event, MessageReceived):
            exchange.counts.received += 1
            exchange.counts.received_bytes += len(event.message)
            if exchange.on_message is not None:
                guarded(exchange, exchange.on_message, event.message)
        elif isinstance(event, RequestsEnded):
            if exchange.on_requests_ended is not None:
                guarded(exchange, exchange.on_requests_ended)
        elif isinstance(event, CallEnded):
            exchange.counts.end(event.status.code)
            on_ended = exchange.on_ended
            exchange.let_go()
            if on_ended is not None:
                guarded(exchange, on_ended, event.status)

    def _drained(self, call: Call) -> None:
        exchange = call.context
        if isinstance(exchange, GrpcExchange) and exchange.on_drained is not None:
            guarded(exchange, exchange.on_drained)

    def _arm(self) -> None:
        """Sets the timer anew where it would ring too late; answers and bytes that come put the time off."""
        wake_at_s = self.connection.wake_at_s
        if wake_at_s is None or self._transport is None or (self._timer is not None and self._timer_at_s <= wake_at_s):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at_s = wake_at_s
        delay_s = max(0.0, wake_at_s - time.monotonic())
        self._timer = self.door.call_later(delay_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._handle(self.connection.tick(time.monotonic()))
        self._arm()
