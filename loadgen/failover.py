"""What clients notice of a leader that dies, or is stopped, while they put: on a cluster of one's own.

Clients put, one put at a time each, and one keeps a lease alive without a pause. The leader goes again and again, and
is started again when the cluster has gone on. For each time: how many puts failed, and the longest time in which no put
was answered, and no keepalive; and at the end, whether every acknowledged put is there, once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from oarlock.loadgen.failover_clients import Clients
from oarlock.loadgen.outcome import Outcome
from oarlock.loadgen.own_cluster import Member, OwnCluster, own_cluster

SETTLE_S: Final = 1.0
"""Load before each failure, and after the cluster has gone on: what follows the first answer is part of the story."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One leader that went.

    Attributes:
        kind: "kill" or "stop".
        failed_puts: puts that ended in an error, of those that were under way or began before all was well again.
        gap_s: the longest time without any put answered.
        keepalive_gap_s: the longest time without a keepalive answered.
        worst_put_s: how long the slowest put took.
    """

    kind: str
    failed_puts: int
    gap_s: float
    keepalive_gap_s: float
    worst_put_s: float


@dataclass(frozen=True, slots=True)
class Noticed:
    """What the clients noticed of all of it.

    Attributes:
        failures: one for each leader that went.
        lost: acknowledged puts that are not there.
        doubled: puts that were applied more than once.
        outcome: all puts and keepalives, with their time line.
    """

    failures: list[Failure]
    lost: int
    doubled: int
    outcome: Outcome


async def measure(
    directory: Path,
    kinds: Sequence[str],
    members: int,
    putters: int,
    arguments: Sequence[str],
    told: Callable[[str], object],
) -> Noticed:
    """Lets the leader go as often as ``kinds`` has words ("kill", "stop").

    Args:
        directory: for the cluster's data; must exist.
        kinds: in what ways the leader goes, in this order.
        members: of the cluster.
        putters: clients that put.
        arguments: further arguments of each ``oarlock serve``.
        told: a line about each leader that went.

    Raises:
        RuntimeError: a member did not start, or the cluster did not go on.
        OarlockError: no client could connect, or the keys could not be read at the end.
    """
    failures: list[Failure] = []
    async with own_cluster(directory, members, arguments) as cluster:
        clients = Clients(cluster.endpoints)
        try:
            await clients.start(putters)
            await clients.wait_answers(putters)
            for number, kind in enumerate(kinds, 1):
                failures.append(await _one(cluster, clients, kind))
                told(f"{number}/{len(kinds)}: {_line(failures[-1])}")
            await clients.end_load()
            return Noticed(failures, *await clients.lost_or_doubled(), clients.outcome)
        finally:
            await clients.close()


async def _one(cluster: OwnCluster, clients: Clients, kind: str) -> Failure:
    leader = await cluster.leader()
    await asyncio.sleep(SETTLE_S)
    began_s = time.monotonic()
    await _end(leader, kind)
    await clients.wait_answers(len(clients.endpoints) * 10)
    await asyncio.sleep(SETTLE_S)
    ended_s = time.monotonic()
    await cluster.start(leader)
    return Failure(
        kind,
        sum(began_s <= each for each in clients.failed_s),
        _gap_s(clients.answered_s, began_s, ended_s),
        _gap_s(clients.kept_alive_s, began_s, ended_s),
        max(took_s for at_s, took_s in clients.took_s if began_s <= at_s <= ended_s),
    )


async def _end(leader: Member, kind: str) -> None:
    if kind == "kill":
        leader.kill()
        await leader.ended()
    else:
        await leader.stop()


def _gap_s(answers_s: Sequence[float], began_s: float, ended_s: float) -> float:
    """The longest time between two answers, of which the second came after ``began_s``."""
    return max(after - before for before, after in pairwise(answers_s) if began_s <= after <= ended_s)


def _line(failure: Failure) -> str:
    return (
        f"{failure.kind}: {failure.failed_puts} puts failed, no put for {failure.gap_s:.3f} s, "
        f"no keepalive for {failure.keepalive_gap_s:.3f} s"
    )


def summary(failures: Sequence[Failure]) -> dict[str, Any]:
    """Distributions, by kind."""
    return {
        kind: {
            "times": len(of_kind),
            "failed_puts": sum(each.failed_puts for each in of_kind),
            "gap_s": _distribution([each.gap_s for each in of_kind]),
            "keepalive_gap_s": _distribution([each.keepalive_gap_s for each in of_kind]),
            "worst_put_s": _distribution([each.worst_put_s for each in of_kind]),
        }
        for kind in ("kill", "stop")
        if (of_kind := [each for each in failures if each.kind == kind])
    }


def _distribution(values_s: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values_s)
    places = {"least": 0.0, "median": 0.5, "p90": 0.9, "most": 1.0}
    return {name: round(ordered[round(place * (len(ordered) - 1))], 4) for name, place in places.items()}
