"""Simulated time: what is to happen, and when; one generator of random numbers for everything."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from itertools import count
from typing import Any, Final

TRACE_LINES: Final = 120
"""How much of what happened last is told when a run fails."""

Action = Callable[[], None]


class World:
    """Runs actions in the order of their times; those of one time in the order in which they were planned.

    Attributes:
        rng: the only source of chance.
        now_s: simulated seconds.
        kinds: every kind of event so far.
        calm: faults have ended: nothing is lost or delayed any more.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_s = 0.0
        self.calm = False
        self.kinds: set[str] = set()
        self.trace: deque[str] = deque(maxlen=TRACE_LINES)
        self._digest = blake2b(digest_size=16)
        self._order = count()
        self._planned: list[tuple[float, int, Action]] = []

    def after(self, delay_s: float, action: Action) -> None:
        """Plans an action."""
        heapq.heappush(self._planned, (self.now_s + delay_s, next(self._order), action))

    def run_until(self, end_s: float) -> None:
        """Lets time pass."""
        planned = self._planned
        while planned and planned[0][0] <= end_s:
            self.now_s, _, action = heapq.heappop(planned)
            action()
        self.now_s = end_s

    def note(self, *what: Any) -> None:
        """Remembers what happened, for the reader of a failure, and for the comparison of two runs."""
        line = f"{self.now_s:9.4f} " + " ".join(str(each) for each in what)
        self.kinds.add(" ".join(each for each in what if isinstance(each, str)))
        self._digest.update(line.encode())
        self.trace.append(line)

    def new_id(self) -> int:
        """A random positive 62-bit id."""
        return self.rng.getrandbits(62) + 1

    @property
    def digest(self) -> str:
        """Of everything that was noted: equal for two runs that were the same."""
        return self._digest.hexdigest()


class SimProcess:
    """A program on a simulated host: alive or not, and perhaps stopped for a while (SIGSTOP).

    Whatever reaches it goes through ``take``. What comes while it is stopped waits, in order.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.alive = True
        self._waiting: deque[Action] | None = None

    @property
    def is_paused(self) -> bool:
        """Whether it is stopped."""
        return self._waiting is not None

    def take(self, action: Action) -> None:
        """Lets the process do something, now or when it goes on; nothing where it is dead."""
        if not self.alive:
            return
        if self._waiting is not None:
            self._waiting.append(action)
            return
        action()
        if self.alive:
            self.end_turn()

    def end_turn(self) -> None:
        """What the process does at the end of each turn of its loop."""

    def pause(self, duration_s: float) -> None:
        """Stops the process for a while."""
        if self.alive and self._waiting is None:
            self._waiting = deque()
            self.world.after(duration_s, self.resume)

    def resume(self) -> None:
        """Lets it go on: first it notices the time, then it takes what has come meanwhile."""
        if self._waiting is None:
            return
        waiting, self._waiting = self._waiting, None
        if self.alive:
            self.take(self.woken)
        for action in waiting:
            self.take(action)

    def woken(self) -> None:
        """The process goes on after a pause."""

    def every(self, interval_s: Callable[[], float], action: Action) -> None:
        """Does something again and again, as long as the process lives."""

        def again() -> None:
            if self.alive:
                self.take(action)
                self.world.after(interval_s(), again)

        self.world.after(interval_s(), again)
