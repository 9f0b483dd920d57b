"""The promises of Raft (paper, figure 3), checked as a cluster runs."""

from __future__ import annotations

from oarlock.coordinator.raft import Ready, Role
from oarlock.wire.entries import Entry

from .simulation import SimMember


class SafetyChecker:
    """Sees every ``Ready`` of every member, and remembers what must never be contradicted.

    1. Election safety: a term has one leader.
    2. Log matching: an entry of one index and term has one content and one predecessor, wherever it occurs. By
       induction, two logs that share it are equal up to it.
    3. State machine safety: an index is committed with one entry, on all members and after restarts.
    4. Leader completeness: a new leader's log holds everything that anybody has given out as committed in an earlier
       term. What was committed in a later one it need not have: votes may arrive so late that their term is over.
    5. Order: a member gives out entries without gap or repetition, from its snapshot on.
    6. Reads: an index confirmed for a read is not before anything given out when the read was asked.
    """

    def __init__(self) -> None:
        self._leaders: dict[int, int] = {}
        self._entries: dict[tuple[int, int], tuple[Entry, int | None]] = {}
        self.committed: dict[int, Entry] = {}
        self._last_committed_in: dict[int, int] = {}  # by the term of whoever gave it out first
        self.last_committed = 0
        self._applied: dict[int, int] = {}
        self._asked: dict[bytes, int] = {}

    def observe(self, member: SimMember, ready: Ready) -> None:
        """Checks what one member wants done."""
        if ready.snapshot is not None:
            self._applied[member.member_id] = ready.snapshot.index
        self._check_entries(member, ready)
        self._check_committed(member, ready)
        if ready.soft_state is not None and ready.soft_state.role is Role.LEADER:
            self._check_leader(member, ready.soft_state.term)
        for context, index in ready.reads:
            assert index >= self._asked.pop(context), f"stale read {context!r} at member {member.member_id}"
        for context in ready.reads_failed:
            del self._asked[context]

    def restarted(self, member: SimMember) -> None:
        """A member has started from its disk."""
        self._applied[member.member_id] = member.disk.storage.snapshot().index

    def applied(self, member: SimMember) -> int:
        """The last entry that a member has given out."""
        return self._applied[member.member_id]

    def asked(self, context: bytes) -> None:
        """A read was asked for."""
        self._asked[context] = self.last_committed

    def _check_entries(self, member: SimMember, ready: Ready) -> None:
        log = member.raft._state.log
        for entry in ready.entries:
            key = (entry.index, entry.term)
            known, before = self._entries.get(key, (entry, None))
            assert known == entry, f"two entries of index and term {key}"
            predecessor = log.term(entry.index - 1)
            if predecessor is not None:
                assert before in (None, predecessor), f"entry {key} follows terms {before} and {predecessor}"
                before = predecessor
            self._entries[key] = entry, before

    def _check_committed(self, member: SimMember, ready: Ready) -> None:
        for entry in ready.committed:
            assert entry.index == self._applied[member.member_id] + 1, "out of order"
            self._applied[member.member_id] = entry.index
            known = self.committed.setdefault(entry.index, entry)
            assert known == entry, f"committed entry {known} became {entry}"
            if entry.index > self.last_committed:
                self.last_committed = entry.index
                self._last_committed_in[member.raft.term] = entry.index

    def _check_leader(self, member: SimMember, term: int) -> None:
        known = self._leaders.setdefault(term, member.member_id)
        assert known == member.member_id, f"members {known} and {member.member_id} lead term {term}"
        log = member.raft._state.log
        needed = max((index for before, index in self._last_committed_in.items() if before < term), default=0)
        assert log.last_index >= needed, "a leader lacks committed entries"
        for index in range(log.first_index, needed + 1):
            assert log.term(index) == self.committed[index].term, f"a leader has another entry {index}"
