"""How a replica gets what is committed: a coordinator is greeted, what is missing is fetched, and a replica that is of
no use is replaced by a snapshot."""

from __future__ import annotations

import time
from typing import Any, Final

from oarlock.wire.errors import DamageError
from oarlock.wire.logs import get_logger
from oarlock.wire.members import initial_from_value
from oarlock.workers.applying import Applying
from oarlock.workers.commit_stream import CommitStream
from oarlock.workers.coordinator_link import CoordinatorLink
from oarlock.workers.reads import Reads
from oarlock.workers.replica_keeper import ReplicaKeeper
from oarlock.workers.under_way import UnderWay
from oarlock.workers.watch.hub import WatchHub

log = get_logger(__name__)

MAX_ENTRIES_AT_ONCE: Final = 256
"""Of what was fetched: clients and watchers are told what became of them before more is applied."""


class CatchingUp:
    """Puts what the coordinator sends in order, and gets what of it is missing.

    Attributes:
        stream: what is to be applied next, and what is known to be committed.

    Args:
        number: of this worker, from 0.
        keeper: owns the replica.
        link: to the coordinator.
        under_way: what is lost with a coordinator, and with a replica.
        reads: end before their replica does, and go on with the next one.
        hub: tells watchers what a new replica has left out.
        applying: applies what was fetched.
    """

    def __init__(
        self,
        number: int,
        keeper: ReplicaKeeper,
        link: CoordinatorLink,
        under_way: UnderWay,
        reads: Reads,
        hub: WatchHub,
        applying: Applying,
    ) -> None:
        self._number = number
        self._keeper = keeper
        self._link = link
        self._under_way = under_way
        self._reads = reads
        self._hub = hub
        self._applying = applying
        self._coordinator = 0
        self.stream = CommitStream(keeper.meta.applied_index)

    def greet(self) -> None:
        """Says hello to a coordinator that was just connected to."""
        self._under_way.is_greeted = False
        self._link.hello(self._number, self._under_way.proposals.incarnation, self._keeper.meta.applied_index)

    def follows(self, coordinator: int) -> bool:
        """Whether this is the coordinator that has answered our greeting."""
        return self._under_way.is_greeted and coordinator == self._coordinator

    def greeted(self, message: list[Any]) -> None:
        """The coordinator answers the greeting: from now on what it sends counts."""
        _, coordinator, cluster_id, member_id, _, last_index, _, initial = message
        if coordinator != self._coordinator and self._coordinator:
            log.info("coordinator is another process", coordinator=f"{coordinator:x}")
            self._under_way.questions.coordinator_changed()
        self._coordinator = coordinator
        self._under_way.is_greeted = True
        if self._keeper.belongs_elsewhere(cluster_id, last_index):
            self._replace_replica()
        self._keeper.identify(cluster_id, member_id, initial_from_value(initial))
        self.stream.restart(self._keeper.meta.applied_index)
        self._under_way.coordinator_changed()
        self._link.fetch(self.stream.next_index)

    def fetched(self, message: list[Any]) -> None:
        """Takes the answer to a fetch: entries, or that the replica is to be replaced before more is fetched.

        Raises:
            DamageError: the log does not reach back to what is missing, and no snapshot does either.
        """
        _, commit_index, entries, snapshot = message
        self.stream.fetched()
        if snapshot is not None:
            missing_index = self.stream.next_index
            self._replace_replica()
            if self.stream.next_index <= missing_index:
                raise DamageError(
                    snapshot, 0, f"no snapshot is usable, and entry {missing_index} is no longer in the log"
                )
            self._link.fetch(self.stream.next_index)
            return
        for begin in range(0, len(entries), MAX_ENTRIES_AT_ONCE):
            self._applying.apply(self.stream.arrived(commit_index, entries[begin : begin + MAX_ENTRIES_AT_ONCE]))
        self.stream.arrived(commit_index, ())

    def fetch_missing(self, now_s: float) -> None:
        """Asks for what is missing, if anything is, and is not asked for already."""
        if self.stream.is_behind and self._coordinator:
            first_index = self.stream.fetch_due(now_s)
            if first_index is not None:
                self._link.fetch(first_index)

    def start_anew(self) -> None:
        """Replaces the replica, and fetches what the new one has not."""
        self._replace_replica()
        self._link.fetch(self.stream.next_index)

    def _replace_replica(self) -> None:
        self._reads.abandon_views()
        self._keeper.rebuild()
        self.stream.restart(self._keeper.meta.applied_index)
        self._under_way.replica_replaced()
        self._reads.replica_changed()
        self._hub.skipped_to(self._keeper.meta.revision, time.monotonic())
