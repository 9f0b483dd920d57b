"""Read-index rounds of one worker: one question for all reads that wait, and the next round forms meanwhile. No I/O."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final

from oarlock.wire.errors import OverloadedError

RETRY_S: Final = 0.5
"""An unanswered question is asked again after this (etcd: readIndexRetryTime), never under its old number: an answer
to the old one may be older than a read that joined since."""

MAX_FORMING: Final = 100_000
"""Reads that wait for the next round; a thousand times what a healthy round has."""


class ReadRounds:
    """Reads on their way to being answered linearizably.

    A read joins the round that forms; the round is asked when no other is under way; its answer is an index; when the
    replica has applied that, the reads may be answered.

    Invariants:
    1. At most one round is under way, and its number was never used before.
    2. A read is in exactly one of: forming, asked, confirmed.

    Args:
        max_forming: reads that may wait for the next round.
    """

    def __init__(self, max_forming: int = MAX_FORMING) -> None:
        self._max_forming = max_forming
        self._forming: list[Any] = []
        self._asked: list[Any] = []
        self._number = 0
        self._asked_s = 0.0
        self._confirmed: list[tuple[int, int, list[Any]]] = []

    def __len__(self) -> int:
        return len(self._forming) + len(self._asked) + sum(len(reads) for _, _, reads in self._confirmed)

    def join(self, read: Any) -> None:
        """Adds a read to the round that forms.

        Raises:
            OverloadedError: too many wait already.
        """
        if len(self._forming) >= self._max_forming:
            raise OverloadedError
        self._forming.append(read)

    def question(self, now_s: float) -> int | None:
        """The number to ask the coordinator under now, or None: nothing waits, or a round is under way."""
        if self._asked:
            if now_s - self._asked_s < RETRY_S:
                return None
        elif not self._forming:
            return None
        self._asked += self._forming
        self._forming = []
        self._number += 1
        self._asked_s = now_s
        return self._number

    def answered(self, number: int, index: int, applied_index: int) -> list[Any]:
        """The coordinator answered.

        Returns:
            The reads that may be answered now; those that the replica is not ready for come from ``applied``.
        """
        if number != self._number or not self._asked:
            return []
        reads, self._asked = self._asked, []
        if index <= applied_index:
            return reads
        heapq.heappush(self._confirmed, (index, number, reads))
        return []

    def failed(self, number: int, now_s: float) -> None:
        """The coordinator could not answer: the same reads are asked for again after ``RETRY_S``."""
        if number == self._number:
            self._asked_s = now_s

    def coordinator_changed(self) -> None:
        """The question under way is lost with the coordinator: the next ``question`` asks anew."""
        self._asked_s = float("-inf")

    def applied(self, applied_index: int) -> list[Any]:
        """The reads that may be answered since the replica has applied ``applied_index``."""
        ready: list[Any] = []
        while self._confirmed and self._confirmed[0][0] <= applied_index:
            ready += heapq.heappop(self._confirmed)[2]
        return ready

    def discard(self, overdue: Callable[[Any], bool]) -> list[Any]:
        """Takes out and returns the reads for which ``overdue`` is true."""
        found = [read for read in self._forming if overdue(read)]
        found += [read for read in self._asked if overdue(read)]
        self._forming = [read for read in self._forming if not overdue(read)]
        self._asked = [read for read in self._asked if not overdue(read)]
        kept = []
        for index, number, reads in self._confirmed:
            found += [read for read in reads if overdue(read)]
            left = [read for read in reads if not overdue(read)]
            if left:
                kept.append((index, number, left))
        heapq.heapify(kept)
        self._confirmed = kept
        return found
