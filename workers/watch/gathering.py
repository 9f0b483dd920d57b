"""Large groups of watchers in this process are told of changes that follow upon each other together.

To tell 900 streams of one change takes a worker 3 ms of a core, and clients on the same host 18. Where a key that so
many watch changes again and again, most of that is spent on messages, not on events: so after each message a group has
a pause, as long as one core takes for its messages, and what changes meanwhile is one message at its end. A change that
comes alone is told at once, and small groups have no pause. (etcd puts several revisions into one message for those who
are behind.)

Example: 1,000 watchers, a pause of 25 ms. Revision 7 comes after a quiet time and is told at once; 8, 9 and 10 come in
the 25 ms after it, and are one message at their end. No other comes in the next 25 ms, so 11, later, is told at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final

from oarlock.gateway.service import LiveBatch
from oarlock.wire.operations import Event, event_bytes
from oarlock.workers.watch.groups import Group, LocalSubscription

LARGE_GROUP: Final = 100
"""Watchers; below it there are no pauses, which would be shorter than 2.5 ms."""
PAUSE_A_WATCHER_S: Final = 25e-6
"""Of a large group. A message takes the server 3 µs, its client about 20. With 10 µs 900 streams get 1.3 times etcd's
events a second, with 20 µs three times, with 40 µs seven times: what is gathered longer is later."""
MOST_PAUSE_S: Final = 0.2
"""However many watch: longer than that nobody would take for live."""
MOST_GATHERED_BYTES: Final = 128 << 10
"""Of keys and values of a group. What is more is told at once: messages stay short, and memory bounded."""
EVENT_OVERHEAD_BYTES: Final = 64

Delivery = tuple[LiveBatch, Sequence[LocalSubscription]]
"""What is to be told, and to whom."""


class Gathering:
    """What large groups have still to be told.

    Invariant: a group has gathered events if, and only if, it is in ``_due`` once.

    Args:
        large_group: how many watchers make a group large.
    """

    def __init__(self, large_group: int = LARGE_GROUP) -> None:
        self._large_group = large_group
        self._due: list[tuple[float, int, Group]] = []
        self._number = 0

    @property
    def due_s(self) -> float | None:
        """When ``take_due`` has something to give; None where nothing waits."""
        return self._due[0][0] if self._due else None

    def changed(self, group: Group, revision: int, events: list[Event], now_s: float) -> list[Delivery]:
        """Takes changes.

        Args:
            group: with watchers in this process.
            revision: of the store after the changes.
            events: as the group wants them; at least one.
            now_s: monotonic time.

        Returns:
            What is to be told now, in order.
        """
        if not group.gathered and now_s >= group.quiet_until_s:
            return [self._delivery(group, group.tell(revision, events), now_s)]
        deliveries: list[Delivery] = []
        size_bytes = sum(map(event_bytes, events)) + len(events) * EVENT_OVERHEAD_BYTES
        if group.gathered and group.gathered_bytes + size_bytes > MOST_GATHERED_BYTES:
            deliveries.append(self._take(group, now_s))
            self._due = [due for due in self._due if due[2] is not group]
            heapq.heapify(self._due)
        if size_bytes > MOST_GATHERED_BYTES:
            deliveries.append(self._delivery(group, group.tell(revision, events), now_s))
            return deliveries
        if not group.gathered:
            self._number += 1
            heapq.heappush(self._due, (group.quiet_until_s, self._number, group))
        group.gathered += events
        group.gathered_bytes += size_bytes
        group.gathered_revision = revision
        return deliveries

    def take_due(self, now_s: float) -> list[Delivery]:
        """What is to be told by now."""
        deliveries: list[Delivery] = []
        while self._due and self._due[0][0] <= now_s:
            deliveries.append(self._take(heapq.heappop(self._due)[2], now_s))
        return deliveries

    def take_all(self, now_s: float) -> list[Delivery]:
        """All that is still to be told, whenever it is due."""
        due, self._due = self._due, []
        return [self._take(group, now_s) for _, _, group in sorted(due)]

    def _take(self, group: Group, now_s: float) -> Delivery:
        events, group.gathered, group.gathered_bytes = group.gathered, [], 0
        batch = group.tell(group.gathered_revision, events)
        batch.is_gathered = True
        return self._delivery(group, batch, now_s)

    def _delivery(self, group: Group, batch: LiveBatch, now_s: float) -> Delivery:
        watchers = len(group.subscribers)
        if watchers >= self._large_group:
            group.quiet_until_s = now_s + min(watchers * PAUSE_A_WATCHER_S, MOST_PAUSE_S)
        return batch, tuple(group.subscribers)

    def validate(self) -> None:
        """Checks the invariant. Raises AssertionError where it does not hold."""
        groups = [group for _, _, group in self._due]
        assert len(set(groups)) == len(groups)
        assert all(group.gathered for group in groups)
