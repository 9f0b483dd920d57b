"""The native front door: frames of clients to requests, replies to frames. What requests mean is decided elsewhere.

To clients it is a ROUTER of libzmq (``wire.zmtp``), but the worker's own loop reads and writes: libzmq's
thread between them and the loop costs a lone request two more hand-overs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from oarlock.wire.errors import OarlockError, ProtocolError
from oarlock.wire.frames import pack, pack_error, unpack
from oarlock.wire.logs import get_logger
from oarlock.wire.sockets import LISTEN_BACKLOG, listen_shared
from oarlock.workers.native_peer import HANDSHAKE_TIMEOUT_S, MAX_UNSENT_BYTES, Connection
from oarlock.workers.reads import Caller

log = get_logger(__name__)

MAX_MESSAGES_A_TURN: Final = 64
"""Messages taken in one turn, so that committed entries and other connections are never far off."""
MAX_REQUESTS_A_MESSAGE: Final = 10_000
"""Requests in one message; a client library sends far fewer."""
MAX_TIMEOUT_MS: Final = 60_000
"""The longest that a server remembers a request for."""
MAX_ALL_UNSENT_BYTES: Final = 256 << 20
"""Replies that wait here for all clients together."""
MESSAGE_ROOM_BYTES: Final = 2 << 20
"""A message may be longer than the longest request by this: a client library sends up to a MiB of others with it."""
MAX_CONNECTIONS: Final = 20_000
"""Connections of one worker; more are closed at once, and their clients try again, perhaps at another."""


class Message:
    """What a client sent in one frame, its shape checked, its requests not."""

    # No NamedTuple: those are made by the interpreter, also where the rest is compiled.
    __slots__ = ("client_id", "connection", "floor", "requests", "since", "timeout_ms")

    def __init__(
        self, connection: Caller, client_id: int, floor: int, since: int, timeout_ms: int, requests: list[Any]
    ) -> None:
        self.connection = connection
        self.client_id = client_id
        self.floor = floor
        self.since = since
        self.timeout_ms = timeout_ms
        self.requests = requests


class NativeDoor:
    """The listening sockets and the connections of native clients.

    Invariants:
    1. ``dirty`` has every connection with reply items.
    2. ``unsent_bytes`` is the sum of those of all connections.

    Args:
        urls: ``tcp://host:port`` each, shared with the other workers.
        max_request_bytes: of one request.
        max_connections: at a time.
        handshake_timeout_s: within which a connection must become a client's.

    Raises:
        ConfigurationError: an address cannot be had; the message names it.
    """

    def __init__(
        self,
        urls: Sequence[str],
        max_request_bytes: int,
        *,
        max_connections: int = MAX_CONNECTIONS,
        handshake_timeout_s: float = HANDSHAKE_TIMEOUT_S,
    ) -> None:
        self._max_connections = max_connections
        self._handshake_timeout_s = handshake_timeout_s
        self._max_message_bytes = max_request_bytes + MESSAGE_ROOM_BYTES
        self._listeners = [listen_shared(url) for url in urls]
        self._servers: list[asyncio.Server] = []
        self._arrived: deque[tuple[Connection, bytes]] = deque()
        self._on_arrival: Callable[[], None]
        self._is_draining = False
        self._raft_term = self._position = 0
        self._connections: set[Connection] = set()
        self.dirty: list[Connection] = []
        self.unsent_bytes = 0

    # Life

    async def start(self, on_arrival: Callable[[], None]) -> None:
        """Accepts connections.

        Args:
            on_arrival: called when ``receive`` has something to give and had nothing before; not to call it at once,
                since more may be about to arrive.
        """
        loop = asyncio.get_running_loop()
        self._on_arrival = on_arrival
        for listener in self._listeners:
            server = await loop.create_server(
                lambda: Connection(self, loop, self._max_message_bytes, self._handshake_timeout_s),
                sock=listener,
                backlog=LISTEN_BACKLOG,
            )
            self._servers.append(server)

    def drain(self) -> None:
        """Takes no more connections and requests; what is under way is still answered."""
        self._is_draining = True
        for server in self._servers:
            server.close()

    def close(self) -> None:
        """Closes all connections; what is written leaves first, as far as the loop goes on."""
        for server in self._servers:
            server.close()
        for connection in tuple(self._connections):
            connection.close()
        for listener in self._listeners:
            listener.close()

    # Connections

    def admit(self, connection: Connection) -> bool:
        """Whether one more connection is taken."""
        if len(self._connections) >= self._max_connections:
            log.warning("too many native connections", most=self._max_connections)
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self.unsent_bytes -= connection.unsent_bytes
        connection.unsent_bytes = 0

    def arrived(self, connection: Connection, messages: Sequence[bytes]) -> None:
        """Messages have come; each connection bounds how many of its own wait here."""
        is_first = not self._arrived
        self._arrived.extend([(connection, message) for message in messages])
        if is_first and not self._is_draining:
            self._on_arrival()

    # Messages

    def receive(self) -> Message | None:
        """The next message, None if there is none now. What is no message of ours is answered here."""
        while self._arrived and not self._is_draining:
            connection, frame = self._arrived.popleft()
            connection.taken()
            try:
                return Message(connection, *_decode(frame))
            except OarlockError as problem:
                connection.answer(pack_error(0, problem))
        return None

    def flush(self, raft_term: int, position: int) -> None:
        """Sends what was answered since the last flush, one frame a connection where results are short."""
        self._raft_term, self._position = raft_term, position
        if self.dirty:
            dirty, self.dirty = self.dirty, []
            for connection in dirty:
                self.send(connection)

    def send(self, connection: Connection) -> None:
        """Sends what a connection has been answered; drops it where the client has stopped reading, or is gone."""
        items = connection.take_items()
        if not items or connection not in self._connections:
            return  # sent before the turn ended, since it was long; or nobody is there
        if connection.unsent_bytes and (
            connection.unsent_bytes > 2 * MAX_UNSENT_BYTES or self.unsent_bytes > MAX_ALL_UNSENT_BYTES
        ):
            return  # the client asks again when it reads
        connection.write(pack((self._raft_term, self._position, items)))

    def answer_everyone(self, item: Any) -> None:
        """Tells something to all clients."""
        for connection in self._connections:
            if connection.is_client:
                connection.answer(item)


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
