"""The lessor: deadlines of leases, kept by the leader on the monotonic clock (etcd server/lease).

What leases exist is replicated state, decided by committed entries; when they end is the leader's business alone. A
lease never ends early: the time runs from the moment the leader learned of it, and starts anew when another member
leads.

>>> lessor = Lessor()
>>> lessor.grant(7, ttl_s=10, now_s=0.0); lessor.lead(now_s=0.0, extend_s=1.0)
>>> lessor.keep_alive(7, now_s=5.0), lessor.expired(now_s=14.9, limit=10), lessor.expired(now_s=15.0, limit=10)
(10, [], [7])
>>> lessor.keep_alive(7, now_s=15.1) is EXPIRING
True
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

EXPIRING: Final = -1
"""What ``keep_alive`` answers for a lease whose end is decided but not yet committed."""

MOST_DEAD_ENTRIES: Final = 1024
"""Entries of the heap that no lease needs, beyond as many as there are leases: with more it is made anew. Leases with
long times that are granted and revoked all the time would else leave entries for as long as they could have lived."""


class Lessor:
    """Leases and, while this member leads, their deadlines.

    Invariants:
    1. Every lease in ``_deadline_s`` is in ``_ttl_s``; all of them are while leading, none while not.
    2. A lease in ``_expiring`` was handed out by ``expired`` and is never renewed again, until it is revoked.
    3. The heap holds, for every lease that is not expiring, an entry at or before its deadline (entries that a renewal
       has made too early are put right when they come up).
    """

    def __init__(self) -> None:
        self._ttl_s: dict[int, int] = {}
        self._deadline_s: dict[int, float] = {}
        self._expiring: set[int] = set()
        self._heap: list[tuple[float, int]] = []
        self._leading = False

    def __len__(self) -> int:
        return len(self._ttl_s)

    @property
    def leads(self) -> bool:
        """Whether deadlines are kept here."""
        return self._leading

    def items(self) -> Iterable[tuple[int, int]]:
        """All leases, as (id, granted TTL in seconds)."""
        return self._ttl_s.items()

    def load(self, leases: Iterable[tuple[int, int]]) -> None:
        """Takes the leases of a snapshot, (id, TTL in seconds) each, in place of all others."""
        self.stop_leading()
        self._ttl_s = dict(leases)

    def grant(self, lease_id: int, ttl_s: int, now_s: float) -> None:
        """A grant was committed. One for a lease that exists changes nothing, as in the replicated state."""
        if lease_id in self._ttl_s:
            return
        self._ttl_s[lease_id] = ttl_s
        if self._leading:
            self._set_deadline(lease_id, now_s + ttl_s)

    def revoke(self, lease_id: int) -> None:
        """A revoke was committed."""
        self._ttl_s.pop(lease_id, None)
        self._deadline_s.pop(lease_id, None)
        self._expiring.discard(lease_id)
        if len(self._heap) > 2 * len(self._deadline_s) + MOST_DEAD_ENTRIES:
            self._make_heap()

    def lead(self, now_s: float, extend_s: float) -> None:
        """This member leads from now on: every lease gets its full time again.

        Args:
            now_s: monotonic time.
            extend_s: added to each TTL, for what clients lost while there was no leader (an election time-out).
        """
        self._leading = True
        self._expiring.clear()
        self._deadline_s = {lease_id: now_s + extend_s + ttl_s for lease_id, ttl_s in self._ttl_s.items()}
        self._make_heap()

    def stop_leading(self) -> None:
        """Another member leads: deadlines are its business."""
        self._leading = False
        self._deadline_s.clear()
        self._expiring.clear()
        self._heap.clear()

    def keep_alive(self, lease_id: int, now_s: float) -> int:
        """Renews a lease; only a leader is to be asked.

        Returns:
            The granted TTL in seconds, 0 where there is no such lease, ``EXPIRING`` where it is too late.
        """
        ttl_s = self._ttl_s.get(lease_id, 0)
        if lease_id in self._expiring:
            return EXPIRING
        if ttl_s and self._leading:
            # The heap keeps the earlier entry; expired() moves it when it comes up, so a renewal costs no heap work.
            self._deadline_s[lease_id] = now_s + ttl_s
        return ttl_s

    def time_to_live(self, lease_id: int, now_s: float) -> tuple[int, int]:
        """(whole seconds left, granted TTL); (-1, 0) where there is no such lease."""
        ttl_s = self._ttl_s.get(lease_id)
        if ttl_s is None:
            return -1, 0
        return int(self._deadline_s.get(lease_id, now_s + ttl_s) - now_s), ttl_s

    def expired(self, now_s: float, limit: int) -> list[int]:
        """At most ``limit`` leases whose time is over; each is handed out once, for its revoke to be proposed."""
        found: list[int] = []
        while self._heap and self._heap[0][0] <= now_s and len(found) < limit:
            _, lease_id = heapq.heappop(self._heap)
            deadline_s = self._deadline_s.get(lease_id)
            if deadline_s is None or lease_id in self._expiring:
                continue
            if deadline_s > now_s:
                heapq.heappush(self._heap, (deadline_s, lease_id))
                continue
            self._expiring.add(lease_id)
            found.append(lease_id)
        return found

    def unexpire(self, lease_ids: Iterable[int]) -> None:
        """The revoke of these leases was not taken: hand them out again at the next ``expired``."""
        for lease_id in lease_ids:
            if lease_id in self._expiring:
                self._expiring.discard(lease_id)
                heapq.heappush(self._heap, (self._deadline_s[lease_id], lease_id))

    def _set_deadline(self, lease_id: int, deadline_s: float) -> None:
        self._deadline_s[lease_id] = deadline_s
        heapq.heappush(self._heap, (deadline_s, lease_id))

    def _make_heap(self) -> None:
        self._heap = [(at_s, lease_id) for lease_id, at_s in self._deadline_s.items() if lease_id not in self._expiring]
        heapq.heapify(self._heap)

    def validate(self) -> None:
        """Checks the invariants. Raises AssertionError where one does not hold."""
        if self._leading:
            assert self._deadline_s.keys() == self._ttl_s.keys()
            earliest: dict[int, float] = {}
            for deadline_s, lease_id in self._heap:
                earliest[lease_id] = min(deadline_s, earliest.get(lease_id, deadline_s))
            for lease_id in self._deadline_s.keys() - self._expiring:
                assert earliest[lease_id] <= self._deadline_s[lease_id]
        else:
            assert not self._deadline_s
            assert not self._expiring
