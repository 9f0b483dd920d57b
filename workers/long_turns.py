"""When long work goes on, the reading of a long list and the sending of its answer: at once where nobody else asks for
anything, and the later the more others ask.

A worker has one thread, and a host few cores: what a list of a hundred thousand keys takes of them, puts wait for. So
after each slice others may have several times as long as it took, but no more than what they asked meanwhile needs: a
list beside a request now and then hardly notices, and one beside writers that never pause goes on all the same.

Example: a slice of 1 ms ends, and 3 requests have come since the slice before. They are worth 0.6 ms, so the next slice
begins 0.6 ms later. Had 50 come, worth 10 ms, it would begin 3 ms later: long work has at least a quarter of the time.
Where four long reads take turns it would begin 1.5 ms later: who shares that quarter with many would wait for ever.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

REQUEST_S: Final = 0.0002
"""What a request of another client takes of this host's processors, in all processes on its way; about."""
MOST_PAUSE: Final = 3.0
"""The longest pause, in times of the turn before it, divided by the square root of how many are under way. With it 100
clients that put during endless lists have 1.3 to 1.45 times the puts that they have without pauses, and 0.7 times the
99th percentile; lists go at half the pace. Longer pauses change lists alone. The root gives four that list half their
time back, and costs the 100 clients a twentieth of their puts."""


class Slices(Protocol):
    """Long work that is done by the slice, of about a millisecond."""

    @property
    def under_way(self) -> int:
        """Of how many a slice is to be run."""

    def run_slice(self) -> None:
        """Runs one."""


class LongTurns:
    """Gives long work its turns, a slice of each kind. Not thread-safe.

    Invariant: at most one call of the loop is under way, and there is one while any of ``works`` is busy.

    Args:
        loop: calls when a turn is due.
        works: whose slices they are; to be told to call ``wake``.
        after: called after each turn: there may be something to send.
        now_s: the loop's clock.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        works: Sequence[Slices],
        after: Callable[[], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._works = works
        self._after = after
        self._now_s = now_s
        self._asked = 0
        self._next_s = 0.0
        self._is_due = False

    @property
    def is_busy(self) -> bool:
        """Whether any of it is under way."""
        return any(work.under_way for work in self._works)

    def asked(self, requests: int) -> None:
        """Requests have come, of whatever kind."""
        self._asked += requests

    def wake(self) -> None:
        """There are slices to be run."""
        if self._is_due:
            return
        self._is_due = True
        pause_s = self._next_s - self._now_s()
        if pause_s > 0:
            self._loop.call_later(pause_s, self._run)
        else:
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        began_s = self._now_s()
        under_way = 0
        for work in self._works:
            if count := work.under_way:
                under_way += count
                work.run_slice()
        ended_s = self._now_s()
        others = max(0, self._asked - 1)  # one may have asked for what was just read
        self._asked = 0
        most_s = (ended_s - began_s) * MOST_PAUSE / math.sqrt(max(1, under_way))
        self._next_s = ended_s + min(others * REQUEST_S, most_s)
        self._is_due = False
        if self.is_busy:
            self.wake()
        self._after()
