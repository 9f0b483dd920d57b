"""What connections and watches that do nothing cost a server with etcd's front door: memory, and processor time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from oarlock.loadgen.comparison import OURS
from oarlock.loadgen.idle_peers import idle_peers, watch_all
from oarlock.loadgen.measurements import Row
from oarlock.loadgen.own_server import Usage

SETTLE_S: Final = 3.0
"""After which what was needed to open them is over."""
MIB: Final = 1 << 20
TARGET_MIB: Final = 500


async def idle_rows(name: str, endpoint: str, usage: Callable[[], Usage], count: int, look_s: float) -> list[Row]:
    """Measures a server without clients, with ``count`` connections, and with a watch on each.

    Args:
        name: of the system.
        endpoint: host:port of its client port.
        usage: of all its processes.
        count: connections, and watches.
        look_s: how long processor time is looked at, in seconds.

    Raises:
        RuntimeError: the server refused or closed a connection, or was too slow.
    """
    rows = await _at_rest(f"{name}: no clients", usage, look_s)
    try:
        async with idle_peers(endpoint, count) as peers:
            rows += await _at_rest(f"{name}: {count:,} idle connections", usage, look_s)
            await watch_all(peers)
            rows += await _at_rest(f"{name}: {count:,} idle connections with a watch each", usage, look_s)
    except OSError as problem:  # TimeoutError is one
        raise RuntimeError(f"{name}: {count:,} idle clients: {problem or 'no answer in time'}") from problem
    return rows


async def _at_rest(what: str, usage: Callable[[], Usage], look_s: float) -> list[Row]:
    await asyncio.sleep(SETTLE_S)
    before, begin_s = usage(), time.monotonic()
    await asyncio.sleep(look_s)
    after = usage()
    target = f"<= {TARGET_MIB}" if what.startswith(OURS) else ""
    percent = (after.cpu_s - before.cpu_s) / (time.monotonic() - begin_s) * 100
    return [
        Row(f"{what}: memory (Pss)", after.pss_bytes / MIB, "MiB", target),
        Row(f"{what}: processor", percent, "% of a core", ""),
    ]
