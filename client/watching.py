"""A watcher: pull for history, push for live, joined by revision. No I/O and no clock.

Live messages say which revision came before them (wire/frames.py). A watcher that has all of that passes them on;
otherwise it pulls what is missing (WATCH_HISTORY) while it keeps live messages aside.

Worked example. The watcher has delivered everything up to 10.

====================================  ==========================================================================
what comes                            what it does
====================================  ==========================================================================
live, 10 -> 12, events of 11 and 12   delivers them; has 12
live, 15 -> 16                        misses 13 to 15: keeps it, pulls from 13 on until 15 at least
live, 16 -> 18                        keeps it
live, 15 -> 16 once more              has it: drops it
history, up to 17                     delivers 13 to 17, then of what it kept only 18; has 18
a new answer, at 20, another topic    pulls 19 and 20; from 21 on all comes under the new topic
live of the old topic                 drops it
====================================  ==========================================================================
"""

from __future__ import annotations

import itertools
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

from oarlock.wire.errors import OarlockError

MAX_KEPT_EVENTS: Final = 4_096
"""Live events kept while history is pulled. Beyond that pulling on is cheaper than keeping: they are dropped."""

WireEvents: TypeAlias = list[Any]
"""Events of wire/operations.py, as they travelled."""


class Deliver(NamedTuple):
    """Pass on whole revisions; everything up to ``revision`` is delivered with it. No events: progress."""

    revision: int
    events: WireEvents


class Pull(NamedTuple):
    """Ask for history: all from ``start_revision`` on, of a replica that has ``min_revision``."""

    number: int
    start_revision: int
    min_revision: int


class End(NamedTuple):
    """It is over, for good."""

    error: OarlockError


Effect: TypeAlias = Deliver | Pull | End


class State(Enum):
    JOINING = "joining"
    CATCHING_UP = "catching up"
    LIVE = "live"
    ENDED = "ended"


class _Kept(NamedTuple):
    previous: int
    revision: int
    events: WireEvents


class Watcher:
    """The state of one watch.

    Invariants:
    1. Everything in (start, ``revision``] has been delivered, each event once, in order, and nothing above it.
    2. In CATCHING_UP, everything in (``revision``, ``_target``] must be pulled, and ``_kept`` holds all after
       ``_target`` that came, as a chain: the first one's previous is at most ``_target``, each other's at most the
       revision before.
    3. At most one pull is under way, the one numbered ``_pulling`` (0: none).
    4. While full, live messages are kept and no pull is begun; so a slow consumer costs the answer of one pull and
       MAX_KEPT_EVENTS at most.
    """

    def __init__(self, start_revision: int) -> None:
        """Begins to watch at ``start_revision``; 0 is what comes after the revision of the first answer."""
        self.state = State.JOINING
        self.revision = start_revision - 1  # -1: not known before the first answer
        self._topic = b""
        self._target = 0
        self._kept: list[_Kept] = []
        self._kept_events = 0
        self._numbers: Final = itertools.count(1)
        self._pulling = 0
        self._full = False

    def answered(self, topic: bytes, revision: int, seen_revision: int) -> list[Effect]:
        """The server has (again) joined us to a group: all after ``revision`` comes under ``topic``.

        Args:
            topic: of the group.
            revision: of the replica that will publish.
            seen_revision: the highest that the client has seen anywhere: "now" is not before that.
        """
        if self.state is State.ENDED:
            return []
        if self.revision < 0:
            self.revision = max(revision, seen_revision)
        self._topic = topic
        self._forget_kept()
        self._target = revision
        self.state = State.CATCHING_UP
        return self._proceed()

    def live(self, topic: bytes, previous: int, revision: int, events: WireEvents) -> list[Effect]:
        """A message was published: all events of (previous, revision] that we watch."""
        if topic != self._topic or revision <= self.revision:
            return []
        if self.state is State.LIVE:
            if previous <= self.revision and not self._full:
                return [self._deliver(revision, events)]
            self.state = State.CATCHING_UP
            self._target = self.revision  # _keep sees the gap, if there is one
        if self.state is State.CATCHING_UP:
            self._keep(_Kept(previous, revision, events))
            return self._proceed()
        return []

    def pulled(self, number: int, events: WireEvents, next_revision: int) -> list[Effect]:
        """History came for pull ``number``: all events from its start on and before ``next_revision``."""
        if number != self._pulling or self.state is State.ENDED:
            return []
        self._pulling = 0
        effects: list[Effect] = []
        if next_revision - 1 > self.revision:
            effects.append(self._deliver(next_revision - 1, events))
        return effects + self._proceed()

    def pull_failed(self, number: int) -> list[Effect]:
        """Pull ``number`` got no answer: asks again."""
        if number != self._pulling or self.state is State.ENDED:
            return []
        self._pulling = 0
        return self._proceed()

    def fail(self, error: OarlockError) -> list[Effect]:
        """The server refused for good (compacted, not allowed, ...), or the owner ends it."""
        if self.state is State.ENDED:
            return []
        self.state = State.ENDED
        self._forget_kept()
        return [End(error)]

    def set_full(self, full: bool) -> list[Effect]:
        """The consumer is behind, or has caught up."""
        self._full = full
        return self._proceed() if self.state is State.CATCHING_UP else []

    def _proceed(self) -> list[Effect]:
        """In CATCHING_UP: becomes live where nothing is missing, else sees to it that history is under way."""
        if self._full:
            return []
        if self.revision < self._target:
            if self._pulling:
                return []
            self._pulling = next(self._numbers)
            return [Pull(self._pulling, self.revision + 1, self._target)]
        effects: list[Effect] = []
        for kept in self._kept:
            if kept.revision > self.revision:
                effects.append(self._deliver(kept.revision, kept.events))
        self._forget_kept()
        self._pulling = 0  # an answer to a pull that is no longer needed is ignored
        self.state = State.LIVE
        return effects

    def _deliver(self, revision: int, events: WireEvents) -> Deliver:
        if events and events[0][1][3] <= self.revision:  # some of them are not new
            events = [event for event in events if event[1][3] > self.revision]
        self.revision = revision
        return Deliver(revision, events)

    def _keep(self, message: _Kept) -> None:
        tail = self._kept[-1].revision if self._kept else self._target
        if message.revision <= tail:
            return
        if message.previous > tail:  # something between them is missing: pull up to there
            self._forget_kept()
            self._target = message.previous
        self._kept.append(message)
        self._kept_events += len(message.events) + 1  # progress counts: it takes space, too
        if self._kept_events > MAX_KEPT_EVENTS:
            self._forget_kept()
            self._target = message.revision

    def _forget_kept(self) -> None:
        self._kept, self._kept_events = [], 0
