"""What a load saw second by second, in bounded memory, mergeable.

Each interval has a coarse histogram, of buckets 12.5 % wide, so that the percentiles of several processes merge. A load
that is longer than ``MAX_INTERVALS`` intervals makes all of them twice as long, as often as it takes.

Nothing here costs anything a request: a ``Sampler`` looks a few times a second at what histograms have counted since it
looked last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import ceil
from typing import Any, Final, NamedTuple, Protocol

from oarlock.loadgen.histogram import BUCKETS, HIGHEST_NS, Histogram, bucket_of, middle_of

FIRST_INTERVAL_S: Final = 1.0
"""What a person follows, and long enough for a 99th percentile of a few thousand requests."""
MAX_INTERVALS: Final = 600
"""Ten minutes in seconds, some 3 MB; and no picture has room for more."""
_COARSER: Final = 4
"""Bits of a bucket of Histogram that are left out: 8 buckets an octave instead of 128."""


class Row(NamedTuple):
    """One interval. ``ended`` has all requests, ``errors`` those of them that failed; latencies are of the others."""

    at_s: float
    seconds: float
    ended: int
    errors: int
    p50_ns: int
    p99_ns: int
    highest_ns: int


class _Interval:
    """Invariant: ``ended`` is ``errors`` and the counts of all buckets."""

    __slots__ = ("buckets", "ended", "errors", "highest_ns")

    def __init__(self) -> None:
        self.ended = 0
        self.errors = 0
        self.highest_ns = 0
        self.buckets: Counter[int] = Counter()

    def merge(self, other: _Interval) -> None:
        self.ended += other.ended
        self.errors += other.errors
        self.highest_ns = max(self.highest_ns, other.highest_ns)
        self.buckets.update(other.buckets)

    def percentile(self, percent: float) -> int:
        rank = max(1, ceil((self.ended - self.errors) * percent / 100))
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return min(middle_of((bucket << _COARSER) + (1 << _COARSER - 1)), self.highest_ns)
        return 0


class Timeline:
    """Intervals from the start of a load on; those in which nothing ended are there, and empty.

    Invariant: ``MAX_INTERVALS`` intervals at most, each ``interval_s`` long.
    """

    def __init__(self) -> None:
        self.interval_s = FIRST_INTERVAL_S
        self._intervals: list[_Interval] = []

    def record(self, at_s: float, latency_ns: int) -> None:
        """One success that ended ``at_s`` seconds after the start."""
        self.add(at_s, [(bucket_of(min(max(latency_ns, 0), HIGHEST_NS)), 1)], highest_ns=latency_ns)

    def fail(self, at_s: float, count: int = 1) -> None:
        """``count`` requests failed ``at_s`` seconds after the start."""
        self.add(at_s, (), errors=count)

    def add(self, at_s: float, buckets: Iterable[tuple[int, int]], errors: int = 0, highest_ns: int = 0) -> None:
        """What ended at about ``at_s``: (bucket of Histogram, count) of successes, and how many failed.

        Args:
            at_s: seconds since the start; before it counts as at it.
            buckets: see ``bucket_of``.
            errors: requests that failed.
            highest_ns: the longest latency among them, where it is known better than by its bucket.
        """
        interval = self._at(at_s)
        for bucket, count in buckets:
            interval.buckets[bucket >> _COARSER] += count
            interval.ended += count
            interval.highest_ns = max(interval.highest_ns, highest_ns or middle_of(bucket))
        interval.ended += errors
        interval.errors += errors

    def _at(self, at_s: float) -> _Interval:
        while at_s >= MAX_INTERVALS * self.interval_s:
            self._coarsen()
        number = int(max(at_s, 0.0) / self.interval_s)
        self._intervals.extend(_Interval() for _ in range(number + 1 - len(self._intervals)))
        return self._intervals[number]

    def _coarsen(self) -> None:
        """Makes every two intervals one."""
        for even, odd in zip(self._intervals[::2], self._intervals[1::2], strict=False):
            even.merge(odd)
        self._intervals = self._intervals[::2]
        self.interval_s *= 2

    def merge(self, other: Timeline, after_s: float = 0.0) -> None:
        """Adds another one, which began ``after_s`` seconds after this one. ``other`` may become coarser by that."""
        while self.interval_s < other.interval_s:
            self._coarsen()
        while other.interval_s < self.interval_s:
            other._coarsen()
        for number, interval in enumerate(other._intervals):
            self._at(number * self.interval_s + after_s).merge(interval)

    def rows(self) -> Iterator[Row]:
        """Every interval, in turn."""
        for number, each in enumerate(self._intervals):
            yield Row(
                number * self.interval_s,
                self.interval_s,
                each.ended,
                each.errors,
                each.percentile(50),
                each.percentile(99),
                each.highest_ns,
            )

    def to_wire(self) -> list[Any]:
        """Plain values, ready for msgpack or JSON."""
        return [
            self.interval_s,
            [[each.errors, each.highest_ns, list(map(list, each.buckets.items()))] for each in self._intervals],
        ]

    @classmethod
    def from_wire(cls, values: list[Any]) -> Timeline:
        """What ``to_wire`` gave."""
        timeline = cls()
        timeline.interval_s, intervals = values
        for errors, highest_ns, buckets in intervals:
            interval = _Interval()
            interval.buckets.update(dict(buckets))
            interval.errors, interval.highest_ns = errors, highest_ns
            interval.ended = errors + sum(interval.buckets.values())
            timeline._intervals.append(interval)
        return timeline


class Counted(Protocol):
    """What a sampler looks at: a Series is one."""

    latencies: Histogram
    errors: Counter[str]


class Sampler:
    """Puts into a timeline what histogram and errors of ``counted`` have grown by since the last look.

    At first that is all of it, as of after ``since_s``, seconds from the start.
    """

    def __init__(self, timeline: Timeline, counted: Counted, since_s: float = 0.0) -> None:
        self._timeline = timeline
        self._counted = counted
        self._counts = [0] * BUCKETS
        self._seen = 0, 0
        self._seen_s = since_s

    def sample(self, elapsed_s: float) -> None:
        """Looks, ``elapsed_s`` seconds after the start: what is new counts as of half-way since the last look."""
        at_s, self._seen_s = (self._seen_s + elapsed_s) / 2, elapsed_s
        seen = self._counted.latencies.count, self._counted.errors.total()
        if seen == self._seen:
            return
        counts = self._counted.latencies.counts()
        new = (
            (bucket, count - before)
            for bucket, (count, before) in enumerate(zip(counts, self._counts, strict=True))
            if count != before
        )
        self._timeline.add(at_s, new, seen[1] - self._seen[1])
        self._counts, self._seen = counts, seen
