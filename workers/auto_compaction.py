"""When history is compacted without anybody asking: by age, or by number of revisions (etcd, ``compactor`` package).

No I/O and no clock: the owner says what time it is and what the revision, and is told what to compact to.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SAMPLES_A_PERIOD: Final = 10
"""How often a period's revision is noted: what is compacted is at most a tenth of the period older than asked."""
LONGEST_INTERVAL_S: Final = 3600.0
"""Between two compactions by age, however long the period is."""
REVISION_INTERVAL_S: Final = 300.0
"""Between two compactions by number of revisions."""


def seconds_of(retention: str) -> float:
    """The period of a retention by age: ``"36s"`` is seconds, a bare number hours, as etcd has it."""
    return float(retention[:-1]) if retention.endswith("s") else int(retention) * 3600.0


class PeriodicCompaction:
    """Keeps what is younger than a period.

    Worked example: with a period of an hour, the revision is noted every six minutes. After an hour the oldest note is
    an hour old: everything below it goes; an hour later again.

    Invariant: ``_samples`` are (when, revision), oldest first, never more than a period and one interval old.

    Args:
        period_s: how long history is kept, in seconds; above 0.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._interval_s = min(period_s, LONGEST_INTERVAL_S)
        self._samples: deque[tuple[float, int]] = deque()
        self._next_sample_s = 0.0
        self._next_compaction_s: float | None = None

    def step(self, now_s: float, revision: int) -> int | None:
        """The revision to compact to now, None for nothing.

        Args:
            now_s: monotonic time in seconds, never less than before.
            revision: of the store.
        """
        if now_s < self._next_sample_s:
            return None
        self._next_sample_s = now_s + self._interval_s / SAMPLES_A_PERIOD
        if self._next_compaction_s is None:
            self._next_compaction_s = now_s + self._period_s
        self._samples.append((now_s, revision))
        if now_s < self._next_compaction_s:
            return None
        self._next_compaction_s = now_s + self._interval_s
        target: int | None = None
        while self._samples and self._samples[0][0] <= now_s - self._period_s:
            target = self._samples.popleft()[1]
        return target


class RevisionCompaction:
    """Keeps the newest revisions.

    Args:
        retention: how many.
    """

    def __init__(self, retention: int) -> None:
        self._retention = retention
        self._next_s: float | None = None

    def step(self, now_s: float, revision: int) -> int | None:
        """As of `PeriodicCompaction`."""
        if self._next_s is None:
            self._next_s = now_s + REVISION_INTERVAL_S
        if now_s < self._next_s:
            return None
        self._next_s = now_s + REVISION_INTERVAL_S
        return revision - self._retention if revision > self._retention else None


AutoCompaction = PeriodicCompaction | RevisionCompaction


def auto_compaction(mode: str, retention: str) -> AutoCompaction | None:
    """What ``auto-compaction-mode`` and ``auto-compaction-retention`` ask for; None for a retention of 0."""
    if mode == "revision":
        return RevisionCompaction(int(retention)) if int(retention) else None
    period_s = seconds_of(retention)
    return PeriodicCompaction(period_s) if period_s else None
