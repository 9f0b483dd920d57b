"""The timer of what large groups are told together."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from oarlock.gateway.service import Timer
from oarlock.workers.watch.hub import WatchHub


class HandOuts:
    """Calls the hub when what it has gathered is due.

    Invariant: where anything waits in the hub, a call of the loop is under way, no later than the first of it is due.

    Args:
        loop: calls.
        hub: gathers.
        after: called behind each hand-out: there is something to write.
        now_s: the clock that the hub is told.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        hub: WatchHub,
        after: Callable[[], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._hub = hub
        self._after = after
        self._now_s = now_s
        self._timer: Timer | None = None
        self._timer_s = math.inf

    def changed(self, now_s: float) -> None:
        """The hub was told of changes."""
        due_s = self._hub.hand_out_due_s
        if due_s is None or due_s >= self._timer_s:
            return
        if self._timer is not None:  # of a larger group, whose pause is longer
            self._timer.cancel()
        self._timer_s = due_s
        self._timer = self._loop.call_later(max(0.0, due_s - now_s), self._run)

    def _run(self) -> None:
        self._timer = None
        self._timer_s = math.inf
        now_s = self._now_s()
        self._hub.hand_out_due(now_s)
        self.changed(now_s)
        self._after()
