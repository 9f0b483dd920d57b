"""What watchers must see while keys are written: every write of their key, once, in order, soon.

A value carries when it was sent, so that each delivery has a latency; the tally counts what each watcher got, and
knows from the writes what it should have got. It does no I/O.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import Final

from oarlock.loadgen.driver import Clock
from oarlock.loadgen.histogram import Histogram

_STAMP: Final = struct.Struct("<Q")
STAMP_BYTES: Final = _STAMP.size
"""The shortest value that can carry its time."""


def stamped(now_ns: int, size: int) -> bytes:
    """A value of ``size`` bytes that carries ``now_ns``.

    Raises:
        ValueError: the size has no room for the time.
    """
    if size < STAMP_BYTES:
        raise ValueError(f"a value that carries its time has {STAMP_BYTES} bytes or more, not {size}")
    return _STAMP.pack(now_ns).ljust(size, b".")


@dataclass(frozen=True, slots=True)
class Completeness:
    """How the deliveries compare with the writes; all zeros but the first two is what a correct server does.

    Attributes:
        expected: deliveries due, of acknowledged writes.
        delivered: deliveries that came.
        missing: due and not delivered.
        disordered: delivered with a revision not above the one before, for the same watcher: late, or twice.
        unexpected: more than all writes of the key, acknowledged or not.
    """

    expected: int
    delivered: int
    missing: int
    disordered: int
    unexpected: int

    @property
    def is_whole(self) -> bool:
        """Whether every watcher saw all, once and in order."""
        return not (self.missing or self.disordered or self.unexpected)


class WatcherTally:
    """Counts the deliveries of ``watchers`` watchers of ``keys`` keys; watcher n watches key n % keys.

    Invariant: ``latencies.count`` is the sum of what each watcher got.
    """

    def __init__(self, watchers: int, keys: int, clock: Clock) -> None:
        if watchers < 1 or keys < 1:
            raise ValueError(f"watchers and keys must be 1 or more each, not {watchers} and {keys}")
        self._keys = keys
        self._clock = clock
        self._got = [0] * watchers
        self._last_revision = [0] * watchers
        self._watchers_of = Counter(watcher % keys for watcher in range(watchers))
        self._attempts: Counter[int] = Counter()
        self._acknowledged: Counter[int] = Counter()
        self._disordered = 0
        self.latencies = Histogram()
        self.last_ns = 0

    def attempted(self, key: int) -> None:
        """A write of key number ``key`` was sent."""
        self._attempts[key] += 1

    def acknowledged(self, key: int) -> None:
        """A write of key number ``key`` was acknowledged."""
        self._acknowledged[key] += 1

    def delivered(self, watcher: int, revision: int, value: bytes) -> None:
        """Watcher number ``watcher`` got an event."""
        self.last_ns = now_ns = self._clock()
        if revision > self._last_revision[watcher]:
            self._last_revision[watcher] = revision
        else:
            self._disordered += 1
        self._got[watcher] += 1
        self.latencies.record(now_ns - _STAMP.unpack_from(value)[0])

    @property
    def is_complete(self) -> bool:
        """Whether as many deliveries came as were due."""
        return self.latencies.count >= self._expected

    @property
    def _expected(self) -> int:
        return sum(count * self._watchers_of[key] for key, count in self._acknowledged.items())

    def completeness(self) -> Completeness:
        """How it stands."""
        missing = unexpected = 0
        for watcher, got in enumerate(self._got):
            key = watcher % self._keys
            missing += max(0, self._acknowledged[key] - got)
            unexpected += max(0, got - self._attempts[key])
        return Completeness(self._expected, self.latencies.count, missing, self._disordered, unexpected)
