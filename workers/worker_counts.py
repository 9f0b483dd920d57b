"""What one worker counts of its work, as plain numbers, and its metrics once a second: to add to one costs as much as a
good part of a lone write."""

from __future__ import annotations

from collections import deque
from typing import Final

from oarlock.wire import metrics

MAX_DRAINS: Final = 100_000
"""Measured and not yet told: more than are made in a second; of more, the latest count."""

_requests = metrics.counter("oarlock_requests_total", "Requests taken from clients.")
_entries = metrics.counter("oarlock_entries_applied_total", "Log entries applied to the replica.")
_apply_seconds = metrics.histogram("oarlock_apply_seconds", "Seconds a drain of committed entries took to apply.")
_events = metrics.counter("oarlock_watch_events_total", "Events, before they fan out to watchers.")
_watchers = metrics.gauge("oarlock_watchers", "Watchers.")
_revision = metrics.gauge("oarlock_revision", "The revision that the replica is at.", combine="livemax")
_db_size = metrics.gauge("oarlock_db_size_bytes", "Size of the replica's file.", combine="livemax")


class WorkerCounts:
    """Counted since the worker began; ``tell`` brings the metrics up to date.

    Attributes:
        requests: taken from clients.
        entries: applied to the replica.
        events: before they fan out to watchers.
        applied_s: how long each drain of entries took to apply, in seconds, since ``tell``.
        is_busy: whether anything was applied or asked, of whichever door, since ``was_busy``.
    """

    __slots__ = ("_grown", "applied_s", "entries", "events", "is_busy", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.entries = 0
        self.events = 0
        self.applied_s: deque[float] = deque(maxlen=MAX_DRAINS)
        self.is_busy = False
        self._grown = (metrics.Growth(_requests), metrics.Growth(_entries), metrics.Growth(_events))

    def was_busy(self) -> bool:
        """Whether anything was applied or asked since the last look."""
        busy, self.is_busy = self.is_busy, False
        return busy

    def tell(self, watchers: int, revision: int, size_bytes: int) -> None:
        """Brings the metrics up to date; to be called about once a second.

        Args:
            watchers: there are now.
            revision: of the replica.
            size_bytes: of its file.
        """
        for growth, total in zip(self._grown, (self.requests, self.entries, self.events), strict=True):
            growth.reach(total)
        metrics.observe_all(_apply_seconds, self.applied_s)
        self.applied_s.clear()
        _watchers.set(watchers)
        _revision.set(revision)
        _db_size.set(size_bytes)
