"""The events of a range from a revision on: history from the replica, then what happens, joined by revision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from oarlock.gateway.service import Backend, LiveBatch, is_error
from oarlock.wire.operations import Event, Op

PULL_BYTES: Final = 256 << 10
"""Of history asked for at a time, keys and values: some milliseconds of work."""


class Follower:
    """Hands over each event once and in order, whether it lies in the past or still has to happen.

    It is behind when it starts in the past, when it has missed something (the replica was replaced), and after a pause.
    Then what happens is not kept, only its revision is, and history is pulled until nothing is missing.

    Invariants:
    1. Every event below ``_next_revision`` was handed over.
    2. While it neither pulls nor pauses, nothing from ``_next_revision`` on has happened up to ``_seen_revision``.

    Args:
        backend: tells what happens.
        key, range_end: what is followed, in etcd's notation.
        flags: ``WatchFlag``s.
        start_revision: of the first event that is wanted; at most one after the replica's.
        take: gets each event, with the revision of the store that it is told with. It may close or pause this.
        lose: gets the reply item that says why there is no history; nothing is handed over any more.

    Raises:
        WatcherRangeEmptyError, LearnerRefusesError, OverloadedError: see ``Backend.subscribe``.
    """

    __slots__ = (
        "_asked_for",
        "_backend",
        "_is_closed",
        "_is_paused",
        "_is_pulling",
        "_lose",
        "_next_revision",
        "_seen_revision",
        "_subscription",
        "_take",
    )

    def __init__(
        self,
        backend: Backend,
        key: bytes,
        range_end: bytes,
        flags: int,
        start_revision: int,
        take: Callable[[int, Event], None],
        lose: Callable[[Any], None],
    ) -> None:
        self._backend = backend
        self._asked_for = (key, flags, range_end)
        self._take = take
        self._lose = lose
        self._next_revision = start_revision
        self._is_closed = False
        self._is_paused = False
        self._is_pulling = False
        self._subscription = backend.subscribe(key, range_end, flags, self._deliver)
        self._seen_revision = self._subscription.revision

    def start(self) -> None:
        """Begins to hand over, perhaps before this returns."""
        self._catch_up()

    def pause(self) -> None:
        """Hands over nothing that is not under way."""
        self._is_paused = True

    def resume(self) -> None:
        """Goes on after a pause."""
        self._is_paused = False
        self._catch_up()

    def close(self) -> None:
        """Ends it: nothing is handed over any more. It is no error to do it twice."""
        if not self._is_closed:
            self._is_closed = True
            self._subscription.close()

    def _deliver(self, batch: LiveBatch) -> None:
        self._seen_revision = max(self._seen_revision, batch.revision)
        if self._is_pulling or self._is_paused:
            return
        if batch.previous_revision >= self._next_revision:
            self._catch_up()
            return
        first = self._next_revision
        self._next_revision = max(first, batch.revision + 1)
        for event in batch.events:
            if event[1][3] >= first and not self._is_closed:
                self._take(event[1][3], event)

    def _catch_up(self) -> None:
        if self._is_closed or self._is_paused or self._is_pulling or self._next_revision > self._seen_revision:
            return
        self._is_pulling = True
        request = [int(Op.WATCH_HISTORY), *self._asked_for, self._next_revision, 0, PULL_BYTES]
        self._backend.submit(request, self._take_history)

    def _take_history(self, item: Any) -> None:
        self._is_pulling = False
        if self._is_closed:
            return
        if is_error(item):
            self.close()
            self._lose(item)
            return
        events, next_revision = item[2]
        self._next_revision = max(self._next_revision, next_revision)
        for event in events:
            if not self._is_closed:
                self._take(item[1], event)
        self._catch_up()
