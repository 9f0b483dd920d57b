"""A picture of a member, for people, metrics and tests."""

from __future__ import annotations

from typing import NamedTuple

from oarlock.coordinator.raft.membership import Membership
from oarlock.coordinator.raft.ready import Role
from oarlock.coordinator.raft.state import RaftState


class MemberStatus(NamedTuple):
    """What a leader knows of one member; see ``Progress``."""

    member: int
    state: str
    match: int
    next: int
    paused: bool
    inflight: int
    active: bool


class Status(NamedTuple):
    """One member's view. ``members`` is empty unless it leads; ``durable_index`` is the end of its durable log."""

    member_id: int
    role: Role
    term: int
    vote: int
    leader: int
    commit: int
    first_index: int
    last_index: int
    durable_index: int
    uncommitted_bytes: int
    transferee: int
    membership: Membership
    members: tuple[MemberStatus, ...]


def status_of(state: RaftState) -> Status:
    """Takes the picture."""
    log = state.log
    members = tuple(
        MemberStatus(
            member,
            progress.state.value,
            progress.match,
            progress.next,
            progress.paused,
            len(progress.inflight),
            member == state.member_id or state.is_active(progress),
        )
        for member, progress in sorted(state.progress.items())
    )
    return Status(
        state.member_id,
        state.role,
        state.term,
        state.vote,
        state.leader,
        log.commit,
        log.first_index,
        log.last_index,
        log.stable,
        log.tail_bytes,
        state.transferee,
        state.membership.current,
        members,
    )
