"""What a worker does for its replica unasked: space is regained, measured and checked, and history compacted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from oarlock.workers.auto_compaction import AutoCompaction
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.requests import Requests

PAUSE_S: Final = 0.002
"""Between two slices of removing what was compacted, which take about as long: half of the time is left to everything
else."""


class Upkeep:
    """Looks after one replica, a slice at a time.

    Args:
        loop: the event loop, for the next slice.
        keeper: owns the replica.
        requests: proposes compactions and alarms, and answers who waits for space.
        compaction: says when history is compacted without anybody asking; None where it is not, or where another
            worker of this member sees to it.
        schedule_flush: called when somebody was answered.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        keeper: ReplicaKeeper,
        requests: Requests,
        compaction: AutoCompaction | None,
        schedule_flush: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._keeper = keeper
        self._requests = requests
        self._compaction = compaction
        self._schedule_flush = schedule_flush
        self._is_removing = False

    def begin_removing(self) -> None:
        """Begins to remove what compactions made superfluous, if there is any of it and this has not begun."""
        if self._keeper.is_compacting and not self._is_removing:
            self._is_removing = True
            self._loop.call_soon(self._remove)

    def _remove(self) -> None:
        if self._keeper.compact_slice():
            self._is_removing = False
            self._requests.compaction_done()
            self._schedule_flush()
        else:
            self._loop.call_later(PAUSE_S, self._remove)

    def every_second(self, now_s: float, *, leader: int) -> None:
        """Compares the size with the quota, compacts history when it is due, and checks some of the replica.

        Args:
            now_s: the monotonic clock.
            leader: the member that leads: it sees to the history, for all.

        Raises:
            DamageError: see ``ReplicaKeeper.scrub_slice``.
        """
        self._requests.measure_space()
        if self._compaction is not None:
            revision = self._compaction.step(now_s, self._keeper.meta.revision)
            if revision is not None and leader != 0 and leader == self._keeper.identity[1]:
                self._requests.compact_to(revision)
        self._keeper.scrub_slice()
