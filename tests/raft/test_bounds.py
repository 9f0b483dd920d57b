"""What is refused, dropped or held back because a bound is reached, and what a caller can do wrong."""

from __future__ import annotations

import random
from typing import Any

import pytest

from oarlock.coordinator.raft import ChangeKind, HardState, Membership, MembershipChange, Raft, RaftConfig
from oarlock.coordinator.raft.errors import InvariantError, LearnerNotReadyError
from oarlock.coordinator.raft.memory_storage import MemoryStorage
from oarlock.coordinator.raft.messages import Append, AppendAccepted, ForwardedProposals, Heartbeat, TimeoutNow
from oarlock.wire.entries import EntryKind, Proposal
from oarlock.wire.errors import (
    ConfigurationError,
    CorruptError,
    NoLeaderError,
    OverloadedError,
    ProtocolError,
    RequestError,
)

from .one import append, drain, entry, lead, member, proposal, settle


def test_proposals_above_the_bound_are_refused_whole_until_there_is_room() -> None:
    one = lead(member(3, max_uncommitted_bytes=200))
    one.raft.propose([proposal()])
    with pytest.raises(OverloadedError):
        one.raft.propose([proposal()] * 3)
    assert one.raft.status.last_index == 2
    settle(one)
    one.raft.step(AppendAccepted(2, 1, 1, 2))
    settle(one)
    one.raft.propose([proposal()] * 3)


def test_one_proposal_larger_than_the_bound_is_taken_when_nothing_else_waits() -> None:
    one = lead(member(1, max_uncommitted_bytes=200))
    one.raft.propose([proposal(bytes(500))])
    settle(one)
    assert one.raft.commit_index == 2


def test_a_follower_whose_disk_lags_leaves_an_append_that_memory_cannot_hold_unanswered() -> None:
    one = member(3, max_uncommitted_bytes=200)
    one.raft.step(append(1, (0, 0), entry(1, 1, bytes(130))))
    drain(one)
    one.raft.step(append(1, (1, 1), entry(2, 1)))
    assert settle(one) == [AppendAccepted(1, 2, 1, 1)]
    one.raft.step(append(1, (1, 1), entry(2, 1)))
    assert settle(one) == [AppendAccepted(1, 2, 1, 2)]


def test_a_follower_full_of_uncommitted_entries_takes_the_one_by_which_a_new_leader_commits_them() -> None:
    one = member(3, max_uncommitted_bytes=200)
    one.raft.step(append(1, (0, 0), entry(1, 1, bytes(130))))
    settle(one)
    one.raft.step(append(2, (1, 1), entry(2, 2), sender=3))
    assert settle(one) == [AppendAccepted(1, 3, 2, 2)]


def test_bytes_in_flight_are_bounded() -> None:
    one = lead(member(2, max_message_bytes=1, max_inflight_bytes=200))
    one.raft.propose([proposal(bytes(50))] * 5)
    sent = [message for message in settle(one) if isinstance(message, Append)]
    assert len(sent) == 2


def test_waiting_reads_are_bounded() -> None:
    one = lead(member(3, max_pending_reads=2))
    one.raft.read_index(b"1")
    one.raft.read_index(b"2")
    with pytest.raises(OverloadedError):
        one.raft.read_index(b"3")


def test_without_a_leader_nothing_is_taken() -> None:
    one = member(3)
    with pytest.raises(NoLeaderError):
        one.raft.propose([proposal()])
    with pytest.raises(NoLeaderError):
        one.raft.read_index(b"q")
    with pytest.raises(NoLeaderError):
        one.raft.transfer_leadership(2)


def test_a_follower_forwards_proposals_and_the_leader_takes_them() -> None:
    follower = member(3)
    follower.raft.step(Heartbeat(2, 1, 1, 0, 0))
    settle(follower)
    follower.raft.propose([proposal(b"a")])
    assert settle(follower) == [ForwardedProposals(1, 2, 1, [proposal(b"a")])]
    leader = lead(member(3))
    leader.raft.step(ForwardedProposals(2, 1, 1, [proposal(b"a")]))
    assert leader.raft.status.last_index == 2


def test_a_leader_names_the_members_whose_proposals_it_could_not_take() -> None:
    leader = lead(member(3))
    settle(leader)
    leader.raft.transfer_leadership(2)
    leader.raft.step(ForwardedProposals(3, 1, 1, [proposal(b"a")]))
    leader.raft.step(ForwardedProposals(3, 1, 1, [proposal(b"b")]))
    ready = leader.raft.ready()
    assert ready is not None
    assert ready.proposals_refused == (3,)
    follower = member(3)
    follower.raft.step(ForwardedProposals(2, 1, 1, [proposal(b"a")]))
    ready = follower.raft.ready()
    assert ready is None or not ready.proposals_refused


@pytest.mark.parametrize("kind", [EntryKind.EMPTY, EntryKind.MEMBERSHIP])
def test_entries_that_only_the_core_makes_cannot_be_proposed(kind: EntryKind) -> None:
    one = lead(member(1))
    with pytest.raises(RequestError, match="is not for proposing"):
        one.raft.propose([proposal(), Proposal(kind, 1, 1, b"")])
    assert one.raft.status.last_index == 1


def test_a_learner_that_is_behind_is_not_promoted() -> None:
    one = lead(member(1))
    one.raft.change_membership(MembershipChange(ChangeKind.ADD_LEARNER, 2))
    one.raft.propose([proposal()] * 20)
    settle(one)
    one.raft.step(AppendAccepted(2, 1, 1, 15))
    with pytest.raises(LearnerNotReadyError):
        one.raft.change_membership(MembershipChange(ChangeKind.PROMOTE, 2))
    one.raft.step(AppendAccepted(2, 1, 1, 20))
    one.raft.change_membership(MembershipChange(ChangeKind.PROMOTE, 2))
    assert one.raft.status.membership == Membership((1, 2))


def test_a_follower_takes_a_change_into_force_when_it_is_appended_and_back_when_it_is_replaced() -> None:
    leader = lead(member(1))
    leader.raft.change_membership(MembershipChange(ChangeKind.ADD_VOTER, 2))
    settle(leader)
    change = leader.disk.storage.entries(2, 3, 1000)[0]
    follower = member(3)
    follower.raft.step(append(1, (0, 0), entry(1, 1), change))
    assert follower.raft.status.membership == Membership((1, 2))
    settle(follower)
    follower.start()
    assert follower.raft.status.membership == Membership((1, 2)), "found again in the log"
    follower.raft.step(append(2, (1, 1), entry(2, 2)))
    assert follower.raft.status.membership == Membership((1, 2, 3))


def test_a_learner_does_not_campaign_even_if_told_to() -> None:
    storage = MemoryStorage(Membership((2,), (1,)))
    raft = Raft(RaftConfig(1), storage, HardState(1, 0), random.Random(0))
    raft.step(Heartbeat(2, 1, 1, 0, 0))
    raft.step(TimeoutNow(2, 1, 1))
    assert (raft.term, raft.leader) == (1, 2)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (Heartbeat(2, 9, 1, 0, 0), "for member 9 at member 1"),
        (append(1, (0, 0), entry(2, 1)), "entry 2 behind entry 0"),
    ],
)
def test_a_message_that_contradicts_itself_is_the_senders_fault(message: Any, problem: str) -> None:
    one = member(3)
    with pytest.raises(ProtocolError, match=problem):
        one.raft.step(message)
    one.raft.validate()


def test_an_answer_about_entries_that_never_were_is_refused() -> None:
    one = lead(member(3))
    with pytest.raises(ProtocolError, match="accepted entry 99"):
        one.raft.step(AppendAccepted(2, 1, 1, 99))
    one.raft.validate()


@pytest.mark.parametrize(
    "settings",
    [
        {"member_id": 0},
        {"member_id": 2**64},
        {"member_id": 1, "heartbeat_ticks": 0},
        {"member_id": 1, "election_ticks": 1},
        {"member_id": 1, "max_inflight_messages": 0},
        {"member_id": 1, "max_pending_reads": 0},
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=list(settings)[-1]):
        RaftConfig(**settings)


def test_what_is_applied_must_be_in_the_log() -> None:
    with pytest.raises(CorruptError, match="entry 5 is said to be committed"):
        Raft(RaftConfig(1), MemoryStorage(Membership((1,))), HardState(0, 0), random.Random(0), applied=5)


def test_entries_known_to_be_applied_are_not_given_out_again() -> None:
    one = lead(member(1))
    one.raft.propose([proposal()] * 3)
    settle(one)
    again = Raft(one.config, one.disk.storage, one.disk.hard_state, random.Random(0), applied=3)
    assert again.commit_index == 3
    again.campaign()
    given: list[int] = []
    while (ready := again.ready()) is not None:
        given += [committed.index for committed in ready.committed]
        if ready.needs_write:
            again.persisted(ready.write)
    assert given == [4, 5]


def test_validate_notices_a_broken_invariant() -> None:
    one = lead(member(3))
    one.raft._state.progress[2].match = 99
    with pytest.raises(InvariantError, match="match 99"):
        one.raft.validate()


def test_the_tail_is_empty_when_all_is_committed() -> None:
    one = lead(member(1))
    for _ in range(10):
        one.raft.propose([proposal()] * 10)
        drain(one)
    settle(one)
    assert one.raft.status.uncommitted_bytes == 0
