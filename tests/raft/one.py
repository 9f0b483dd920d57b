"""Helpers for tests of one core, whose peers are played by the test."""

from __future__ import annotations

import random
from typing import Any

from oarlock.coordinator.raft import HardState, Membership, Message, RaftConfig, Ready
from oarlock.coordinator.raft.messages import Append, AppendAccepted, PreVoteResponse, VoteResponse
from oarlock.wire.entries import Entry, EntryKind, Proposal

from .simulation import SimDisk, SimMember


def entry(index: int, term: int, payload: bytes = b"") -> Entry:
    """An entry whose payload may tell it apart."""
    return Entry(index, term, EntryKind.BATCH, 1, index, payload)


def log_of(*terms: int) -> list[Entry]:
    """Entries from index 1 on, by their terms."""
    return [entry(index, term) for index, term in enumerate(terms, 1)]


def proposal(payload: bytes = b"x") -> Proposal:
    """One write of a worker."""
    return Proposal(EntryKind.BATCH, 1, 1, payload)


def member(
    voters: int = 3, *, log: tuple[int, ...] = (), term: int = 0, vote: int = 0, seed: int = 0, **settings: Any
) -> SimMember:
    """Member 1 of ``voters``, with a durable log of these terms."""
    disk = SimDisk(Membership(tuple(range(1, voters + 1))))
    disk.storage.append(log_of(*log))
    disk.hard_state = HardState(term, vote)
    return SimMember(RaftConfig(1, **settings), disk, random.Random(seed))


def drain(one: SimMember) -> list[Ready]:
    """Takes every ``Ready``; writes stay in the disk's queue."""
    taken = []
    while (ready := one.take_ready()) is not None:
        taken.append(ready)
    return taken


def settle(one: SimMember) -> list[Message]:
    """Lets the disk finish, and returns what the member sent."""
    drain(one)
    while one.persist():
        drain(one)
    return one.take_outgoing()


def lead(one: SimMember) -> SimMember:
    """Makes member 1 leader, with the votes of a majority, and the empty entry of its term committed."""
    raft = one.raft
    raft.campaign()
    settle(one)
    voters = [voter for voter in raft.status.membership.voters if voter != 1]
    for voter in voters:
        if one.config.pre_vote:
            raft.step(PreVoteResponse(voter, 1, raft.term + (raft.status.role.value == "pre-candidate"), True))
    settle(one)
    for voter in voters:
        raft.step(VoteResponse(voter, 1, raft.term, True))
    settle(one)
    for voter in voters:
        raft.step(AppendAccepted(voter, 1, raft.term, raft.status.last_index))
    settle(one)
    return one


def append(term: int, previous: tuple[int, int], *entries: Entry, commit: int = 0, sender: int = 2) -> Append:
    """An append to member 1; ``previous`` is (index, term)."""
    return Append(sender, 1, term, previous[0], previous[1], commit, list(entries))
