"""How late leases end, and whether any ends early. Does no I/O.

A lease may not end before its time to live is over, counted from when its last renewal reached the leader: that is
after it was sent, so a lease that is gone sooner than that after the sending went early, for certain. Lateness counts
from there too, and so has the way of the renewal and of the news in it.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from oarlock.loadgen.driver import Clock
from oarlock.loadgen.outcome import Series

GRACE_S: Final = 60.0
"""So long after its time a lease that is still there counts as missing: no server is that slow and well."""

EXPIRED: Final = "expired"
EARLY: Final = "early"
LOST: Final = "lost"
MISSING: Final = "missing"


class LeaseExpiries:
    """The ends of leases, which have numbers.

    Invariant: a lease is in ``_sent_ns`` from the sending of its renewal to the answer, then in ``_due_ns`` until it
    ends.

    Args:
        ttl_s: of all of them.
        clock: see Clock.
    """

    def __init__(self, ttl_s: float, clock: Clock) -> None:
        self._ttl_ns = int(ttl_s * 1e9)
        self._clock = clock
        self._sent_ns: dict[int, int] = {}
        self._due_ns: dict[int, int] = {}
        self._ended: set[int] = set()
        self._counts: Counter[str] = Counter({EXPIRED: 0, EARLY: 0, LOST: 0})
        self._first_due_ns = self._last_ns = 0
        self.series = Series()

    def renewing(self, number: int) -> None:
        """The last renewal of lease ``number`` is being sent."""
        self._sent_ns[number] = self._clock()

    def renewed(self, number: int, ttl_s: int | None) -> None:
        """It was answered: with 0 where the lease had ended already; None: it failed, so that nobody knows when the
        lease is to end."""
        sent_ns = self._sent_ns.pop(number)
        if ttl_s and number not in self._ended:
            self._due_ns[number] = due_ns = sent_ns + self._ttl_ns
            self._first_due_ns = min(self._first_due_ns or due_ns, due_ns)
        elif ttl_s is not None:
            self._counts[LOST] += 1

    def gone(self, number: int) -> None:
        """The news has come that lease ``number`` has ended."""
        now_ns = self._clock()
        self._ended.add(number)
        due_ns = self._due_ns.pop(number, None)
        if due_ns is None:
            return
        self._last_ns = now_ns
        self.series.sent += 1
        self.series.latencies.record(now_ns - due_ns)
        self._counts[EARLY if now_ns < due_ns else EXPIRED] += 1

    @property
    def wait_s(self) -> float | None:
        """How much longer to wait for the ends that are due; None where none is, or has any hope."""
        if not self._due_ns:
            return None
        left_s = (max(self._due_ns.values()) - self._clock()) / 1e9 + GRACE_S
        return left_s if left_s > 0 else None

    @property
    def seconds(self) -> float:
        """From when the first was due to the last end."""
        return max(0, self._last_ns - self._first_due_ns) / 1e9

    def counts(self) -> Counter[str]:
        """Leases by what became of them: ``expired`` in time or late, ``early``, ``lost`` before their last renewal,
        ``missing``: not gone though their time was over long ago."""
        over_ns = self._clock() - int(GRACE_S * 1e9)
        counts = self._counts.copy()
        counts[MISSING] = sum(due_ns <= over_ns for due_ns in self._due_ns.values())
        return counts
