"""One client's connection at the native door: ZMTP in and out, and how far the client is behind with reading."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final, cast

from oarlock.wire.errors import OverloadedError, ProtocolError
from oarlock.wire.frames import pack_error
from oarlock.wire.sockets import detect_dead_peers
from oarlock.wire.zmtp import ZmtpEnd, encode_message

if TYPE_CHECKING:
    from oarlock.workers.native_door import NativeDoor

REPLY_MESSAGE_BYTES: Final = 1 << 20
"""A reply message is closed when long results have filled it so far; what it then still takes is one result."""
MAX_UNSENT_BYTES: Final = 32 << 20
"""Replies that wait for one client beside what TCP takes: seconds of reading. A long result beyond it is refused, with
a hint to ask again; a client that does not even take refusals loses them."""
UNSENT_PAUSE_MS: Final = 100
"""The hint that goes with such a refusal."""
REQUEST_QUEUE_MESSAGES: Final = 64
"""Messages of one client that wait to be taken; after that TCP holds the client up."""
HANDSHAKE_TIMEOUT_S: Final = 30.0
"""A connection that has not become a client's by then is closed (libzmq's ZMQ_HANDSHAKE_IVL likewise)."""
PEER_TYPES: Final = frozenset({"DEALER", "REQ", "ROUTER"})
"""What a ROUTER talks to, which is what we are to libzmq."""


class Connection(asyncio.Protocol):
    """A client's connection: ``answer`` collects, the door sends all of it at once.

    Invariants:
    1. It is among the door's ``connections`` from its beginning to its end, unless the door had no room for it.
    2. ``unsent_bytes`` is at least what waits in the transport, and counted in the door's ``unsent_bytes``.
    3. While ``waiting`` messages fill the queue, nothing is read.

    Attributes:
        waiting: messages that the door has and has not given to anybody.
        items: reply items for the next message.
    """

    def __init__(
        self, door: NativeDoor, loop: asyncio.AbstractEventLoop, max_message_bytes: int, handshake_timeout_s: float
    ) -> None:
        self._door = door
        self._end = ZmtpEnd("ROUTER", PEER_TYPES, max_message_bytes)
        self._handshake = loop.call_later(handshake_timeout_s, self._give_up_handshake)
        self._transport: asyncio.Transport
        self._item_bytes = 0
        self._is_full = False
        self.items: list[Any] = []
        self.unsent_bytes = 0
        self.waiting = 0

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected; both sides greet at once."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        if not self._door.admit(self):
            self._transport.abort()
            return
        stream: socket.socket = transport.get_extra_info("socket")
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        detect_dead_peers(stream)
        self._transport.set_write_buffer_limits(high=0)  # what is written leaves at once
        self._say()

    def data_received(self, data: bytes) -> None:
        """Takes messages from what arrived; what is none of the protocol ends the connection."""
        try:
            messages = self._end.receive(data)
        except ProtocolError:
            self._transport.abort()
            return
        if self._end.to_send:
            self._say()
        if messages:
            self.waiting += len(messages)
            self._door.arrived(self, messages)
            if self.waiting >= REQUEST_QUEUE_MESSAGES and not self._is_full:
                self._is_full = True
                self._transport.pause_reading()

    def connection_lost(self, _: Exception | None) -> None:
        """It is gone, and what waited for it."""
        self._handshake.cancel()
        self._door.forget(self)

    def resume_writing(self) -> None:
        """All that waited has left."""
        self._door.unsent_bytes -= self.unsent_bytes
        self.unsent_bytes = 0

    # What the door and those who answer call

    @property
    def is_client(self) -> bool:
        """Whether the handshake is over: nothing may be sent before."""
        return self._end.is_ready

    def taken(self) -> None:
        """One of the waiting messages was taken."""
        self.waiting -= 1
        if self._is_full and not self.waiting:
            self._is_full = False
            self._transport.resume_reading()

    def answer(self, item: Any) -> None:
        """Adds a reply item; it leaves with the door's next ``flush``."""
        if not self.items:
            self._door.dirty.append(self)
        self.items.append(item)

    @property
    def takes_encoded_rows(self) -> bool:
        """No: they are no kvs."""
        return False

    def answer_long(self, item: Any, size_bytes: int) -> None:
        """Adds a reply item that holds about ``size_bytes``; refuses it to a client that does not read."""
        if self.unsent_bytes > MAX_UNSENT_BYTES:
            self.answer(pack_error(item[0], OverloadedError(detail=UNSENT_PAUSE_MS)))
            return
        self.answer(item)
        self._item_bytes += size_bytes
        if self._item_bytes >= REPLY_MESSAGE_BYTES:
            self._door.send(self)

    def take_items(self) -> list[Any]:
        """The reply items since the last time."""
        items, self.items, self._item_bytes = self.items, [], 0
        return items

    def write(self, message: bytes) -> None:
        """Sends a message, as far as TCP takes it; the rest waits in the transport, and is counted."""
        self._transport.write(encode_message(message))
        waiting_bytes = self._transport.get_write_buffer_size()
        if waiting_bytes:
            self._door.unsent_bytes += waiting_bytes - self.unsent_bytes
            self.unsent_bytes = waiting_bytes

    def close(self) -> None:
        """Ends the connection when what waits has left."""
        self._transport.close()

    def _say(self) -> None:
        """Says what the protocol wants said, unless the client has far too much to read already."""
        if self._transport.get_write_buffer_size() > 2 * MAX_UNSENT_BYTES:
            self._transport.abort()
            return
        self._transport.write(self._end.to_send)
        self._end.to_send = b""
        if self._end.is_ready:
            self._handshake.cancel()

    def _give_up_handshake(self) -> None:
        if not self._end.is_ready:
            self._transport.abort()
