"""How long a member takes to be level again after it missed many writes, while writes go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from oarlock import aio
from oarlock.loadgen.contenders import CONNECTIONS, SPACE, VALUE_BYTES
from oarlock.loadgen.driver import Figures
from oarlock.loadgen.measurements import IN_FLIGHT, Row
from oarlock.loadgen.own_cluster import Member, OwnCluster, own_cluster
from oarlock.loadgen.plan import values
from oarlock.loadgen.report import latency_ms
from oarlock.loadgen.runner import Load, clients_of, press
from oarlock.loadgen.workloads import put_issue, run_puts
from oarlock.wire.errors import OarlockError

RATE: Final = 2_000.0
"""Writes a second that go on meanwhile."""
LEVEL_TIMEOUT_S: Final = 120.0
LOOK_S: Final = 0.02
ANSWER_S: Final = 0.5
"""A member that starts, or applies much, is asked anew after this, so that its answer is not found out late."""


async def catch_up(directory: Path, missed: int, arguments: Sequence[str]) -> list[Row]:
    """Stops a follower of three members, writes, starts it again, and waits until it is level.

    It is level when its own replica holds the revision that the leader had just before: from then on it is as far
    behind as any follower. Time counts from the start of its processes.

    Args:
        directory: for the data; must exist.
        missed: how many writes it misses.
        arguments: further arguments of ``oarlock serve``.

    Raises:
        RuntimeError: a member did not start, a write failed, or it is not level in ``LEVEL_TIMEOUT_S``.
        OarlockError: a member did not answer.
    """
    async with own_cluster(directory, 3, arguments) as cluster:
        leader = await cluster.leader()
        follower = next(member for member in cluster.members if member is not leader)
        await follower.stop()
        load = Load((leader.endpoint,), clients=CONNECTIONS, in_flight=IN_FLIGHT // CONNECTIONS, total=missed)
        _check("the writes that it missed", await run_puts(load, SPACE, VALUE_BYTES))
        async with _writes(leader.endpoint) as ended:
            answered_s, level_s = await _level(cluster, leader, follower)
    figures = ended[0]
    _check("the writes meanwhile", figures)
    name = f"a member that missed {missed:,} writes"
    return [
        Row(f"{name}: answers again", answered_s, "s"),
        Row(f"{name}: level again", level_s, "s", "< 10"),
        Row(
            f"median of {RATE:,.0f} writes a second meanwhile",
            figures.latencies.percentile(50) / 1e6,
            "ms",
            "",
            {"requests": figures.sent, "latency_ms": latency_ms(figures.latencies)},
        ),
    ]


def _check(what: str, figures: Figures) -> None:
    if figures.errors:
        raise RuntimeError(f"{what} failed: {dict(figures.errors)}")


@asynccontextmanager
async def _writes(endpoint: str) -> AsyncIterator[list[Figures]]:
    """Puts at a steady rate for the length of the context; afterwards the list holds the figures."""
    load = Load((endpoint,), in_flight=IN_FLIGHT, duration_s=LEVEL_TIMEOUT_S, rate=RATE)
    requests = zip(SPACE.keys(), values(VALUE_BYTES), strict=False)
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    figures: list[Figures] = []
    async with clients_of(load) as clients:
        pressing = asyncio.create_task(press(load, [put_issue(clients[0])], requests, stop=stop))
        try:
            yield figures
        finally:
            stop.set_result(None)
            figures.append(await pressing)


async def _level(cluster: OwnCluster, leader: Member, follower: Member) -> tuple[float, float]:
    """Starts the follower: seconds until it answers at all, and until it is level."""
    begin_s = time.perf_counter()
    cluster.launch(follower)
    answered_s: float | None = None
    async with await aio.connect(leader.endpoint) as ahead:
        while time.perf_counter() - begin_s < LEVEL_TIMEOUT_S:
            target = (await ahead.status()).revision
            revision = await _revision(follower)
            elapsed_s = time.perf_counter() - begin_s
            if revision is not None and answered_s is None:
                answered_s = elapsed_s
            if answered_s is not None and (revision or 0) >= target:
                return answered_s, elapsed_s
            await asyncio.sleep(LOOK_S)
    raise RuntimeError(f"the member was not level within {LEVEL_TIMEOUT_S} s")


async def _revision(member: Member) -> int | None:
    """The revision that a member's own replica holds; None where it does not answer."""
    try:
        async with await aio.connect(member.endpoint, timeout_s=ANSWER_S, connect_timeout_s=ANSWER_S) as client:
            return (await client.status()).revision
    except OarlockError:
        return None
