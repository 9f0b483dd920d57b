"""What follows from committed entries: they are applied, and whoever waits is told, in an order that matters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from oarlock.wire.entries import Entry
from oarlock.wire.errors import CorruptError
from oarlock.workers.apply import Applied
from oarlock.workers.coordinator_link import CoordinatorLink
from oarlock.workers.doors import Doors
from oarlock.workers.own_commit import Own
from oarlock.workers.reads import Reads
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.requests import Requests
from oarlock.workers.under_way import UnderWay
from oarlock.workers.watch.hand_outs import HandOuts
from oarlock.workers.watch.hub import WatchHub
from oarlock.workers.worker_counts import WorkerCounts

SETTLE_AFTER_S: Final = 0.05
"""What was applied is committed to the replica so much later, unless somebody reads before. Writes that come one by one
share a commit, which costs as much as a write does, and pages that are changed again and again are written once. With
10 ms, a put of a thousand clients on ten connections took 20.3 µs of the server's processor time in place of 18.2."""
MAX_UNSETTLED_BYTES: Final = 1 << 19
"""Of entries that are applied and not committed: what takes some milliseconds to commit."""
REPORT_EVERY_ENTRIES: Final = 1024
"""State hashes are compared at indexes that are multiples of this, where all workers report, and at rest."""


class Applying:
    """Applies entries, and tells clients, readers and watchers.

    Order that matters: committed entries are applied before the reads that their index confirms, and before watchers
    are told, so that nobody sees an event before it can be read.

    Args:
        loop: the event loop, for what is to be done a moment later.
        keeper: owns the replica.
        link: to the coordinator, which compares state hashes.
        under_way: whose proposals are answered, and whose reads wait for an index.
        requests: makes the answers.
        reads: which may wait for a revision.
        hub: knows who watches what.
        doors: write the answers, and events.
        counts: of what is done.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        keeper: ReplicaKeeper,
        link: CoordinatorLink,
        under_way: UnderWay,
        requests: Requests,
        reads: Reads,
        hub: WatchHub,
        doors: Doors,
        counts: WorkerCounts,
    ) -> None:
        self._loop = loop
        self._keeper = keeper
        self._link = link
        self._under_way = under_way
        self._requests = requests
        self._reads = reads
        self._hub = hub
        self._doors = doors
        self._counts = counts
        self._settle_scheduled = False
        self._hand_outs = HandOuts(loop, hub, lambda: doors.flush(keeper.meta.position))
        self._reported_index = -1

    def apply(self, entries: Sequence[Entry]) -> None:
        """Applies the entries that come next, all or none.

        Raises:
            CorruptError: this member was found to differ from the others, and serves clients.
            EntryOrderError, ReplicaFailedError, DamageError: see ``ReplicaKeeper.apply``.
        """
        if not entries:
            return
        self._counts.is_busy = True
        begin_s = time.monotonic()
        applied = self._keeper.apply(
            entries, self._under_way.proposals.incarnation, with_previous=self._hub.wants_previous
        )
        meta = self._keeper.meta
        self._answer(applied.entries, meta.position)
        self._reads.replica_changed()
        self._under_way.applied(meta.applied_index)
        self._doors.flush(meta.position)  # before anything that no caller waits for
        now_s = time.monotonic()
        if applied.changes and self._doors.is_open:
            self._doors.publish(self._hub.changes(applied.changes, meta.revision, now_s))
            self._counts.events += len(applied.changes)
            self._hand_outs.changed(now_s)
        if meta.applied_index % REPORT_EVERY_ENTRIES == 0:
            self.report()
        if self._doors.is_open and self._keeper.is_distrusted:
            # After a start the alarm may come when the doors are open: what was committed is learned by and by.
            raise CorruptError(f"{CorruptError.text}: this member was found to differ from the others")
        self._counts.entries += len(entries)
        self._counts.applied_s.append(now_s - begin_s)
        self._settle_when_due()

    def answer_foreseen(self, own: Own) -> None:
        """Answers the client of an entry that is committed and comes next, where it is known what applying it will say.

        Whoever reads after that answer comes after the entry: it is applied before this turn ends.
        """
        if own.replies is None:
            return
        entry = own.entry
        foreseen = Applied(entry.index, entry.incarnation, entry.batch, True, own.replies)
        self._answer((foreseen,), self._keeper.meta.position)

    def _answer(self, applied: Sequence[Applied], position: int) -> None:
        """Tells our clients what became of their writes. The replica need not have committed them: the log has them,
        and whoever reads finds them."""
        proposals = self._under_way.proposals
        own = proposals.incarnation
        for each in applied:
            if each.incarnation == own:
                batch = proposals.committed(each.batch, each.index, admitted=each.admitted)
                if batch is not None:
                    self._requests.answer(batch, each)
        self._doors.flush(position)

    def _settle_when_due(self) -> None:
        if self._keeper.unsettled_bytes >= MAX_UNSETTLED_BYTES:
            self._keeper.settle()
        elif not self._settle_scheduled:
            self._settle_scheduled = True
            self._loop.call_later(SETTLE_AFTER_S, self._settle)

    def _settle(self) -> None:
        self._settle_scheduled = False
        self._keeper.settle()

    def report(self) -> None:
        """Reports the state hash, unless this was done at this index."""
        meta = self._keeper.meta
        if meta.applied_index != self._reported_index:
            self._reported_index = meta.applied_index
            self._link.report(meta.applied_index, meta.state_hash)
