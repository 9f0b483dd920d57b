"""What clients notice of a leader that dies: ``python -m oarlock.loadgen.failover --kills 30``.

A cluster of its own; clients put, one put at a time each, and one keeps a lease alive without a pause. The leader is
killed, or stopped, again and again, and started again when the cluster has gone on. For each time: how many puts
failed, and the longest time in which no put was answered, and no keepalive. It prints a table, and writes JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from asyncio import Task
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Final

import click

from oarlock import aio
from oarlock.loadgen.machine import describe
from oarlock.loadgen.own_cluster import Member, OwnCluster, own_cluster
from oarlock.loadgen.runner import run
from oarlock.wire.errors import OarlockError

SETTLE_S: Final = 1.0
"""Load before each failure, and after the cluster has gone on: what follows the first answer is part of the story."""
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


@dataclass(slots=True)
class Clients:
    """Those who put, and one who keeps a lease alive, from ``start`` to ``close``."""

    endpoints: Sequence[str]
    answered_s: list[float] = field(default_factory=list)
    took_s: list[tuple[float, float]] = field(default_factory=list)
    failed_s: list[float] = field(default_factory=list)
    kept_alive_s: list[float] = field(default_factory=list)
    acknowledged: list[bytes] = field(default_factory=list)
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
                self.answered_s.append(time.monotonic())
            except OarlockError:
                self.failed_s.append(time.monotonic())
            self.took_s.append((time.monotonic(), time.monotonic() - began_s))

    async def _keep_alive(self) -> None:
        lease = await self._clients[0].lease(LEASE_TTL_S)
        while True:
            await lease.refresh()
            self.kept_alive_s.append(time.monotonic())


async def measure(
    directory: Path, kinds: Sequence[str], members: int, putters: int, arguments: Sequence[str]
) -> tuple[list[Failure], tuple[int, int]]:
    """Lets the leader go as often as ``kinds`` has words ("kill", "stop").

    Returns:
        What was noticed each time; and how many acknowledged puts were lost, and how many puts doubled.

    Raises:
        RuntimeError: a member did not start, or the cluster did not go on.
    """
    failures: list[Failure] = []
    async with own_cluster(directory, members, arguments) as cluster:
        clients = Clients(cluster.endpoints)
        try:
            await clients.start(putters)
            await clients.wait_answers(putters)
            for number, kind in enumerate(kinds, 1):
                failures.append(await _one(cluster, clients, kind))
                click.echo(f"{number}/{len(kinds)}: {_line(failures[-1])}", err=True)
            await clients.end_load()
            return failures, await clients.lost_or_doubled()
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


def table(figures: dict[str, Any], lost: int, doubled: int) -> str:
    """The summary as Markdown."""
    lines = [
        "| the leader | times | failed puts | what | least | median | 90 % | most |",
        "|---|---:|---:|---|" + "---:|" * 4,
    ]
    for kind, of_kind in figures.items():
        for name, what in (
            ("gap_s", "no put answered, s"),
            ("keepalive_gap_s", "no keepalive answered, s"),
            ("worst_put_s", "slowest put, s"),
        ):
            cells = " | ".join(f"{value:.3f}" for value in of_kind[name].values())
            lines.append(f"| {kind} | {of_kind['times']} | {of_kind['failed_puts']} | {what} | {cells} |")
    return "\n".join([*lines, "", f"Acknowledged puts lost: {lost}, applied twice: {doubled}."]) + "\n"


@click.command()
@click.option("--kills", default=30, show_default=True, help="How often the leader is killed.")
@click.option("--stops", default=30, show_default=True, help="How often it is stopped in order.")
@click.option("--members", default=3, show_default=True, help="Of the cluster.")
@click.option("--clients", default=8, show_default=True, help="That put.")
@click.option("--output", default="build/bench/failover.json", show_default=True, help="The JSON file.")
@click.option("--serve", default="", help="Further arguments of oarlock serve, as one text.")
def main(kills: int, stops: int, members: int, clients: int, output: str, serve: str) -> None:
    """Measure what clients notice when the leader of a cluster goes."""
    kinds = ["kill"] * kills + ["stop"] * stops
    try:
        with tempfile.TemporaryDirectory(prefix="oarlock-failover-") as place:
            machine = describe(Path(place))
            failures, (lost, doubled) = run(measure(Path(place), kinds, members, clients, serve.split()))
    except (OarlockError, RuntimeError) as problem:
        click.echo(f"Error: {problem}", err=True)
        sys.exit(1)
    figures = summary(failures)
    target = Path(output)
    target.parent.mkdir(parents=True, exist_ok=True)
    details = {"machine": machine, "summary": figures, "lost": lost, "doubled": doubled}
    target.write_text(json.dumps({**details, "failures": [asdict(each) for each in failures]}, indent=2) + "\n")
    click.echo(table(figures, lost, doubled))


if __name__ == "__main__":
    main()
