"""What the passing of time does."""

from __future__ import annotations

from oarlock.coordinator.raft import election, replication
from oarlock.coordinator.raft.quorum import majority
from oarlock.coordinator.raft.roles import become_follower
from oarlock.coordinator.raft.state import RaftState


def tick(state: RaftState) -> None:
    """One unit of time has passed."""
    state.now += 1
    state.elapsed += 1
    if state.is_leader:
        _tick_leader(state)
        return
    if len(state.forwarded):
        state.reads_failed += state.forwarded.take_expired(state.now - state.config.election_ticks)
    # Who may not campaign goes on counting: it must not refuse for ever, out of its lease, whoever asks for its vote.
    if state.elapsed >= state.election_timeout and state.may_campaign:
        state.elapsed = 0
        election.campaign(state)


def _tick_leader(state: RaftState) -> None:
    if state.elapsed >= state.config.election_ticks:
        state.elapsed = 0
        state.transferee = 0
        if state.config.check_quorum and not _hears_quorum(state):
            become_follower(state, state.term, 0)
            return
    state.heartbeat_elapsed += 1
    if state.heartbeat_elapsed >= state.config.heartbeat_ticks:
        replication.broadcast_heartbeat(state)


def _hears_quorum(state: RaftState) -> bool:
    voters = state.membership.current.voters
    active = [voter for voter in voters if voter == state.member_id or state.is_active(state.progress[voter])]
    return len(active) >= majority(len(voters))
