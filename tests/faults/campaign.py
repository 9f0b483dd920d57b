"""A plan of faults, drawn from a seed, carried out under a load of every kind of call, and judged.

After each fault the cluster is whole again before the next one begins: every client gets answers, every member serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from tests.durability.load import PAIRS, Load, Watcher
from tests.durability.verdict import Story
from tests.histories.search import check_search

from .faults import FAULTS, Fault
from .hosts import Hosts
from .leases import Keepers
from .verdict import judge

CLIENTS = 6
LANES = 2
KEEPERS_NUMBER = 1000
"""The keepers' place among the clients of a history: after all others."""
MOST_ANSWERS = 300
SHORT_S = 0.3
LONG_S = 3.0
"""How long faults last: some are over before anybody notices, others outlast an election time-out."""


class Campaign:
    """Runs with one cluster.

    Args:
        cluster: whole.
        seed: for all that is drawn.
        choices: the faults to draw from.
    """

    def __init__(self, cluster: Hosts, seed: int, choices: Sequence[type[Fault]] = FAULTS) -> None:
        self._cluster = cluster
        self._random = Random(seed)
        self._choices = choices
        self.load = Load(cluster.endpoints, seed, clients=CLIENTS, lanes=LANES, islands=PAIRS)
        self.keepers = Keepers(self.load.recorder, KEEPERS_NUMBER)
        self.watchers: list[Watcher] = []
        self.done: list[str] = []

    async def run(self, faults: int, *, lasting_s: tuple[float, float] = (SHORT_S, LONG_S)) -> Story:
        """So many faults, of which each lasts between the two times of ``lasting_s``; then the judgement.

        Raises:
            ViolationError, AssertionError: a promise was broken.
        """
        try:
            await self._start()
            for _ in range(faults):
                await self._one(self._random.uniform(*lasting_s))
            await self.keepers.check()
            story = await judge(self._cluster, self.load, self.watchers)
            await asyncio.to_thread(check_search, story.history[:-1])  # the last one ties all keys together
            return story
        finally:
            print(f"{self.load.answered} answers; {', '.join(self.done)}")
            await self.close()

    async def _start(self) -> None:
        await self.load.start()
        await self.keepers.start(self._cluster.endpoints)
        for endpoint in self._cluster.endpoints:  # each begins at another member, and all go on with any
            others = [each for each in self._cluster.endpoints if each != endpoint]
            self.watchers.append(await Watcher().start([endpoint, *others]))

    async def _one(self, lasting_s: float) -> None:
        fault = self._draw()
        leader = await asyncio.to_thread(self._cluster.wait_until_whole)
        await self.load.wait_answers(self._random.randint(1, MOST_ANSWERS))
        await asyncio.to_thread(fault.begin, self._cluster, leader)
        self.done.append(fault.name)
        await asyncio.sleep(lasting_s)  # this is the fault itself
        if fault.spares_quorum:
            await self.load.wait_every_lane(2)
        await asyncio.to_thread(fault.end, self._cluster)
        await self.load.wait_every_lane(2)

    def _draw(self) -> Fault:
        applicable = [fault for fault in (each(self._random) for each in self._choices) if fault.applies(self._cluster)]
        return self._random.choice(applicable)

    async def close(self) -> None:
        """Ends all clients."""
        await self.load.close()
        await self.keepers.close()
        for watcher in self.watchers:
            await watcher.close()
