"""The load: lanes that write and read, tenants with leases, visitors with watches, and compaction, by both doors."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Coroutine
from contextlib import aclosing
from random import Random

from .account import Account, Marks
from .doors import ALL, TIMEOUT_S, Door, GrpcDoor, NativeDoor
from .guests import LEASE_END_S, Guest, compact_often
from .lanes import Lane
from .shared import Connect, Shape, Shared

LOOK_S = 0.02
FILL_WRITES = 80_000
FILL_BYTES = 900
"""The answers of so many such writes are more than the 64 MiB that are remembered for clients that ask again; and their
entries more than the part of the log that is kept in memory, and than a segment of it."""
FILL_LANES = 200


class Load:
    """From ``start`` to ``close``.

    Args:
        native, etcd: where the server's doors are, "host:port".
        seed: for all that is drawn.
        shape: how much there is of everything.
    """

    def __init__(self, native: str, etcd: str, seed: int, shape: Shape) -> None:
        async def by_grpc() -> Door:
            return GrpcDoor(etcd)

        async def by_native() -> Door:
            return await NativeDoor.connect(native)

        self._native = native
        self._connects: tuple[Connect, ...] = (by_native, by_grpc)
        self._seed = seed
        self._doors: list[Door] = []
        marks = Marks(len(self._connects))
        self.accounts = [Account(name, marks) for name in ("native", "gRPC")]
        self._shared = Shared(shape, self.accounts)
        self._watches: list[asyncio.Task[None]] = []
        self._work: list[asyncio.Task[None]] = []

    @property
    def done(self) -> Counter[str]:
        """What was done so far, by kind."""
        return self._shared.done

    async def start(self) -> None:
        """Connects, watches, and begins to work."""
        for place, connect in enumerate(self._connects):
            self._doors.append(await connect())
            self._watches.append(asyncio.create_task(self._follow(self._doors[place], self.accounts[place])))
        for place in range(len(self._connects)):
            self._begin_at(place)
        self._begin(compact_often(self._shared, self._doors))

    async def fill(self) -> None:
        """Has the server remember as much as it ever will: what is bounded does not grow any more from then on."""
        door = await NativeDoor.connect(self._native)

        async def lane(number: int) -> None:
            key = b"fill-%03d" % number
            for turn in range(FILL_WRITES // FILL_LANES):
                value = (b"%d " % turn).ljust(FILL_BYTES, b".")
                self._shared.acknowledge(await door.replace(key, value), {key: value})

        try:
            await asyncio.gather(*map(lane, range(FILL_LANES)))
        finally:
            await door.close()

    async def go_on(self, seconds: float) -> None:
        """Lets it work for so long.

        Raises:
            ViolationError, AssertionError, Exception: what any part of it died of.
        """
        await _look_after([*self._work, *self._watches], seconds)

    async def finish(self) -> int:
        """Lets everybody end what they are at, and waits until watches saw it all; the last revision.

        Raises:
            ViolationError, AssertionError: something was lost, or differs.
        """
        self._shared.stopping.set()
        async with asyncio.timeout(LEASE_END_S + TIMEOUT_S):
            await asyncio.gather(*self._work)
            last = await self._doors[0].put(b"last", b"")
            while any(account.revision < last for account in self.accounts):
                await _look_after(self._watches, LOOK_S)
        for account in self.accounts:
            assert not account.promised, f"{account.name} never saw {next(iter(account.promised.values()))}"
            assert account.state == self.accounts[0].state
        return last

    async def close(self) -> None:
        """Ends everything, also after a failure."""
        tasks = (*self._work, *self._watches)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for door in self._doors:
            await door.close()
        gc.collect()  # channels of grpcio refer to themselves, and stay connected until then

    def _begin_at(self, place: int) -> None:
        """All that works by one door."""
        shape, door, connect, account = (
            self._shared.shape,
            self._doors[place],
            self._connects[place],
            self.accounts[place],
        )

        def random(kind: str, number: int) -> Random:
            return Random(f"{self._seed}.{kind}.{place}.{number}")

        for number in range(shape.lanes):
            self._begin(Lane(self._shared, door, random("lane", number), b"%d.%d" % (place, number)).run())
        for number in range(shape.tenants):
            name = b"tenant-%d.%d" % (place, number)
            self._begin(Guest(self._shared, connect, random("tenant", number), account, name).run_tenant())
        for number in range(shape.visitors):
            name = b"visitor-%d.%d" % (place, number)
            self._begin(Guest(self._shared, connect, random("visitor", number), account, name).run_visitor())

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._work.append(asyncio.create_task(work))

    async def _follow(self, door: Door, account: Account) -> None:
        async with aclosing(door.watch(ALL, ALL, account.revision + 1)) as watch:
            async for changes in watch:
                account.take(changes)


async def _look_after(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Waits; raises what one of ``tasks`` died of meanwhile, none of which should end."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
        raise AssertionError(f"ended by itself: {task}")
