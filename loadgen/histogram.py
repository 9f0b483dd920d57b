"""Latencies in bounded memory: a log-linear histogram in the manner of HdrHistogram (Tene, 2012).

Values are whole nanoseconds. Below 256 every value has a bucket of its own; from there on, each power of two is cut
into 128 buckets of equal width. A value that comes back out of a bucket is its middle, and so off by at most
``RELATIVE_ERROR``::

    value       1000 = 0b11_1110_1000, 10 bits
    shift       10 - 8 = 2 bits fall away          → the bucket is 4 wide
    mantissa    1000 >> 2 = 250                    → it holds 1000 to 1003
    index       2 * 128 + 250 = 506

Counts, extremes and sums just add up, so histograms of several clients merge in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any, Final

_KEPT_BITS: Final = 8
_BUCKETS_AN_OCTAVE: Final = 1 << (_KEPT_BITS - 1)
HIGHEST_NS: Final = (1 << 43) - 1
"""About 2 h 26 min. Longer ones are counted here; the maximum is exact all the same."""
BUCKETS: Final = (43 - _KEPT_BITS) * _BUCKETS_AN_OCTAVE + (1 << _KEPT_BITS)
"""The memory of a histogram: a list of so many counts, 37 kB."""
RELATIVE_ERROR: Final = 1 / (2 * _BUCKETS_AN_OCTAVE)
"""0.4 %: half a bucket, of a bucket that is at most a 128th of its values."""


def bucket_of(value_ns: int) -> int:
    """The index of the bucket that holds ``value_ns`` (0 to ``HIGHEST_NS``)."""
    shift = value_ns.bit_length() - _KEPT_BITS
    return value_ns if shift <= 0 else shift * _BUCKETS_AN_OCTAVE + (value_ns >> shift)


def middle_of(bucket: int) -> int:
    """The value that stands for ``bucket``: its middle, rounded down."""
    if bucket < 1 << _KEPT_BITS:
        return bucket
    shift = bucket // _BUCKETS_AN_OCTAVE - 1
    return ((bucket - shift * _BUCKETS_AN_OCTAVE) << shift) + (1 << shift >> 1)


class Histogram:
    """Counts of latencies.

    Invariants: ``count`` is the sum of the buckets; with a count, ``lowest_ns`` <= every value <= ``highest_ns``,
    both exact.
    """

    __slots__ = ("_buckets", "count", "highest_ns", "lowest_ns", "total_ns")

    def __init__(self) -> None:
        self._buckets = [0] * BUCKETS
        self.count = 0
        self.total_ns = 0
        self.lowest_ns = 0
        self.highest_ns = 0

    def record(self, value_ns: int) -> None:
        """Counts one latency. Negative ones (a clock that was set back) count as 0. About 0.2 µs."""
        if value_ns > self.highest_ns:
            self.highest_ns = value_ns
        elif value_ns < 0:
            value_ns = 0
        if value_ns < self.lowest_ns or not self.count:
            self.lowest_ns = value_ns
        self.count += 1
        self.total_ns += value_ns
        shift = value_ns.bit_length() - _KEPT_BITS
        if shift <= 0:
            self._buckets[value_ns] += 1
        elif value_ns <= HIGHEST_NS:
            self._buckets[shift * _BUCKETS_AN_OCTAVE + (value_ns >> shift)] += 1
        else:
            self._buckets[-1] += 1

    def merge(self, other: Histogram) -> None:
        """Adds all that ``other`` has counted."""
        if not other.count:
            return
        self._buckets = [mine + theirs for mine, theirs in zip(self._buckets, other._buckets, strict=True)]
        self.lowest_ns = min(self.lowest_ns, other.lowest_ns) if self.count else other.lowest_ns
        self.highest_ns = max(self.highest_ns, other.highest_ns)
        self.count += other.count
        self.total_ns += other.total_ns

    def percentile(self, percent: float) -> int:
        """The latency that ``percent`` of all did not exceed (nearest rank), in ns, within ``RELATIVE_ERROR``.

        Args:
            percent: 0 to 100.

        Returns:
            0 where nothing was recorded.

        Raises:
            ValueError: ``percent`` is no percentage.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"a percentile is between 0 and 100, not {percent}")
        rank = max(1, ceil(self.count * percent / 100))
        if rank >= self.count:
            return self.highest_ns
        seen = 0
        for bucket, count in enumerate(self._buckets):
            seen += count
            if seen >= rank:
                return min(max(middle_of(bucket), self.lowest_ns), self.highest_ns)
        raise AssertionError("the buckets hold fewer values than were counted")

    @property
    def mean_ns(self) -> float:
        """The mean, exact; 0 where nothing was recorded."""
        return self.total_ns / self.count if self.count else 0.0

    def buckets(self) -> Iterator[tuple[int, int]]:
        """(middle in ns, count) of every bucket that is not empty, ascending."""
        return ((middle_of(bucket), count) for bucket, count in enumerate(self._buckets) if count)

    def counts(self) -> list[int]:
        """A copy of the count of every bucket, for the difference between two instants."""
        return self._buckets.copy()

    def to_wire(self) -> list[Any]:
        """Plain values, ready for msgpack or JSON: only buckets that are not empty."""
        filled = [[bucket, count] for bucket, count in enumerate(self._buckets) if count]
        return [self.total_ns, self.lowest_ns, self.highest_ns, filled]

    @classmethod
    def from_wire(cls, values: list[Any]) -> Histogram:
        """What ``to_wire`` gave."""
        histogram = cls()
        histogram.total_ns, histogram.lowest_ns, histogram.highest_ns, filled = values
        for bucket, count in filled:
            histogram._buckets[bucket] = count
            histogram.count += count
        return histogram

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # it changes
