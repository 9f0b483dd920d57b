"""Clients who put, and one who keeps a lease alive, while leaders come and go; and what they noticed."""

from __future__ import annotations

import asyncio
import time
from asyncio import Task
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from oarlock import aio
from oarlock.loadgen.outcome import Outcome, Series
from oarlock.wire.errors import OarlockError

GO_ON_S: Final = 60.0
"""How long the cluster may take to answer again; a measurement that waits longer has failed."""
TIMEOUT_S: Final = 30.0
"""Of each call."""
LEASE_TTL_S: Final = 60
VALUE: Final = b"v" * 256
COUNT_S: Final = 300.0
"""To look at all keys afterwards: hundreds of thousands, after many failures."""
PREFIX: Final = b"failover/"
"""Of all keys, of which each is put once."""
_POLL_S: Final = 0.01


@dataclass(slots=True)
class Clients:
    """All of them, from ``start`` to ``close``.

    Attributes:
        endpoints: of the cluster.
        answered_s: when each put was answered; times are monotonic.
        took_s: when each put ended, and how long it took.
        failed_s: when each put failed that did.
        kept_alive_s: when each keepalive was answered.
        acknowledged: the keys of the puts that were answered.
        outcome: puts and keepalives as series, and the time line of the puts.
    """

    endpoints: Sequence[str]
    answered_s: list[float] = field(default_factory=list)
    took_s: list[tuple[float, float]] = field(default_factory=list)
    failed_s: list[float] = field(default_factory=list)
    kept_alive_s: list[float] = field(default_factory=list)
    acknowledged: list[bytes] = field(default_factory=list)
    outcome: Outcome = field(default_factory=lambda: Outcome(series={"put": Series(), "keepalive": Series()}))
    _began_s: float = field(default_factory=time.monotonic)
    _began_cpu_s: float = field(default_factory=time.process_time)
    _clients: list[aio.Client] = field(default_factory=list)
    _tasks: list[Task[None]] = field(default_factory=list)

    async def start(self, putters: int) -> None:
        """Connects, and begins."""
        for number in range(putters + 1):
            self._clients.append(await aio.connect(self.endpoints, timeout_s=TIMEOUT_S))
            work = self._put(number) if number else self._keep_alive()
            self._tasks.append(asyncio.create_task(work))

    async def wait_answers(self, more: int) -> None:
        """Waits for so many more puts, and a keepalive.

        Raises:
            RuntimeError: they do not come within ``GO_ON_S``.
        """
        puts, keepalives = len(self.answered_s) + more, len(self.kept_alive_s) + 1
        for _ in range(int(GO_ON_S / _POLL_S)):
            if len(self.answered_s) >= puts and len(self.kept_alive_s) >= keepalives:
                return
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(_POLL_S)
        raise RuntimeError(f"no answer within {GO_ON_S:.0f} s")

    async def lost_or_doubled(self) -> tuple[int, int]:
        """How many acknowledged puts are not there, and how many puts were applied more than once."""
        found = await self._clients[0].get_prefix(PREFIX, keys_only=True, timeout_s=COUNT_S)
        kept = {kv.key: kv.version for kv in found}
        lost = sum(key not in kept for key in self.acknowledged)
        return lost, sum(version > 1 for version in kept.values())

    async def end_load(self) -> None:
        """Stops putting."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self.outcome.seconds = time.monotonic() - self._began_s
        self.outcome.cpu_s = time.process_time() - self._began_cpu_s

    async def close(self) -> None:
        """Ends everything."""
        await self.end_load()
        for client in self._clients:
            await client.close()

    async def _put(self, number: int) -> None:
        for turn in count():
            key = PREFIX + b"%d/%d" % (number, turn)
            began_s = time.monotonic()
            try:
                await self._clients[number].put(key, VALUE)
                self.acknowledged.append(key)
                self.answered_s.append(self._succeeded("put", began_s))
            except OarlockError as problem:
                self.failed_s.append(self._failed("put", problem))
            self.took_s.append((time.monotonic(), time.monotonic() - began_s))

    async def _keep_alive(self) -> None:
        lease = await self._clients[0].lease(LEASE_TTL_S)
        while True:
            began_s = time.monotonic()
            await lease.refresh()
            self.kept_alive_s.append(self._succeeded("keepalive", began_s))

    def _succeeded(self, kind: str, began_s: float) -> float:
        """Counts it; the time is now."""
        now_s = time.monotonic()
        latency_ns = int((now_s - began_s) * 1e9)
        series = self.outcome.series[kind]
        series.sent += 1
        series.latencies.record(latency_ns)
        if kind == "put":
            self.outcome.timeline.record(now_s - self._began_s, latency_ns)
        return now_s

    def _failed(self, kind: str, problem: OarlockError) -> float:
        now_s = time.monotonic()
        series = self.outcome.series[kind]
        series.sent += 1
        series.errors[type(problem).__name__] += 1
        self.outcome.timeline.fail(now_s - self._began_s)
        return now_s
