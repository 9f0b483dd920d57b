"""Watch histories: a watcher sees every event of its range between its start and its last revision, once, in order.

The store's log is the judge: from a watcher that was never disturbed, from the answered writes, or from the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from .records import ViolationError
from .store import Event


@dataclass(frozen=True, slots=True)
class Watched:
    """What one watcher asked for, and what it saw.

    ``range_end`` is etcd's: empty for one key, a zero byte for all keys from ``key`` on.
    """

    key: bytes
    range_end: bytes
    start_revision: int
    last_revision: int
    """The watcher has been told, by events or by progress, that it has everything up to here."""
    events: Sequence[Event]
    name: str = "watcher"

    def covers(self, event: Event) -> bool:
        """Whether the watcher should have seen ``event``."""
        return self.start_revision <= event.revision <= self.last_revision and self._in_range(event.key)

    def _in_range(self, key: bytes) -> bool:
        if not self.range_end:
            return key == self.key
        return key >= self.key and (self.range_end == b"\0" or key < self.range_end)


def check_watch(watched: Watched, log: Sequence[Event]) -> None:
    """Compares what a watcher saw with the log.

    Raises:
        ViolationError: an event is missing, doubled, out of order, invented, or differs.
    """
    expected = [event for event in log if watched.covers(event)]
    for position, (seen, due) in enumerate(zip_longest(watched.events, expected)):
        if seen != due:
            raise ViolationError(
                f"{watched.name}, event {position}: {_difference(watched.events, position, seen, due)}"
            )


def _difference(events: Sequence[Event], position: int, seen: Event | None, due: Event | None) -> str:
    if seen is not None and seen in events[:position]:
        return f"a second time {seen}"
    if due is None:
        return f"saw {seen}, which was not due"
    if due in events[position:]:
        return f"{seen} before {due}: out of order, or never written"
    return f"missing {due}, saw {seen}"
