"""Clients of etcd's front door that open a connection, or a watch on it, and then do nothing.

They speak as much HTTP/2 and protobuf as that takes, some hundred bytes a connection, so that ten thousand of them
weigh on the server alone::

    preface, SETTINGS  ->            <- SETTINGS
    SETTINGS ACK       ->
    HEADERS Watch, DATA create ->    <- HEADERS, DATA created
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from struct import Struct
from typing import Final

from hpack import Encoder

OPENING: Final = 100
"""Connections opened at a time: fewer than any server's listen queue takes."""
TIMEOUT_S: Final = 60.0
"""For each step of all clients together."""

_HEAD: Final = Struct("!BHBBI")
_DATA, _HEADERS, _SETTINGS, _GOAWAY = 0, 1, 4, 7
_ACK, _END_HEADERS = 1, 4
_HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _HEAD.pack(0, 0, _SETTINGS, 0, 0)
_ACKNOWLEDGED: Final = _HEAD.pack(0, 0, _SETTINGS, _ACK, 0)
_FIELDS: Final = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/etcdserverpb.Watch/Watch"),
    (":authority", "127.0.0.1"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]


class IdlePeer(asyncio.Protocol):
    """One connection, which never widens HTTP/2's first window of 64 kB.

    Attributes:
        ready: done when the server has greeted.
        watching: done when it has made the watch.
        data_bytes: of messages, that of the watch's creation included.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.watching: asyncio.Future[None] = loop.create_future()
        self.data_bytes = 0
        self._kept = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says hello."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's is one by its methods
        self._transport.write(_HELLO)

    def watch(self, key: bytes) -> None:
        """Opens a watch of ``key``, which has less than 100 bytes."""
        create = b"\x0a" + bytes((len(key),)) + key
        request = b"\x0a" + bytes((len(create),)) + create
        message = b"\0" + len(request).to_bytes(4, "big") + request
        block = Encoder().encode(_FIELDS)
        self._transport.write(
            _HEAD.pack(0, len(block), _HEADERS, _END_HEADERS, 1)
            + block
            + _HEAD.pack(0, len(message), _DATA, 0, 1)
            + message
        )

    def data_received(self, data: bytes) -> None:
        """Looks at what kind of frames came."""
        self._kept += data
        while len(self._kept) >= _HEAD.size:
            high, low, kind, flags, _ = _HEAD.unpack_from(self._kept)
            end = _HEAD.size + (high << 16 | low)
            if len(self._kept) < end:
                return
            self._kept = self._kept[end:]
            if kind == _SETTINGS and not flags & _ACK:
                self._transport.write(_ACKNOWLEDGED)
                self.ready.set_result(None)
            elif kind == _DATA:
                self.data_bytes += end - _HEAD.size
                if not self.watching.done():
                    self.watching.set_result(None)
            elif kind == _GOAWAY:
                self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for ever."""
        for future in (self.ready, self.watching):
            if not future.done():
                future.set_exception(ConnectionError("the server closed a connection"))
                future.exception()  # seen: not everybody waits for both

    def close(self) -> None:
        """Ends it."""
        self._transport.close()


@asynccontextmanager
async def idle_peers(endpoint: str, count: int) -> AsyncIterator[list[IdlePeer]]:
    """``count`` connections that the server has greeted; closed afterwards.

    Raises:
        OSError: one was refused, or closed.
        TimeoutError: it took longer than ``TIMEOUT_S``.
    """
    host, _, port = endpoint.rpartition(":")
    loop = asyncio.get_running_loop()
    peers: list[IdlePeer] = []
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while len(peers) < count:
                some = min(OPENING, count - len(peers))
                made = await asyncio.gather(*(loop.create_connection(IdlePeer, host, int(port)) for _ in range(some)))
                peers += [peer for _, peer in made]
            await asyncio.gather(*(peer.ready for peer in peers))
        yield peers
    finally:
        for peer in peers:
            peer.close()


async def watch_all(peers: list[IdlePeer]) -> None:
    """Opens a watch on each connection, of a key of its own, and waits until all are there.

    Raises:
        OSError: the server closed one.
        TimeoutError: it took longer than ``TIMEOUT_S``.
    """
    async with asyncio.timeout(TIMEOUT_S):
        for number, peer in enumerate(peers):
            peer.watch(b"idle/%d" % number)
        await asyncio.gather(*(peer.watching for peer in peers))
