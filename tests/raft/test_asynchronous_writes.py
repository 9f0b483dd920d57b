"""What the core may say, and count, while the disk is at work."""

from __future__ import annotations

import pytest

from oarlock.coordinator.raft.errors import InvariantError
from oarlock.coordinator.raft.messages import AppendAccepted, Heartbeat, VoteRequest, VoteResponse
from oarlock.coordinator.raft.ready import HardState
from oarlock.coordinator.raft.write_queue import WriteQueue

from .one import append, drain, entry, lead, log_of, member, proposal, settle


def test_a_replaced_entry_that_comes_back_is_durable_only_by_its_own_write() -> None:
    one = member(5, log=(1,), term=1)
    one.raft.step(append(2, (1, 1), entry(2, 2), sender=2))
    drain(one)
    one.raft.step(append(3, (1, 1), entry(2, 3), sender=3))
    drain(one)
    one.raft.step(append(4, (1, 1), entry(2, 2), sender=4))
    drain(one)
    for durable in (1, 1, 2):
        one.persist(1)
        assert one.raft.status.durable_index == durable


def test_a_candidate_counts_its_own_vote_only_when_it_is_durable() -> None:
    one = member(3, log=(1,), pre_vote=False)
    one.raft.step(append(1, (1, 1), entry(2, 1)))
    drain(one)
    one.raft.campaign()
    drain(one)
    one.persist(1)
    one.raft.step(VoteResponse(2, 1, 2, True))
    assert one.raft.leader == 0
    one.persist(1)
    assert one.raft.leader == 1


def test_a_new_leader_counts_of_its_own_log_only_what_is_durable() -> None:
    one = member(3, log=(1,), pre_vote=False)
    one.raft.campaign()
    settle(one)
    one.raft.step(VoteResponse(2, 1, 2, True))
    one.raft.propose([proposal()])
    drain(one)
    one.raft.step(AppendAccepted(2, 1, 2, 3))
    assert one.raft.commit_index == 0
    one.persist()
    assert one.raft.commit_index == 3


def test_a_vote_leaves_only_after_it_is_durable() -> None:
    one = member(3)
    one.raft.step(VoteRequest(2, 1, 1, 0, 0, False))
    drain(one)
    assert one.take_outgoing() == []
    assert one.disk.hard_state == HardState(0, 0)
    one.persist()
    assert one.take_outgoing() == [VoteResponse(1, 2, 1, True)]
    assert one.disk.hard_state == HardState(1, 2)


def test_a_repeated_append_is_not_acknowledged_before_the_write_of_the_first() -> None:
    one = member(3)
    for _ in range(2):
        one.raft.step(append(1, (0, 0), entry(1, 1)))
        drain(one)
    assert one.take_outgoing() == []
    one.persist()
    assert one.take_outgoing() == [AppendAccepted(1, 2, 1, 1)] * 2


def test_a_heartbeat_is_answered_while_the_disk_is_at_work() -> None:
    one = member(3)
    one.raft.step(append(1, (0, 0), entry(1, 1)))
    drain(one)
    one.raft.step(Heartbeat(2, 1, 1, 0, 0))
    drain(one)
    assert [message.to for message in one.take_outgoing()] == [2]


def test_committed_entries_are_given_out_only_when_they_are_durable_here() -> None:
    one = member(3)
    one.raft.step(append(1, (0, 0), *log_of(1, 1), commit=2))
    assert [ready.committed for ready in drain(one)] == [()]
    one.persist()
    assert [list(ready.committed) for ready in drain(one)] == [log_of(1, 1)]


def test_committed_entries_come_in_portions() -> None:
    one = lead(member(1, max_committed_bytes=150))
    one.raft.propose([proposal()] * 5)
    drain(one)
    one.persist()
    assert [len(ready.committed) for ready in drain(one)] == [2, 2, 1]


def test_one_report_may_speak_for_several_writes() -> None:
    one = lead(member(1))
    for _ in range(3):
        one.raft.propose([proposal()])
        drain(one)
    one.persist()
    assert one.raft.commit_index == 4


def test_a_write_that_was_never_handed_out_cannot_be_durable() -> None:
    with pytest.raises(InvariantError, match="write 1"):
        member(1).raft.persisted(1)


def test_a_write_is_reported_once() -> None:
    writes = WriteQueue()
    assert writes.start(3, HardState(1, 1)) == 1
    assert writes.finish(1) == (3, HardState(1, 1))
    assert writes.finish(1) is None
