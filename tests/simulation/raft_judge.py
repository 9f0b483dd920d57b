"""Judges what members do: the promises of Raft, and that nothing is promised which a crash could take back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oarlock.coordinator.raft import Membership, Message, Ready, Role, SnapshotMeta
from oarlock.coordinator.raft.membership import decode_membership
from oarlock.coordinator.raft.messages import AppendAccepted, VoteRequest, VoteResponse
from oarlock.wire.entries import Entry, EntryKind
from tests.raft.checks import SafetyChecker

if TYPE_CHECKING:
    from .coordinator import SimCoordinator

VALIDATE_EVERY = 16
"""The walk over all invariants of the core takes long; every so many turns is often enough."""


class _Promises:
    """What one member has told others.

    ``cut`` is where its log was last truncated, and ``cut_term`` the term in which that was. What was accepted in an
    earlier term, above it, is void: such an answer may leave late, having waited for its own write. The leader that it
    is for cannot commit by it: the later one, which truncated, was elected by a majority that had no such entry.
    """

    def __init__(self) -> None:
        self.term = 0
        self.vote = 0
        self.match = 0
        self.match_term = 0
        self.cut = 0
        self.cut_term = 0

    def accepted(self, match: int, term: int, match_term: int) -> None:
        """Takes note of entries up to ``match`` accepted from the leader of ``term``."""
        if match >= self.match and (term >= self.cut_term or match < self.cut):
            self.match, self.match_term = match, match_term

    def truncated(self, cut: int, term: int) -> None:
        """Takes note of entries from ``cut`` on being replaced by the leader of ``term``."""
        self.cut, self.cut_term = cut, term
        if self.match >= cut:
            self.match = self.match_term = 0


class RaftJudge(SafetyChecker):
    """Beyond ``SafetyChecker``:

    1. A member votes for one candidate a term, whatever happens to it in between, and for none whose log is behind
       its own.
    2. What a member has promised (its vote, entries accepted) is there when it starts again.
    3. A leader commits by counting only what has an entry of its own term (Raft paper, 5.4.2).
    4. A snapshot carries the members as of its index.
    5. What a member has given out as committed is never truncated.
    """

    def __init__(self, initial: tuple[int, ...]) -> None:
        super().__init__()
        self._promises: dict[int, _Promises] = {}
        self._votes: dict[tuple[int, int], int] = {}
        self._led: dict[int, tuple[int, int]] = {}
        self._memberships: dict[int, Membership] = {0: Membership(initial)}
        self._logs: dict[tuple[int, int], tuple[int, int]] = {}
        self._turns = 0

    # --- effects

    def ready(self, member: SimCoordinator, ready: Ready) -> None:
        """Sees everything that a core wants done, before it is done."""
        member_id, raft = member.member_id, member.raft
        self._turns += 1
        if self._turns % VALIDATE_EVERY == 0:
            raft.validate()
        self._lower_promises(member, ready)
        if ready.snapshot is not None:
            self._applied[member_id] = ready.snapshot.index
        self._check_entries(member, ready)  # type: ignore[arg-type]
        known = self.last_committed
        self._check_committed(member, ready)  # type: ignore[arg-type]
        for entry in ready.committed:
            if entry.index > known:
                self._commit(entry)
        if ready.soft_state is not None and ready.soft_state.role is Role.LEADER:
            self._check_leader(member, ready.soft_state.term)  # type: ignore[arg-type]
        self._check_commit_rule(member)

    def _commit(self, entry: Entry) -> None:
        if entry.kind == EntryKind.MEMBERSHIP:
            self._memberships[entry.index] = decode_membership(entry.payload).membership
        self.committed_first(entry)

    def committed_first(self, entry: Entry) -> None:
        """An entry was given out as committed for the first time, in order."""

    def _check_commit_rule(self, member: SimCoordinator) -> None:
        raft = member.raft
        if raft.leader != member.member_id:
            self._led.pop(member.member_id, None)
            return
        term, commit = self._led.setdefault(member.member_id, (raft.term, raft.commit_index))
        if term != raft.term:
            commit = raft.commit_index
        elif raft.commit_index > commit:
            found = raft._state.log.term(raft.commit_index)
            assert found in (None, term), f"the leader of term {term} commits an entry of term {found} by counting"
        self._led[member.member_id] = (raft.term, max(commit, raft.commit_index))

    def _lower_promises(self, member: SimCoordinator, ready: Ready) -> None:
        member_id = member.member_id
        from_index = ready.truncate_from
        if ready.snapshot is not None:
            from_index = ready.snapshot.index + 1
        if from_index is None:
            return
        if ready.snapshot is None:
            assert from_index > self._applied[member_id], f"committed entry {from_index} is truncated"
        self._promises.setdefault(member_id, _Promises()).truncated(from_index, member.raft.term)

    # --- promises

    def sent(self, member: SimCoordinator, message: Message) -> None:
        """Sees every message when it leaves."""
        if isinstance(message, VoteResponse) and message.granted:
            self._check_vote(member, message)
            self._promise_vote(message.sender, message.term, message.to)
        elif isinstance(message, VoteRequest):
            self._logs[message.sender, message.term] = message.last_term, message.last_index
            self._promise_vote(message.sender, message.term, message.sender)
        elif isinstance(message, AppendAccepted):
            promises = self._promises.setdefault(message.sender, _Promises())
            promises.accepted(message.match, message.term, member.raft._state.log.term(message.match) or 0)

    def _check_vote(self, member: SimCoordinator, message: VoteResponse) -> None:
        log = member.raft._state.log
        own = log.last_term, log.last_index
        if log.last_term < message.term:  # otherwise it has heard from the leader of this term already
            theirs = self._logs[message.to, message.term]
            assert theirs >= own, f"member {message.sender} at {own} votes for {message.to} at {theirs} (term, index)"

    def _promise_vote(self, voter: int, term: int, candidate: int) -> None:
        known = self._votes.setdefault((voter, term), candidate)
        assert known == candidate, f"member {voter} votes for {known} and {candidate} in term {term}"
        promises = self._promises.setdefault(voter, _Promises())
        if term > promises.term:
            promises.term, promises.vote = term, candidate

    def started(self, member: SimCoordinator) -> None:
        """Sees a member that has started from its disk."""
        member_id, raft, storage = member.member_id, member.raft, member.storage
        self._applied[member_id] = storage.snapshot().index
        raft.validate()
        promises = self._promises.setdefault(member_id, _Promises())
        state = raft._state
        assert raft.term >= promises.term, f"member {member_id} forgot term {promises.term}: it is at {raft.term}"
        if raft.term == promises.term:
            assert state.vote == promises.vote, f"member {member_id} forgot its vote in term {raft.term}"
        match = promises.match
        if match <= storage.snapshot().index:
            return
        assert storage.last_index() >= match, f"member {member_id} lost entries: it had accepted {match}"
        if promises.match_term and match >= storage.first_index():
            assert storage.term(match) == promises.match_term, f"member {member_id} lost entry {match}"

    # --- snapshots

    def members_at(self, index: int) -> Membership:
        """The members as of a committed entry."""
        return self._memberships[max(each for each in self._memberships if each <= index)]

    def snapshot_made(self, meta: SnapshotMeta, metadata: Any) -> None:
        """A member made a snapshot of its own."""
        self.snapshot_sent(meta)

    def snapshot_sent(self, meta: SnapshotMeta) -> None:
        """Checks what a snapshot says that it is of."""
        expected = self.members_at(meta.index)
        assert meta.membership == expected, f"the snapshot at {meta.index} has members {meta.membership}: {expected}"
        assert self.committed[meta.index].term == meta.term, f"the snapshot at {meta.index} has term {meta.term}"
