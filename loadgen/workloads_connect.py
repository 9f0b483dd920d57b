"""A storm of connections: so many clients a second connect, are greeted, stay a while and go."""

from __future__ import annotations

import asyncio
import time
from asyncio import Task
from collections import Counter, deque
from itertools import repeat

from oarlock import aio
from oarlock.loadgen.job import Hooks, Job, workload
from oarlock.loadgen.outcome import Outcome
from oarlock.loadgen.runner import MAX_CLIENTS, MAX_CONNECT_S, Load, drive


@workload("connect-storm")
async def connect_storm(job: Job, hooks: Hooks) -> Outcome:
    """Connects new clients; a request is one of them, from its connecting to the server's greeting.

    Each stays ``hold_s`` seconds after that, or until ``MAX_CLIENTS`` younger ones of its process are there. The load's
    ``clients`` times ``in_flight`` bound how many connect at the same time.

    Raises:
        ValueError: a figure is out of its range.
    """
    load, hold_s = job.own_load, job.options.get("hold_s", 0.0)
    if hold_s < 0:
        raise ValueError(f"a connection is held for 0 seconds or more, not {hold_s:g}")
    storm = _Storm(load, hold_s)
    try:
        await hooks.start()
        issues = [storm.issue] * load.clients
        outcome = await drive(load, issues, repeat(()), hooks.progress, hooks.stop, repeat("connect"))
    finally:
        await storm.close()
    outcome.counts.update(storm.counts)
    return outcome


class _Storm:
    """The clients that are there.

    Invariant: ``held`` has ``MAX_CLIENTS`` greeted clients at most, oldest first, with when each is to go.
    """

    def __init__(self, load: Load, hold_s: float) -> None:
        self._load = load
        self._hold_s = hold_s
        self._held: deque[tuple[float, aio.Client]] = deque()
        self.counts = Counter(most_open=0)

    def issue(self) -> Task[None]:
        return asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        timeout_s = self._load.timeout_s
        client = await aio.connect(
            *self._load.endpoints,
            timeout_s=timeout_s,
            connect_timeout_s=min(timeout_s, MAX_CONNECT_S),
            name="oarlock bench",
        )
        self._held.append((time.monotonic() + self._hold_s, client))
        self.counts["most_open"] = max(self.counts["most_open"], len(self._held))
        await self._let_go(MAX_CLIENTS)

    async def _let_go(self, bound: int) -> None:
        """Closes those whose time has come, and the oldest as long as there are more than ``bound``."""
        while self._held and (len(self._held) > bound or self._held[0][0] <= time.monotonic()):
            _, client = self._held.popleft()
            await client.close()

    async def close(self) -> None:
        """Closes all."""
        await self._let_go(0)
