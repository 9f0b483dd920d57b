"""When a member knows by itself what a linearizable read must see: alone, and with nothing else possible."""

from __future__ import annotations

import pytest

from oarlock.coordinator.raft import MembershipChange
from oarlock.coordinator.raft.membership import ChangeKind
from oarlock.coordinator.raft.messages import AppendAccepted, TermNotice

from .one import drain, lead, member, proposal, settle


def test_a_lone_member_knows_once_it_has_committed_in_its_term() -> None:
    one = member(1, log=(1, 1), term=1)
    assert one.raft.lone_commit_index == 0
    one.raft.campaign()
    drain(one)
    assert one.raft.lone_commit_index == 0, "what an older term has committed is not known yet"
    settle(one)
    assert one.raft.lone_commit_index == one.raft.commit_index == 3


def test_it_knows_an_entry_when_that_is_durable() -> None:
    one = lead(member(1))
    before = one.raft.lone_commit_index
    one.raft.propose([proposal()])
    drain(one)
    assert one.raft.lone_commit_index == before
    settle(one)
    assert one.raft.lone_commit_index == before + 1


@pytest.mark.parametrize("kind", [ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER])
def test_it_does_not_know_from_when_another_member_is_in_the_log(kind: ChangeKind) -> None:
    one = lead(member(1))
    one.raft.change_membership(MembershipChange(kind, 2))
    assert one.raft.lone_commit_index == 0
    assert not one.outgoing, "nobody has heard of it yet"
    settle(one)
    assert one.raft.lone_commit_index == 0


def test_it_knows_again_when_the_removal_of_the_other_is_committed() -> None:
    one = lead(member(2))
    assert one.raft.lone_commit_index == 0
    one.raft.change_membership(MembershipChange(ChangeKind.REMOVE, 2))
    assert one.raft.lone_commit_index == 0
    settle(one)
    assert one.raft.membership.voters == (1,)
    assert one.raft.lone_commit_index == one.raft.commit_index > 0


def test_a_member_of_many_never_knows() -> None:
    one = lead(member(3))
    one.raft.propose([proposal()])
    settle(one)
    one.raft.step(AppendAccepted(2, 1, one.raft.term, one.raft.status.last_index))
    assert one.raft.commit_index == one.raft.status.last_index
    assert one.raft.lone_commit_index == 0


def test_it_does_not_know_when_it_leads_no_more() -> None:
    one = lead(member(1))
    assert one.raft.lone_commit_index
    one.raft.step(TermNotice(2, 1, one.raft.term + 1))
    assert one.raft.lone_commit_index == 0
