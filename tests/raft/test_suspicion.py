"""A member whose connection to the leader broke campaigns soon, and disturbs nobody if the leader lives."""

from __future__ import annotations

import pytest

from oarlock.coordinator.raft import ChangeKind, MembershipChange
from oarlock.coordinator.raft.errors import NotEnoughStartedMembersError
from oarlock.coordinator.raft.messages import Heartbeat, PreVoteRequest, PreVoteResponse

from .one import lead, member, settle
from .simulation import SimMember


def follower(voters: int = 3, leader: int = 3) -> SimMember:
    one = member(voters, log=(1,), term=1, suspicion_ticks=2)
    one.raft.step(Heartbeat(leader, 1, 1, 0, 0))
    settle(one)
    return one


def ticks_until_campaign(one: SimMember) -> int:
    for count in range(1, 100):
        one.raft.tick()
        if any(isinstance(message, PreVoteRequest) for message in settle(one)):
            return count
    raise AssertionError("no campaign")


def test_suspicion_makes_an_election_soon() -> None:
    one = follower()
    one.raft.suspect_leader()
    assert ticks_until_campaign(one) <= 3
    assert ticks_until_campaign(follower()) >= 10


def test_the_first_in_rank_waits_for_nobody() -> None:
    patience = []
    for voters in ((1, 2, 3), (1, 2, 3, 4, 5)):
        one = follower(len(voters), leader=voters[-1])
        one.raft.suspect_leader()
        patience.append(ticks_until_campaign(one))
    assert max(patience) <= 3


def test_a_heartbeat_ends_the_suspicion() -> None:
    one = follower()
    one.raft.suspect_leader()
    one.raft.step(Heartbeat(3, 1, 1, 0, 0))
    assert ticks_until_campaign(one) >= 10


def test_who_suspects_grants_pre_votes_and_who_hears_the_leader_does_not() -> None:
    for suspects, answers in ((True, 1), (False, 0)):
        one = follower()
        if suspects:
            one.raft.suspect_leader()
        one.raft.step(PreVoteRequest(2, 1, 2, 1, 1))
        granted = [message for message in settle(one) if isinstance(message, PreVoteResponse) and message.granted]
        assert len(granted) == answers


def test_who_is_not_answered_asks_again_before_a_whole_time_out_is_over() -> None:
    one = follower()
    one.raft.suspect_leader()
    ticks_until_campaign(one)
    assert ticks_until_campaign(one) < one.config.election_ticks / 2


def test_a_leader_suspects_nobody() -> None:
    one = lead(member(3))
    one.raft.suspect_leader()
    assert one.raft.leader == 1


@pytest.mark.parametrize("strict", [True, False])
def test_a_change_that_costs_the_quorum_is_refused_unless_asked_for(strict: bool) -> None:
    one = lead(member(3, strict_reconfiguration=strict, check_quorum=False))
    for _ in range(15):
        one.raft.tick()
    settle(one)
    change = MembershipChange(ChangeKind.ADD_VOTER, 9)
    if strict:
        with pytest.raises(NotEnoughStartedMembersError):
            one.raft.change_membership(change)
    else:
        one.raft.change_membership(change)
        assert 9 in one.raft.membership.voters
        assert one.raft.membership_changes
