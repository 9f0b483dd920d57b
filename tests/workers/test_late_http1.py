"""HTTP/1.1 is loaded behind the start, and nobody who comes before it is there is turned away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from oarlock.workers.late_http1 import LateHttp1

STOP_S = 1.0


class Port:
    """Echoes; starts when it may."""

    def __init__(self) -> None:
        self.may_start = asyncio.Event()
        self.is_draining = False
        self.stopped_s: float | None = None

    async def start(self) -> None:
        await self.may_start.wait()

    def protocol(self) -> asyncio.Protocol:
        return Echo()

    def drain(self) -> None:
        self.is_draining = True

    async def stop(self, timeout_s: float) -> None:
        self.stopped_s = timeout_s


class Echo(asyncio.Protocol):
    """Says what it is told."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class FirstWord(asyncio.Protocol):
    """Hands a connection over once it has said something, as the door does."""

    def __init__(self, late: LateHttp1, arrived: asyncio.Event) -> None:
        self._late = late
        self._arrived = arrived

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        protocol = self._late.protocol()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)
        self._arrived.set()


@asynccontextmanager
async def connected(late: LateHttp1) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that has said ``first``."""
    arrived = asyncio.Event()
    server = await asyncio.get_running_loop().create_server(lambda: FirstWord(late, arrived), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        writer.write(b"first ")
        await arrived.wait()
        yield reader, writer
    finally:
        writer.close()
        server.close()


def test_who_comes_early_is_served_when_it_is_there() -> None:
    async def scene() -> None:
        port = Port()
        late = LateHttp1(lambda: port, ["colorsys"])
        await late.start()
        async with connected(late) as (reader, writer):
            writer.write(b"second")
            port.may_start.set()
            assert await reader.readexactly(12) == b"first second"
        await late.stop(STOP_S)
        assert port.stopped_s == STOP_S

    asyncio.run(scene())


def test_who_comes_later_is_served_at_once() -> None:
    async def scene() -> None:
        port = Port()
        port.may_start.set()
        late = LateHttp1(lambda: port, [])
        await late.start()
        await late.loaded()
        async with connected(late) as (reader, _):
            assert await reader.readexactly(6) == b"first "
        await late.stop(STOP_S)

    asyncio.run(scene())


def test_who_does_not_wait_is_forgotten() -> None:
    async def scene() -> None:
        port = Port()
        late = LateHttp1(lambda: port, [])
        await late.start()
        async with connected(late) as (_, writer):
            writer.transport.abort()
        port.may_start.set()
        await late.stop(STOP_S)

    asyncio.run(scene())


def test_a_drain_meanwhile_is_made_up_for() -> None:
    async def scene() -> None:
        port = Port()
        late = LateHttp1(lambda: port, [])
        await late.start()
        late.drain()
        port.may_start.set()
        await late.loaded()
        assert port.is_draining
        await late.stop(STOP_S)

    asyncio.run(scene())


def test_what_cannot_be_loaded_is_told() -> None:
    async def scene() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, about: told.append(about))
        late = LateHttp1(Port, ["oarlock.no_such_module"])
        await late.start()
        await late.stop(STOP_S)
        return told

    (about,) = asyncio.run(scene())
    assert isinstance(about["exception"], ModuleNotFoundError)


def test_what_was_never_started_stops() -> None:
    asyncio.run(LateHttp1(Port, []).stop(STOP_S))
