"""What watchers must see while keys are written: every write of their key, once, in order, soon.

A value carries when it was sent, so that each delivery has a latency. Several processes may write and watch the same
keys: each tallies what its own writers sent and its own watchers got, as counts that add up, and
``completeness_of`` the sum says what is missing. No I/O is done here.

When a writer has done, it writes a farewell to every key. A watcher gets events in order, so one that has the farewells
of all writers has all that it will ever get.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from oarlock.loadgen.driver import Clock
from oarlock.loadgen.outcome import Series

_STAMP: Final = struct.Struct("<Q")
STAMP_BYTES: Final = _STAMP.size
"""The shortest value that can carry its time."""
FAREWELL: Final = _STAMP.pack(0)
"""The value of a writer's last write of a key: no time, for no write of the load was sent at 0."""

_ATTEMPTED: Final = "attempted"
_ACKNOWLEDGED: Final = "acknowledged"
_GOT: Final = "got"
_DISORDERED: Final = "disordered"
_LOST: Final = "lost_watches"


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
        lost_watches: watches that ended with an error.
    """

    expected: int
    delivered: int
    missing: int
    disordered: int
    unexpected: int
    lost_watches: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether every watcher saw all, once and in order."""
        return not (self.missing or self.disordered or self.unexpected)


def completeness_of(counts: Mapping[str, int]) -> Completeness:
    """What the counts of all processes together (``WatcherTally.counts``) say."""
    expected = delivered = missing = unexpected = 0
    for name, watchers in counts.items():
        kind, *numbers = name.split()
        if kind == _GOT:
            key, got = numbers
            due, attempts = counts.get(f"{_ACKNOWLEDGED} {key}", 0), counts.get(f"{_ATTEMPTED} {key}", 0)
            expected += watchers * due
            delivered += watchers * int(got)
            missing += watchers * max(0, due - int(got))
            unexpected += watchers * max(0, int(got) - attempts)
    return Completeness(expected, delivered, missing, counts.get(_DISORDERED, 0), unexpected, counts.get(_LOST, 0))


class WatcherTally:
    """Counts one process's writes, and the deliveries of its watchers; watcher n watches key n % keys.

    Invariant: ``series.latencies.count`` is the sum of what each watcher got, farewells left out.

    Args:
        watchers: the numbers of this process's.
        keys: how many there are, of all processes.
        writers: how many will say farewell.
        clock: the same for all processes of the load.
    """

    def __init__(self, watchers: Sequence[int], keys: int, writers: int, clock: Clock) -> None:
        self._keys = keys
        self._writers = writers
        self._clock = clock
        self._got = dict.fromkeys(watchers, 0)
        self._last_revision = dict.fromkeys(watchers, 0)
        self._farewells = dict.fromkeys(watchers, 0)
        self._waiting = len(watchers)
        self._attempts: Counter[int] = Counter()
        self._acknowledged: Counter[int] = Counter()
        self._disordered = 0
        self._lost = 0
        self.series = Series()
        self.last_ns = 0

    def attempted(self, key: int) -> None:
        """A write of key number ``key`` was sent."""
        self._attempts[key] += 1

    def acknowledged(self, key: int) -> None:
        """A write of key number ``key`` was acknowledged."""
        self._acknowledged[key] += 1

    def delivered(self, watcher: int, revision: int, value: bytes) -> None:
        """Watcher number ``watcher`` got an event."""
        now_ns = self._clock()
        if revision > self._last_revision[watcher]:
            self._last_revision[watcher] = revision
        else:
            self._disordered += 1
        (sent_ns,) = _STAMP.unpack_from(value)
        if not sent_ns:
            self._bid_farewell(watcher)
            return
        self.last_ns = now_ns
        self._got[watcher] += 1
        self.series.sent += 1
        self.series.latencies.record(now_ns - sent_ns)

    def lost(self, watcher: int, error: str) -> None:
        """The watch of watcher number ``watcher`` ended with an error of this kind: it gets no more."""
        self._lost += 1
        self.series.errors[error] += 1
        if self._farewells[watcher] < self._writers:
            self._waiting -= 1

    def _bid_farewell(self, watcher: int) -> None:
        self._farewells[watcher] += 1
        if self._farewells[watcher] == self._writers:
            self._waiting -= 1

    @property
    def is_over(self) -> bool:
        """Whether every watcher has the farewells of all writers, or is lost."""
        return self._waiting <= 0

    def counts(self) -> Counter[str]:
        """All of it, by names under which other processes' counts can be added."""
        counts = Counter({_DISORDERED: self._disordered, _LOST: self._lost})
        counts.update({f"{_ATTEMPTED} {key}": count for key, count in self._attempts.items()})
        counts.update({f"{_ACKNOWLEDGED} {key}": count for key, count in self._acknowledged.items()})
        counts.update(f"{_GOT} {watcher % self._keys} {got}" for watcher, got in self._got.items())
        return counts
