"""What happens to a server while it works, drawn from a seed."""

from __future__ import annotations

import asyncio
import signal
from random import Random

from tests.server import Server

from .load import Load

EVERYTHING = "everything"
PARTS_BEFORE_ALL = 4
"""Deaths in a row of one part, until everything is killed: the supervisor waits longer after each of them, and a test
that waits with it finds nothing."""
MOST_DELAY_S = 0.25
MOST_ANSWERS = 400


class Faults:
    """Kills a part of the server, or all of it.

    Args:
        server: whose processes are killed.
        random: where all chance comes from.
        victims: what to kill; the more often it is named, the more often it is hit.
    """

    def __init__(
        self, server: Server, random: Random, victims: tuple[str, ...] = ("coordinator", "coordinator", EVERYTHING)
    ) -> None:
        self._server = server
        self._random = random
        self._victims = (*(f"worker {number}" for number in range(server.workers)), *victims)
        self._deaths: dict[str, int] = {}
        self.done: list[str] = []

    async def kill_something(self) -> None:
        """Kills one part, mostly -9 but now and then politely, or everything, and sees to it that it runs again."""
        victim = self._random.choice(self._victims)
        how = self._random.choices((signal.SIGKILL, signal.SIGTERM), (4, 1))[0]
        if self._deaths.get(victim, 0) >= PARTS_BEFORE_ALL:
            victim = EVERYTHING
        self.done.append(victim)
        if victim == EVERYTHING:
            self._deaths.clear()
            await asyncio.to_thread(self._server.kill)
            await asyncio.to_thread(self._server.start)
        else:
            self._deaths[victim] = self._deaths.get(victim, 0) + 1
            await asyncio.to_thread(self._server.kill_part, victim, how)

    async def campaign(self, load: Load, kills: int) -> None:
        """So many kills, at instants that are random: after some answers, or some time, whether there are answers or
        not, so that also what is starting or catching up is hit."""
        for _ in range(kills):
            if self._random.random() < 0.6:
                await load.wait_answers(self._random.randint(1, MOST_ANSWERS))
            # Not a wait for anything, but the instant itself.
            await asyncio.sleep(self._random.uniform(0, MOST_DELAY_S))
            await self.kill_something()
        await load.wait_answers(MOST_ANSWERS)
