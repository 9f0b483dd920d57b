"""A client of the etcd door that does not take the events of its watch holds up nobody."""

from __future__ import annotations

import asyncio

from oarlock import aio
from oarlock.loadgen.idle_peers import idle_peers, watch_all
from tests.server import Server

WINDOW_BYTES = 65_535
LONG = bytes(256 << 10)
PUTS = 80
"""With the value, 20 MB of events: the client's window takes 64 kB, and the server keeps no more than 16 MB for it."""
TIMEOUT_S = 60.0


async def press(server: Server) -> tuple[int, int]:
    """Puts events for two watches, long ones for the first; how many bytes of data the clients got."""
    async with idle_peers(server.client_endpoint, 2) as (slow, quick), asyncio.timeout(TIMEOUT_S):
        await watch_all([slow, quick])
        created_bytes = quick.data_bytes
        async with await aio.connect(server.native_endpoint, timeout_s=TIMEOUT_S) as client:
            for _ in range(PUTS):
                await client.put(b"idle/0", LONG)
            assert quick.data_bytes == created_bytes
            await client.put(b"idle/1", b"short")
        while quick.data_bytes == created_bytes:
            await asyncio.sleep(0.01)
        return slow.data_bytes, quick.data_bytes - created_bytes


def test_a_watch_that_is_not_read_holds_up_no_other(shared_server: Server) -> None:
    slow_bytes, quick_bytes = asyncio.run(press(shared_server))
    assert slow_bytes <= WINDOW_BYTES
    assert 0 < quick_bytes < 1000
