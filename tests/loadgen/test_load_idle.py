"""Clients that do nothing: they are there, and what they cost is told."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from oarlock.loadgen import idle_door
from oarlock.loadgen.idle_door import idle_rows
from oarlock.loadgen.idle_peers import idle_peers, watch_all
from oarlock.loadgen.own_server import usage_of
from tests.server import Server


def test_connections_and_watches_are_opened(shared_server: Server) -> None:
    async def open_all() -> int:
        async with idle_peers(shared_server.client_endpoint, 150) as peers:
            await watch_all(peers)
            return sum(peer.watching.done() for peer in peers)

    assert asyncio.run(open_all()) == 150


def test_memory_and_processor_time_are_told_for_each_step(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_door, "SETTLE_S", 0.0)
    usage = usage_of(os.getpid())
    rows = asyncio.run(idle_rows("oarlock", shared_server.client_endpoint, lambda: usage, 5, 0.01))
    assert [row.name for row in rows[2:]] == [
        "oarlock: 5 idle connections: memory (Pss)",
        "oarlock: 5 idle connections: processor",
        "oarlock: 5 idle connections with a watch each: memory (Pss)",
        "oarlock: 5 idle connections with a watch each: processor",
    ]
    assert rows[0].value > 10
    assert rows[1].value == 0


def test_a_server_that_closes_a_connection_is_an_error() -> None:
    async def measure() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, family=socket.AF_INET)
        async with server:
            endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with idle_peers(endpoint, 3):
                pytest.fail("nobody greeted")

    with pytest.raises(OSError, match="closed a connection"):
        asyncio.run(measure())
