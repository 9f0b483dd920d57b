"""The native front door: frames of clients to requests, replies to frames. What requests mean is decided elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import zmq

from oarlock.wire.errors import OarlockError, OverloadedError, ProtocolError
from oarlock.wire.frames import pack, pack_error, unpack
from oarlock.wire.sockets import bind_shared, is_readable
from oarlock.workers.reads import Caller

MAX_MESSAGES_A_TURN: Final = 64
"""Messages taken in one turn, so that committed entries and other connections are never far off."""
MAX_REQUESTS_A_MESSAGE: Final = 10_000
"""Requests in one message; a client library sends far fewer."""
MAX_TIMEOUT_MS: Final = 60_000
"""The longest that a server remembers a request for."""
REPLY_QUEUE_MESSAGES: Final = 32
"""Reply messages that libzmq holds for one client beside what TCP takes; the next ones wait here, where their bytes are
counted."""
REPLY_MESSAGE_BYTES: Final = 1 << 20
"""A reply message is closed when long results have filled it so far; what it then still takes is one result."""
MAX_UNSENT_BYTES: Final = 16 << 20
"""Replies that wait here for one client: seconds of reading. A long result beyond it is refused, with a hint to ask
again; a client that does not even take refusals loses them."""
MAX_ALL_UNSENT_BYTES: Final = 256 << 20
"""Replies that wait here for all clients together."""
MAX_RETRIES_A_TURN: Final = 64
"""Clients to whom a turn tries to send again."""
UNSENT_PAUSE_MS: Final = 100
"""The hint that goes with such a refusal."""
REQUEST_QUEUE_MESSAGES: Final = 64
"""Messages of one client that wait to be taken; after that TCP holds the client up."""
MESSAGE_ROOM_BYTES: Final = 2 << 20
"""A message may be longer than the longest request by this: a client library sends up to a MiB of others with it."""
MAX_CONNECTIONS: Final = 20_000
"""Connections remembered; the longest silent one is forgotten (its unsent replies are none by then)."""
HEARTBEAT_MS: Final = 5_000
"""ZMTP pings, by which both sides notice a peer that is gone without a word."""
HEARTBEAT_TIMEOUT_MS: Final = 20_000


class Connection:
    """A client's connection, as far as answering goes: ``answer`` collects, the door sends all of it at once.

    Invariants:
    1. ``unsent_bytes`` is the length of all messages in ``unsent``, which wait for libzmq to have room.
    2. While there are any, every later message joins them, and the door has it among those ``_behind``.
    """

    __slots__ = ("door", "identity", "item_bytes", "items", "unsent", "unsent_bytes")

    def __init__(self, door: NativeDoor, identity: bytes) -> None:
        self.door = door
        self.identity = identity
        self.items: list[Any] = []
        self.item_bytes = 0
        self.unsent: deque[bytes] = deque()
        self.unsent_bytes = 0

    def answer(self, item: Any) -> None:
        """Adds a reply item; it leaves with the next ``flush``."""
        if not self.items:
            self.door.dirty.append(self)
        self.items.append(item)

    def answer_long(self, item: Any, size_bytes: int) -> None:
        """Adds a reply item that holds about ``size_bytes``; refuses it to a client that does not read."""
        if self.unsent_bytes > MAX_UNSENT_BYTES:
            self.answer(pack_error(item[0], OverloadedError(detail=UNSENT_PAUSE_MS)))
            return
        self.answer(item)
        self.item_bytes += size_bytes
        if self.item_bytes >= REPLY_MESSAGE_BYTES:
            self.door.send(self)


class Message(NamedTuple):
    """What a client sent in one frame, its shape checked, its requests not."""

    connection: Caller
    client_id: int
    floor: int
    since: int
    timeout_ms: int
    requests: list[Any]


class NativeDoor:
    """The ROUTER that clients talk to.

    Args:
        context: the ZeroMQ context; the caller ends it.
        urls: ``tcp://host:port`` each, shared with the other workers.
        max_request_bytes: of one request.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], urls: Sequence[str], max_request_bytes: int) -> None:
        self.socket = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 500)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # else it drops without a word what it has no room for
        self.socket.setsockopt(zmq.MAXMSGSIZE, max_request_bytes + MESSAGE_ROOM_BYTES)
        self.socket.setsockopt(zmq.RCVHWM, REQUEST_QUEUE_MESSAGES)
        self.socket.setsockopt(zmq.SNDHWM, REPLY_QUEUE_MESSAGES)
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        for url in urls:
            bind_shared(self.socket, url)
        self.dirty: list[Connection] = []
        self._behind: deque[Connection] = deque()
        self._all_unsent_bytes = 0
        self._raft_term = self._position = 0
        self._has_sent = False
        self._connections: dict[bytes, Connection] = {}

    def receive(self) -> Message | None:
        """The next message, None if there is none now. What is no message of ours is answered here."""
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return None
            if len(frames) != 2:
                continue  # not even a place for an answer
            identity, frame = frames
            connection = self._connections.get(identity) or self._remember(identity)
            try:
                return Message(connection, *_decode(frame))
            except OarlockError as problem:
                connection.answer(pack_error(0, problem))

    def flush(self, raft_term: int, position: int) -> None:
        """Sends what was answered since the last flush, one frame a connection where results are short."""
        self._raft_term, self._position = raft_term, position
        if self._behind:
            self._catch_up()
        if not self.dirty:
            return
        dirty, self.dirty = self.dirty, []
        for connection in dirty:
            self.send(connection)

    def send(self, connection: Connection) -> None:
        """Sends what a connection has been answered, or keeps it until there is room."""
        items, connection.items, connection.item_bytes = connection.items, [], 0
        if not items:
            return  # sent before the turn ended, since it was long
        message = pack((self._raft_term, self._position, items))
        if not connection.unsent and self._has_room(connection, message):
            return
        if connection.unsent_bytes > 2 * MAX_UNSENT_BYTES or self._all_unsent_bytes > MAX_ALL_UNSENT_BYTES:
            return  # it does not read: the client asks again when it does
        if not connection.unsent:
            self._behind.append(connection)
        connection.unsent.append(message)
        connection.unsent_bytes += len(message)
        self._all_unsent_bytes += len(message)

    def _has_room(self, connection: Connection, message: bytes) -> bool:
        """Hands a message to libzmq; False where it has no room. Messages to who is gone are gone with them."""
        self._has_sent = True
        try:
            self.socket.send_multipart((connection.identity, message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as problem:
            if problem.errno != zmq.EHOSTUNREACH:
                raise
            self._connections.pop(connection.identity, None)
        return True

    def _catch_up(self) -> None:
        """Sends what waits, as far as there is room by now."""
        for _ in range(min(len(self._behind), MAX_RETRIES_A_TURN)):
            connection = self._behind.popleft()
            while connection.unsent and self._has_room(connection, connection.unsent[0]):
                size_bytes = len(connection.unsent.popleft())
                connection.unsent_bytes -= size_bytes
                self._all_unsent_bytes -= size_bytes
            if connection.unsent:
                self._behind.append(connection)

    def answer_everyone(self, item: Any) -> None:
        """Tells something to all clients; those that are gone are forgotten on the way."""
        for connection in self._connections.values():
            connection.answer(item)

    def has_more(self) -> bool:
        """Whether sending has swallowed the signal that something arrived (ZeroMQ's descriptors are edge-triggered)."""
        if not self._has_sent:
            return False
        self._has_sent = False
        return is_readable(self.socket)

    def close(self) -> None:
        """Closes the socket; replies under way get half a second."""
        self.socket.close()

    def _remember(self, identity: bytes) -> Connection:
        if len(self._connections) >= MAX_CONNECTIONS:
            del self._connections[next(iter(self._connections))]
        connection = self._connections[identity] = Connection(self, identity)
        return connection


def _decode(frame: bytes) -> tuple[int, int, int, int, list[Any]]:
    message = unpack(frame)
    if type(message) is not list or len(message) != 5:
        raise ProtocolError(f"{ProtocolError.text}: a message is [client_id, floor, since, timeout_ms, requests]")
    client_id, floor, since, timeout_ms, requests = message
    for name, value in (("client_id", client_id), ("floor", floor), ("since", since), ("timeout_ms", timeout_ms)):
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise ProtocolError(f"{ProtocolError.text}: {name} must be 0 to 2**63-1")
    if type(requests) is not list or not 0 < len(requests) <= MAX_REQUESTS_A_MESSAGE:
        raise ProtocolError(f"{ProtocolError.text}: requests must be 1 to {MAX_REQUESTS_A_MESSAGE} in a list")
    return client_id, floor, since, min(timeout_ms, MAX_TIMEOUT_MS), requests
