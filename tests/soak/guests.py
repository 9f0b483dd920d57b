"""Guests come and go: tenants with leases, visitors with watches, each time by a new connection; and the compactor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from random import Random

import oarlock
from tests.histories.records import ViolationError
from tests.histories.store import FIRST_REVISION

from .account import Account
from .doors import TIMEOUT_S, Change, Door
from .shared import Connect, Shared

SHORT_TTL_S = 4
LONG_TTL_S = 10_000
"""Leases that live so long are revoked, and must leave nothing behind all the same."""
LEASE_END_S = 120.0
"""An expired lease is gone by then, whatever else the machine does."""
MOST_RENEWALS = 4
MOST_VISITED_KEYS = 200
MOST_NOT_READING_S = 1.0
"""How long a visitor may not read what its watch is told."""
PAUSE_S = 0.2
"""Of a guest, on average, between two visits."""
LOOK_S = 0.02


class Guest:
    """One who connects, does something, and leaves, again and again.

    Args:
        shared: with the others.
        connect: makes the connection.
        random: for what is done.
        account: to compare with.
        name: different from every other guest's.
    """

    def __init__(self, shared: Shared, connect: Connect, random: Random, account: Account, name: bytes) -> None:
        self._shared = shared
        self._connect = connect
        self._random = random
        self._account = account
        self._name = name

    async def run_tenant(self) -> None:
        """Has one lease after the other until the load stops.

        Raises:
            ViolationError: a lease ended before the time that it was promised.
            TimeoutError: it did not end.
        """
        await self._run(self._live, "leases")

    async def run_visitor(self) -> None:
        """Watches one range after the other until the load stops.

        Raises:
            ViolationError: a watch did not tell what happened.
            TimeoutError: it did not tell all of it.
        """
        await self._run(self._visit, "watches")

    async def _run(self, visit: Callable[[Door], Awaitable[None]], what: str) -> None:
        while not self._shared.stopping.is_set():
            door = await self._connect()
            try:
                await visit(door)
            finally:
                await door.close()
            self._shared.done[what] += 1
            await self._shared.rest(self._random.uniform(0, 2 * PAUSE_S))

    # Leases

    async def _live(self, door: Door) -> None:
        """A lease with a key, renewed some times, and then revoked or left to expire."""
        ttl_s = self._random.choice((SHORT_TTL_S, LONG_TTL_S))
        key = b"lease-" + self._name
        going = self._account.going(key)
        promised_s = time.monotonic() + ttl_s
        lease = await door.grant(ttl_s)
        try:
            self._shared.acknowledge(await door.put(key, self._name, lease), {key: self._name})
        except oarlock.LeaseNotFoundError:  # so slow was the machine
            return
        try:
            for _ in range(self._random.randint(0, MOST_RENEWALS)):
                await asyncio.sleep(SHORT_TTL_S / 4)
                promised_s = await self._renew(door, lease, ttl_s)
            if ttl_s == LONG_TTL_S or self._random.random() < 0.5:
                promised_s = 0.0
                await door.revoke(lease)
        except oarlock.LeaseNotFoundError:
            pass  # too late; what it was promised counts all the same
        async with asyncio.timeout(LEASE_END_S):
            gone_s = await going
        if gone_s < promised_s:
            raise ViolationError(f"lease {lease} ended {promised_s - gone_s} s before it was to")

    async def _renew(self, door: Door, lease: int, ttl_s: int) -> float:
        """Until when the lease then lives, at least."""
        asked_s = time.monotonic()
        if await door.renew(lease) <= 0:
            raise oarlock.LeaseNotFoundError
        return asked_s + ttl_s

    # Watches

    async def _visit(self, door: Door) -> None:
        """A watch that begins in the past, is not read for a while, and then must tell everything up to a last put."""
        first = self._random.randrange(self._shared.shape.keys)
        start, end = (b"key-%05d" % number for number in (first, first + self._random.randint(1, MOST_VISITED_KEYS)))
        behind = self._random.randrange(self._shared.shape.kept_revisions)
        begin = max(self._account.revision - behind, FIRST_REVISION) + 1
        self._shared.held[self._name] = begin
        try:
            async with asyncio.timeout(TIMEOUT_S):
                seen = await self._watch(door, start, end, begin)
                while self._account.revision < seen[-1].revision:
                    await asyncio.sleep(LOOK_S)
            self._compare(seen, self._account.since(begin, start, end))
        finally:
            del self._shared.held[self._name]

    async def _watch(self, door: Door, start: bytes, end: bytes, begin: int) -> list[Change]:
        seen: list[Change] = []
        stamp = b"%s %d" % (self._name, self._random.getrandbits(64))
        putting = asyncio.create_task(self._put_late(door, start, stamp))
        try:
            async with aclosing(door.watch(start, end, begin)) as watch:
                async for changes in watch:
                    if not seen:
                        await asyncio.sleep(self._random.uniform(0, MOST_NOT_READING_S))
                    seen += changes
                    if any(change.value == stamp for change in changes):
                        break
        finally:
            await putting
        return seen

    async def _put_late(self, door: Door, key: bytes, value: bytes) -> None:
        await asyncio.sleep(self._random.uniform(0, MOST_NOT_READING_S))
        self._shared.acknowledge(await door.put(key, value), {key: value})

    def _compare(self, seen: Sequence[Change], due: Sequence[Change]) -> None:
        for place, (one, other) in enumerate(zip(seen, due, strict=False)):
            if one != other:
                raise ViolationError(f"event {place} of a watch was {one}, due was {other}")
        missing = due[len(seen) :]
        if len(seen) > len(due) or (missing and missing[0].revision <= seen[-1].revision):
            raise ViolationError(f"a watch saw {len(seen)} events, due were {len(due)}")


async def compact_often(shared: Shared, doors: Sequence[Door]) -> None:
    """Compacts what nobody needs, by one door after the other, until the load stops."""
    compacted = FIRST_REVISION
    while not shared.stopping.is_set():
        await shared.rest(shared.shape.compact_s)
        revision = shared.compactable
        if revision > compacted:
            await doors[shared.done["compactions"] % len(doors)].compact(revision)
            shared.done["compactions"] += 1
            compacted = revision
