"""A leader that stops hands over first, and never waits for ever."""

from __future__ import annotations

from oarlock.coordinator.leaving import HAND_OVER_S, Leaving
from oarlock.coordinator.raft.messages import Heartbeat, TimeoutNow
from tests.raft.one import lead, member, settle


def test_who_was_not_told_to_stop_does_not() -> None:
    assert not Leaving().done(lead(member(3)).raft, 0.0)


def test_a_follower_and_a_cluster_of_one_stop_at_once() -> None:
    for one in (member(3), lead(member(1))):
        leaving = Leaving()
        leaving.begin()
        assert leaving.done(one.raft, 0.0)


def test_a_leader_waits_until_another_leads() -> None:
    one = lead(member(3))
    leaving = Leaving()
    leaving.begin()
    assert not leaving.done(one.raft, 0.0)
    (handed_over,) = [message for message in settle(one) if isinstance(message, TimeoutNow)]
    assert handed_over.to in (2, 3)
    assert not leaving.done(one.raft, 0.1)
    one.raft.step(Heartbeat(handed_over.to, 1, one.raft.term + 1, 0, 0))
    assert leaving.done(one.raft, 0.2)


def test_a_leader_whose_successor_does_not_come_stops_all_the_same() -> None:
    one = lead(member(3))
    leaving = Leaving()
    leaving.begin()
    assert not leaving.done(one.raft, 0.0)
    assert leaving.done(one.raft, HAND_OVER_S)


def test_a_leader_that_hears_from_nobody_stops_at_once() -> None:
    one = lead(member(3, check_quorum=False))
    for _ in range(20):
        one.raft.tick()
    leaving = Leaving()
    leaving.begin()
    assert leaving.done(one.raft, 0.0)
