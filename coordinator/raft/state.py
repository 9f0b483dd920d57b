"""The state of one member, shared by the modules of the core, and the effects it collects."""

from __future__ import annotations

import random

from oarlock.coordinator.raft.config import RaftConfig
from oarlock.coordinator.raft.errors import InvariantError
from oarlock.coordinator.raft.log_storage import LogStorage
from oarlock.coordinator.raft.log_view import LogView
from oarlock.coordinator.raft.membership import MembershipHistory, decode_membership
from oarlock.coordinator.raft.messages import Message
from oarlock.coordinator.raft.progress import Inflight, Progress
from oarlock.coordinator.raft.read_index import ForwardedReads, LeaderReads
from oarlock.coordinator.raft.ready import ConfirmedRead, HardState, Role
from oarlock.wire.entries import EntryKind


class RaftState:
    """Everything that a member knows. Only the modules of this package touch it.

    Invariants:
    1. ``term`` never falls; ``vote`` changes within a term only from 0.
    2. ``leader`` is our own id exactly when ``role`` is LEADER.
    3. A leader has a progress for every member, and for itself; nobody else has any.
    4. The leader's own ``match`` is its durable log, never more: its own disk counts like any other.
    5. ``transferee`` is 0 unless we lead.

    Attributes:
        now: ticks since the start.
        elapsed: ticks since we heard from the leader, or campaigned; a leader's since it last checked its quorum.
        election_timeout: how many ticks of silence we bear in this term, drawn anew each time.
        votes: the answers of our present (pre-)campaign.
        durable: the hard state that is known to be durable.
        term_start: the entry with which we began to lead; the first one that counting may commit.
        broadcast: a leader has something that followers should hear at the end of this turn.
    """

    __slots__ = (
        "after_persist",
        "broadcast",
        "config",
        "durable",
        "elapsed",
        "election_timeout",
        "forwarded",
        "heartbeat_elapsed",
        "leader",
        "log",
        "member_id",
        "membership",
        "messages",
        "now",
        "progress",
        "proposals_refused",
        "random",
        "reads",
        "reads_confirmed",
        "reads_failed",
        "role",
        "snapshots_needed",
        "term",
        "term_start",
        "transferee",
        "vote",
        "votes",
    )

    def __init__(
        self, config: RaftConfig, storage: LogStorage, hard_state: HardState, rng: random.Random, applied: int
    ) -> None:
        self.config = config
        self.member_id = config.member_id
        self.random = rng
        self.log = LogView(storage, applied)
        self.membership = _memberships_in(storage)
        self.durable = hard_state
        self.term, self.vote = hard_state
        if self.log.last_term > self.term:
            # A write that was cut short left entries of a term, and not the term.
            self.term, self.vote = self.log.last_term, 0
        self.role = Role.FOLLOWER
        self.leader = 0
        self.now = self.elapsed = self.heartbeat_elapsed = 0
        self.election_timeout = 0
        self.votes: dict[int, bool] = {}
        self.progress: dict[int, Progress] = {}
        self.reads = LeaderReads()
        self.forwarded = ForwardedReads()
        self.transferee = 0
        self.term_start = 0
        self.broadcast = False
        self.clear_effects()

    def clear_effects(self) -> None:
        """Begins a new collection of effects."""
        self.messages: list[Message] = []
        self.after_persist: list[Message] = []
        self.reads_confirmed: list[ConfirmedRead] = []
        self.reads_failed: list[bytes] = []
        self.snapshots_needed: list[int] = []
        self.proposals_refused: dict[int, None] = {}

    @property
    def is_leader(self) -> bool:
        """Whether we lead."""
        return self.role is Role.LEADER

    @property
    def has_committed_in_term(self) -> bool:
        """Whether a leader knows what is committed: only then (Raft paper, section 8)."""
        return self.log.commit >= self.term_start

    @property
    def may_campaign(self) -> bool:
        """Whether we may try to lead: voters, and a member whose removal is not yet committed.

        The latter is needed. Of members 1 and 2, let 1 remove itself, and stop before 2 has the entry. 2 cannot win
        without 1's vote, which it does not get, since 1 has the longer log. So 1 must come back, and finish its
        removal (thesis, section 4.2.2).
        """
        if self.member_id in self.membership.current.voters:
            return True
        change = self.membership.last_change
        return change > self.log.commit and self.member_id in self.membership.at(change - 1).voters

    def new_progress(self, next_index: int) -> Progress:
        """What a leader knows at first of a member: nothing."""
        inflight = Inflight(self.config.max_inflight_messages, self.config.max_inflight_bytes)
        return Progress(next_index, inflight, self.now)

    def is_active(self, progress: Progress) -> bool:
        """Whether a member was heard of within an election time-out."""
        return self.now - progress.active_tick <= self.config.election_ticks

    def validate(self) -> None:
        """Raises InvariantError if an invariant of the state, or of anything in it, is broken."""
        self.log.validate()
        self.membership.validate()
        self.reads.validate()
        if (self.leader == self.member_id) != self.is_leader:
            raise InvariantError(f"leader {self.leader}, we are {self.member_id}, in role {self.role.value}")
        if self.term < self.durable.term:
            raise InvariantError(f"term {self.term} is below the durable term {self.durable.term}")
        if self.is_leader:
            self._validate_leader()
        elif self.progress or self.transferee or len(self.reads):
            raise InvariantError(f"a {self.role.value} keeps a leader's state")

    def _validate_leader(self) -> None:
        members = self.membership.current
        missing = {*members.everyone, self.member_id} - self.progress.keys()
        if missing:
            raise InvariantError(f"no progress for {sorted(missing)}")
        for progress in self.progress.values():
            progress.validate()
            if progress.next > self.log.last_index + 1:
                raise InvariantError(f"next {progress.next} is beyond the log, which ends at {self.log.last_index}")
        if self.progress[self.member_id].match != self.log.stable:
            raise InvariantError("the leader counts other than its durable log")


def _memberships_in(storage: LogStorage) -> MembershipHistory:
    """Finds the memberships in the log behind the snapshot."""
    index, _, membership = storage.snapshot()
    history = MembershipHistory(index, membership)
    for found in storage.find(EntryKind.MEMBERSHIP, index + 1):
        (entry,) = storage.entries(found, found + 1, 1)
        history.append(found, decode_membership(entry.payload).membership)
    return history
