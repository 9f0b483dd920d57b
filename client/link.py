"""The one connection that a session has at a time: to which endpoint, how far it got, when to give it up.

No I/O: the driver opens and closes sockets as ``should_open`` says, and reports what became of them. A connection that
was lost is never used again; its successor is another socket, so that "this connection" has one meaning everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Final

MIN_PAUSE_S: Final = 0.02
MAX_PAUSE_S: Final = 0.2
"""Pauses between attempts double from the one to the other: a restarted worker is back in less than a second, and a
dead host costs five attempts a second."""

FIRST_PATIENCE_S: Final = 0.5
"""An endpoint's first chance to greet; each further one is twice as long, up to the time-out that was asked for. A
worker that hangs behind the port that all share takes connections and says nothing: the next may reach another."""


class LinkState(Enum):
    DOWN = "down"
    CONNECTING = "connecting"
    GREETING = "greeting"
    READY = "ready"


class Link:
    """Chooses endpoints in turn, with growing pauses while none answers.

    DOWN -> opened() -> CONNECTING -> connected() -> GREETING -> greeted() -> READY, and lost() from any to DOWN.

    Invariants:
    1. ``retry_at`` matters only in DOWN, ``give_up_at`` only in CONNECTING and GREETING.
    2. The endpoint changes only in ``lost``.
    """

    def __init__(self, endpoints: tuple[str, ...], greeting_timeout_s: float, random: Callable[[], float]) -> None:
        self._endpoints: Final = endpoints
        self._greeting_timeout_s: Final = greeting_timeout_s
        self._random: Final = random
        self._turn = int(random() * len(endpoints))  # clients spread over the members
        self._failures = 0
        self.state = LinkState.DOWN
        self.retry_at = -math.inf
        self.give_up_at = math.inf
        self.problem = ""
        """What became of the last attempt, for a person."""

    @property
    def endpoint(self) -> str:
        return self._endpoints[self._turn]

    def should_open(self, now: float) -> bool:
        """Whether the driver is to open a socket to ``endpoint`` now."""
        return self.state is LinkState.DOWN and now >= self.retry_at

    def opened(self, now: float) -> None:
        self.state = LinkState.CONNECTING
        self.give_up_at = now + _patience_s(self._failures // len(self._endpoints), self._greeting_timeout_s)

    def connected(self) -> bool:
        """The handshake is over; True where that is news, and a greeting is due."""
        if self.state is not LinkState.CONNECTING:
            return False
        self.state = LinkState.GREETING
        return True

    def greeted(self) -> None:
        self.state = LinkState.READY
        self.problem = ""

    def proven(self) -> None:
        """A request was answered, so the next loss starts with a short pause again."""
        self._failures = 0

    def lost(self, now: float, problem: str) -> None:
        """The connection is gone or given up; the next endpoint is due, at once after a good one."""
        self.problem = f"{self.endpoint}: {problem}"
        self._turn = (self._turn + 1) % len(self._endpoints)
        rounds, self._failures = self._failures // len(self._endpoints), self._failures + 1
        pause = min(MIN_PAUSE_S * 2.0 ** min(rounds, 10), MAX_PAUSE_S)
        self.state = LinkState.DOWN
        self.retry_at = now if self._failures == 1 else now + pause * (0.5 + self._random())

    @property
    def wakeup_at(self) -> float:
        """When something is due, if nothing happens before."""
        if self.state is LinkState.DOWN:
            return self.retry_at
        return math.inf if self.state is LinkState.READY else self.give_up_at


def first_round_s(endpoints: int, greeting_timeout_s: float) -> float:
    """How long it takes until each of so many endpoints has had the whole greeting time-out once.

    >>> first_round_s(1, 2.0)  # 0.5 + 1.0 + 2.0
    3.5
    """
    total_s, rounds = 0.0, 0
    while (patience_s := _patience_s(rounds, greeting_timeout_s)) < greeting_timeout_s:
        total_s += patience_s
        rounds += 1
    return (total_s + greeting_timeout_s) * endpoints


def _patience_s(rounds: int, greeting_timeout_s: float) -> float:
    return min(FIRST_PATIENCE_S * 2.0 ** min(rounds, 30), greeting_timeout_s)
