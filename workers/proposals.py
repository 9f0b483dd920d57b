"""Proposals of one worker: numbered batches, kept until they are seen committed, proposed again where they are not.

The rule that makes it safe is in ``oarlock.wire.ledger``: a batch counts only if its number is the next one of its
incarnation, so proposing twice never applies twice, and what is proposed again must go in order. No I/O here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

MAX_OUTSTANDING_BYTES: Final = 64 * 1024 * 1024
"""Payloads proposed and not yet seen committed; more is refused to clients with a hint to come back."""
RETRY_S: Final = 2.0
"""A batch not seen committed for so long is proposed again: its message or the leader that had it is lost. Longer
than an election, so that a slow disk does not fill the log with duplicates."""


@dataclass(slots=True)
class Batch:
    """One proposal under way.

    Attributes:
        number: its number in the incarnation.
        kind: an EntryKind.
        payload: the packed groups.
        requests: how many there are in them.
        routes: for each group, who is to be told the outcome (opaque here).
        deadline_s: when the clients of this batch stop waiting; None once they have been told so.
        proposed_s: when it was last sent.
    """

    number: int
    kind: int
    payload: bytes
    requests: int
    routes: Sequence[Any]
    deadline_s: float | None
    proposed_s: float


class Proposals:
    """What this worker has proposed.

    Invariants:
    1. Batches are outstanding in the order of their numbers, without a gap.
    2. ``outstanding_bytes`` is the sum of their payloads.

    Args:
        new_incarnation: draws a random positive 63-bit id.
    """

    def __init__(self, new_incarnation: Callable[[], int]) -> None:
        self._new_incarnation = new_incarnation
        self.incarnation = new_incarnation()
        self.outstanding_bytes = 0
        self.last_index = 0
        self._number = 0
        self._outstanding: OrderedDict[int, Batch] = OrderedDict()
        self._resend_s: float | None = None

    def __len__(self) -> int:
        return len(self._outstanding)

    def add(
        self, kind: int, payload: bytes, requests: int, routes: Sequence[Any], deadline_s: float, now_s: float
    ) -> Batch:
        """Numbers a new batch; the caller sends it."""
        self._number += 1
        batch = Batch(self._number, kind, payload, requests, routes, deadline_s, now_s)
        self._outstanding[batch.number] = batch
        self.outstanding_bytes += len(payload)
        return batch

    def committed(self, number: int, index: int, *, admitted: bool) -> Batch | None:
        """A batch of this incarnation was seen in the commit stream.

        Returns:
            The batch, if this is where it took effect; None for a repetition.
        """
        self.last_index = index
        if not admitted:
            return None
        batch = self._outstanding.pop(number, None)
        if batch is not None:
            self.outstanding_bytes -= len(batch.payload)
        return batch

    def renew_if_idle(self, applied_index: int, window: int) -> bool:
        """Takes a new incarnation when the replicated state may soon forget this one (by log position).

        Must hold before proposing: an incarnation that is forgotten while it has numbers above 1 could never be
        admitted again.
        """
        if self._outstanding or not self._number or applied_index - self.last_index < window // 2:
            return False
        self._start_anew(applied_index)
        return True

    def replica_replaced(self, applied_index: int) -> Sequence[Batch]:
        """The replica was replaced by a snapshot, which may contain outstanding batches: nobody can say which.

        Returns:
            The batches whose fate is unknown here; they are not proposed again. Clients ask again by themselves and are
            answered from what the replicated state remembers.
        """
        lost = list(self._outstanding.values())
        self._outstanding.clear()
        self.outstanding_bytes = 0
        self._start_anew(applied_index)
        return lost

    def refused(self, now_s: float, pause_s: float) -> None:
        """The coordinator did not take some batch: everything outstanding goes again, in order, after a pause."""
        self._resend_s = now_s + pause_s

    def coordinator_changed(self, now_s: float) -> None:
        """Another coordinator process: it has never heard of what was not yet committed."""
        self._resend_s = now_s

    def due_again(self, now_s: float) -> Sequence[Batch]:
        """The batches to propose again now, in order; all of them, or none."""
        if not self._outstanding:
            self._resend_s = None
            return ()
        oldest = next(iter(self._outstanding.values()))
        wanted_s = self._resend_s if self._resend_s is not None else oldest.proposed_s + RETRY_S
        if now_s < wanted_s:
            return ()
        self._resend_s = None
        batches = list(self._outstanding.values())
        for batch in batches:
            batch.proposed_s = now_s
        return batches

    def overdue(self, now_s: float) -> list[Batch]:
        """Batches whose clients have waited long enough; each is given once, and stays outstanding."""
        found = []
        for batch in self._outstanding.values():
            if batch.deadline_s is not None and batch.deadline_s <= now_s:
                batch.deadline_s = None
                found.append(batch)
        return found

    def _start_anew(self, applied_index: int) -> None:
        self.incarnation = self._new_incarnation()
        self._number = 0
        self.last_index = applied_index
