"""A worker's event loop that goes on turning for a moment, where the next message comes soon."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final

from oarlock.wire.pace import Pace

SPIN_S: Final = 0.00075
"""The longest wait without sleep: what a lone put's trip through the others and the disk takes at most."""


class Spinning:
    """Keeps an event loop from sleeping while its ``Pace`` is brisk. Between two turns others have the processor, if
    they want it.

    Args:
        call_soon: of the loop: has a function called in its next turn.
        look: called in each turn for what comes without waking the loop; says whether it found, and did, something.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], Any], look: Callable[[], bool]) -> None:
        self._call_soon = call_soon
        self._look = look
        self._pace = Pace(SPIN_S)
        self._rested_s = 0.0
        self._is_resting = False
        self._is_turning = False

    @property
    def is_brisk(self) -> bool:
        """Whether it will go on turning when it rests now."""
        return self._pace.is_brisk

    def rest(self) -> None:
        """There is nothing to do."""
        self._rested_s = time.monotonic()
        self._is_resting = True
        if self._pace.is_brisk and not self._is_turning:
            self._is_turning = True
            self._call_soon(self._turn)

    def wake(self, now_s: float) -> None:
        """There is something to do again; may be told more than once."""
        if self._is_resting:
            self._is_resting = False
            self._pace.waited(now_s - self._rested_s)

    def _turn(self) -> None:
        self._is_turning = False
        if not self._is_resting or self._look():
            return
        if time.monotonic() - self._rested_s >= SPIN_S:
            return
        os.sched_yield()
        self._is_turning = True
        self._call_soon(self._turn)
