"""Clients that write and read all the time, pipelined, and remember what they asked and what they were told.

Every value is written once, by one operation of one lane, so that a write that is applied twice, lost, or changed
shows in the store's history. A *lane* does one operation after another; a client carries several lanes at a time over
its one connection.
"""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import oarlock
from oarlock.aio import Client
from oarlock.aio_watch import Watch
from oarlock.wire.errors import OarlockError
from tests.histories.live import answer, event_of, send
from tests.histories.records import Answer, Operation, Recorder
from tests.histories.store import Action, Compare, Delete, Event, Get, Put, Transaction
from tests.histories.watches import Watched

Keys = tuple[bytes, ...]
KEYS: Keys = tuple(b"key-%d" % number for number in range(24))
PAIRS = tuple((b"left-%d" % number, b"right-%d" % number) for number in range(12))
"""Keys in pairs: what no transaction ties together can be judged apart (``tests.histories.search``)."""
TIMEOUT_S = 60.0
"""For any one call: far more than a restart takes, even one that the supervisor has put off for a while."""
LOOK_S = 0.005


class Load:
    """Runs from ``start`` to ``stop``. Every call must succeed: ``failures`` has those that did not.

    Args:
        endpoint: of the server, or of all members.
        seed: for what is asked.
        clients: connections.
        lanes: operations in flight on each.
        islands: keys to write to, few, so that clients meet; a transaction keeps to one island.
    """

    def __init__(
        self,
        endpoint: str | Sequence[str],
        seed: int,
        *,
        clients: int = 4,
        lanes: int = 6,
        islands: tuple[Keys, ...] = (KEYS,),
    ) -> None:
        self.endpoint = endpoint
        self._islands = islands
        self.recorder = Recorder()
        self.answers: Counter[int] = Counter()
        self.failures: list[tuple[Action, OarlockError]] = []
        self._randoms = [Random(f"{seed}.{lane}") for lane in range(clients * lanes)]
        self._lanes = lanes
        self._clients: list[Client] = []
        self._tasks: list[Task[None]] = []
        self._stopping = False
        self.watcher = Watcher()

    @property
    def answered(self) -> int:
        """Operations answered so far."""
        return self.answers.total()

    async def start(self) -> Load:
        """Connects, and begins to work and to watch."""
        await self.watcher.start(self.endpoint)
        for number in range(0, len(self._randoms), self._lanes):
            client = await oarlock.aio.connect(self.endpoint, timeout_s=TIMEOUT_S)
            self._clients.append(client)
            for lane in range(number, number + self._lanes):
                self._tasks.append(asyncio.create_task(self._work(client, lane, self._randoms[lane])))
        return self

    async def wait_answers(self, more: int) -> None:
        """Waits until so many more operations have been answered.

        Raises:
            Exception: a lane has died; what it died of.
        """
        wanted = self.answered + more
        await self._wait(lambda: self.answered >= wanted)

    async def wait_every_lane(self, more: int) -> None:
        """Waits until every lane has got so many more answers. Raises as ``wait_answers``."""
        wanted = {lane: self.answers[lane] + more for lane in range(len(self._randoms))}
        await self._wait(lambda: all(self.answers[lane] >= wanted[lane] for lane in wanted))

    async def _wait(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(2 * TIMEOUT_S):
            while not condition():
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(LOOK_S)

    async def finish(self) -> list[Operation]:
        """Lets every lane end what it is at, and writes every key once more, in one transaction: a last event for every
        watcher to wait for. Returns the history; that transaction is its last operation.
        """
        self._stopping = True
        await asyncio.gather(*self._tasks)
        last = Transaction((), tuple(Put(key, b"last") for island in self._islands for key in island))
        await self._perform(self._clients[0], len(self._randoms), last)
        return self.recorder.history()

    async def close(self) -> None:
        """Ends everything, also after a failure."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            await client.close()
        await self.watcher.close()

    async def _work(self, client: Client, lane: int, random: Random) -> None:
        number = 0
        versions: dict[bytes, int] = {}
        while not self._stopping:
            number += 1
            action = random_action(random, random.choice(self._islands), b"%d.%d" % (lane, number), versions)
            given = await self._perform(client, lane, action)
            if given is not None:
                _note_versions(versions, action, given)

    async def _perform(self, client: Client, lane: int, action: Action) -> Answer | None:
        call = self.recorder.begin(lane, action)
        floor = client.revision
        try:
            if isinstance(action, Get) and action.serializable:
                result = await client.range(action.key, serializable=True, min_revision=floor)
                assert result.header.revision >= floor, "a read is older than its min_revision"
            else:
                result = await send(client, action)
        except OarlockError as problem:
            self.failures.append((action, problem))
            return None
        call.answered(answer(result))
        self.answers[lane] += 1
        return call.answer


class Watcher:
    """Watches a range, and keeps what it saw.

    Args:
        key, range_end: what to watch (etcd's range_end).
        start_revision: from when on.
    """

    def __init__(self, key: bytes = b"\0", range_end: bytes = b"\0", start_revision: int = 1) -> None:
        self.events: list[Event] = []
        self._range = (key, range_end, start_revision)
        self._client: Client | None = None
        self._task: Task[None] | None = None

    async def start(self, endpoint: str | Sequence[str]) -> Watcher:
        """Connects and begins."""
        key, range_end, start_revision = self._range
        self._client = await oarlock.aio.connect(endpoint, timeout_s=TIMEOUT_S)
        watch = await self._client.watch(key, range_end=range_end, start_revision=start_revision)
        self._task = asyncio.create_task(self._collect(watch))
        return self

    async def seen_until(self, revision: int) -> Watched:
        """Waits until it has been told everything up to ``revision``, at which there must be an event for it."""
        assert self._task is not None
        async with asyncio.timeout(TIMEOUT_S):
            while not self.events or self.events[-1].revision < revision:
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(LOOK_S)
        key, range_end, start_revision = self._range
        return Watched(key, range_end, start_revision, revision, self.events)

    async def close(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def _collect(self, watch: Watch) -> None:
        async for event in watch:
            self.events.append(event_of(event))


def random_action(random: Random, keys: Keys, value: bytes, versions: dict[bytes, int]) -> Action:
    """Something to ask; ``value`` is written by nobody else, and ``versions`` is what the lane believes of keys."""
    key, other = random.sample(keys, 2)
    chance = random.random()
    if chance < 0.40:
        return Put(key, value)
    if chance < 0.50:
        return Delete(key)
    if chance < 0.60:
        return Get(key)
    if chance < 0.72:
        return Get(key, serializable=True)
    if chance < 0.86:  # compare and set, on what may be outdated
        expected = Compare(key, "version", "==", versions.get(key, 0))
        return Transaction((expected,), (Put(key, value),), (Get(key),))
    guard = Compare(other, "version", random.choice(("==", ">", "<")), random.randint(0, 3))
    return Transaction((guard,), (Put(key, value), Put(other, value), Get(key)), (Get(key), Delete(other)))


def _note_versions(versions: dict[bytes, int], action: Action, given: Answer) -> None:
    if isinstance(action, Get):
        versions[action.key] = getattr(given.result, "version", 0)
