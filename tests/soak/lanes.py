"""Lanes write and read, one thing after the other, and check every answer at once."""

from __future__ import annotations

import asyncio
from random import Random

from tests.histories.records import ViolationError

from .doors import Door, Seen
from .shared import Shared

VALUE_BYTES = (16, 64, 256, 1024)
MOST_IN_A_PAGE = 100


class Lane:
    """One of those who write and read.

    Args:
        shared: with the others.
        door: theirs, too.
        random: for what is asked.
        name: different from every other lane's; part of the values.
    """

    def __init__(self, shared: Shared, door: Door, random: Random, name: bytes) -> None:
        self._shared = shared
        self._door = door
        self._random = random
        self._name = name

    async def run(self) -> None:
        """Works until the load stops.

        Raises:
            ViolationError: an answer is wrong.
        """
        number = 0
        while not self._shared.stopping.is_set():
            number += 1
            await self._one(b"%s.%d " % (self._name, number))
            if self._shared.shape.pause_s:
                await asyncio.sleep(self._shared.shape.pause_s)

    async def _one(self, stamp: bytes) -> None:
        key, other = (b"key-%05d" % number for number in self._random.sample(range(self._shared.shape.keys), 2))
        value = stamp.ljust(self._random.choice(VALUE_BYTES), b".")
        chance = self._random.random()
        if chance < 0.40:
            await self._put(key, value)
        elif chance < 0.50:
            await self._delete(key)
        elif chance < 0.85:
            await self._read(key, serializable=chance < 0.60)
        elif chance < 0.87:
            await self._list(key)
        else:
            await self._swap(key, {key: value, other: value})

    async def _put(self, key: bytes, value: bytes) -> None:
        self._shared.acknowledge(await self._door.put(key, value), {key: value})
        self._shared.done["puts"] += 1

    async def _delete(self, key: bytes) -> None:
        deleted, revision = await self._door.delete(key)
        if deleted:
            self._shared.acknowledge(revision, {key: None})
        self._shared.done["deletes"] += 1

    async def _read(self, key: bytes, *, serializable: bool) -> Seen:
        floor = 0 if serializable else self._shared.acknowledged
        seen = await self._door.get(key, serializable=serializable)
        if seen.revision < max(floor, seen.mod_revision):
            raise ViolationError(f"{seen} of {key!r} when revision {floor} had been answered")
        self._shared.done["serializable reads" if serializable else "linearizable reads"] += 1
        return seen

    async def _list(self, key: bytes) -> None:
        keys = await self._door.keys(key, b"key-\xff", MOST_IN_A_PAGE)
        if sorted(set(keys)) != keys or not all(key <= each < b"key-\xff" for each in keys):
            raise ViolationError(f"a list from {key!r} on is out of order: {keys}")
        self._shared.done["lists"] += 1

    async def _swap(self, key: bytes, puts: dict[bytes, bytes]) -> None:
        """Reads, and writes if nobody has written meanwhile."""
        seen = await self._read(key, serializable=False)
        swapped = await self._door.swap(key, seen.mod_revision, puts)
        if swapped.succeeded:
            self._shared.acknowledge(swapped.revision, dict(puts))
        self._shared.done["transactions"] += 1
