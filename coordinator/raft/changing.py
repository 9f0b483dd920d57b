"""Membership changes at the leader: one at a time, and never one that would cost a quorum that is healthy."""

from __future__ import annotations

from oarlock.coordinator.raft import replication
from oarlock.coordinator.raft.errors import (
    LearnerNotReadyError,
    MembershipChangePendingError,
    NotEnoughStartedMembersError,
)
from oarlock.coordinator.raft.membership import (
    ChangeKind,
    Membership,
    MembershipChange,
    MembershipEntry,
    after_change,
    encode_membership,
)
from oarlock.coordinator.raft.quorum import majority
from oarlock.coordinator.raft.state import RaftState
from oarlock.wire.entries import EntryKind, Proposal
from oarlock.wire.errors import LeaderChangedError, NotLeaderError

_READY_PERCENT = 90
"""A learner whose log is this long, measured by the leader's, may be promoted; etcd asks the same."""


def change_membership(state: RaftState, change: MembershipChange, incarnation: int, batch: int) -> None:
    """Appends the change, and takes it into force. Parameters and errors: see ``Raft.change_membership``."""
    if not state.is_leader:
        raise NotLeaderError
    if state.transferee:
        raise LeaderChangedError
    # Without an entry of our own term committed, two leaders could each start a change from memberships whose
    # majorities do not overlap (a fault of the thesis, corrected by its author in 2015).
    if not state.has_committed_in_term or state.membership.last_change > state.log.commit:
        raise MembershipChangePendingError
    members = after_change(state.membership.current, change)
    _refuse_if_unhealthy(state, change, members)
    payload = encode_membership(MembershipEntry(members, change))
    index = replication.append_proposals(state, [Proposal(EntryKind.MEMBERSHIP, incarnation, batch, payload)])
    state.membership.append(index, members)
    for member in members.everyone:
        if member not in state.progress:
            state.progress[member] = state.new_progress(index)


def _refuse_if_unhealthy(state: RaftState, change: MembershipChange, members: Membership) -> None:
    """Refuses what would leave fewer live voters than the new quorum needs (etcd's strict reconfiguration check)."""
    if change.kind == ChangeKind.PROMOTE:
        match = state.progress[change.member].match
        if match * 100 < state.progress[state.member_id].match * _READY_PERCENT:
            raise LearnerNotReadyError
    if not state.config.strict_reconfiguration:
        return
    before = state.membership.current.voters
    if members.voters == before or len(before) == 1:
        # A lone voter may always take in a second one: nobody else could help.
        return
    active = [
        voter
        for voter in members.voters
        if voter == state.member_id or (voter in state.progress and state.is_active(state.progress[voter]))
    ]
    if len(active) < majority(len(members.voters)):
        raise NotEnoughStartedMembersError
