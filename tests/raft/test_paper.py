"""The rules of the Raft paper ("In Search of an Understandable Consensus Algorithm"), section by section."""

from __future__ import annotations

import pytest

from oarlock.coordinator.raft import HardState, Membership, Role, SnapshotMeta
from oarlock.coordinator.raft.messages import (
    Append,
    AppendAccepted,
    AppendRejected,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    PreVoteRequest,
    VoteRequest,
    VoteResponse,
)
from oarlock.wire.entries import EntryKind
from oarlock.wire.errors import CorruptError

from .one import append, drain, entry, lead, log_of, member, proposal, settle

# --- 5.1 basics


@pytest.mark.parametrize("role", [Role.FOLLOWER, Role.CANDIDATE, Role.LEADER])
def test_5_1_a_higher_term_makes_a_follower(role: Role) -> None:
    one = member(3, pre_vote=False)
    if role is Role.LEADER:
        lead(one)
    elif role is Role.CANDIDATE:
        one.raft.campaign()
    assert one.raft.status.role is role
    one.raft.step(Heartbeat(2, 1, 9, 0, 0))
    settle(one)
    assert one.raft.status.role is Role.FOLLOWER
    assert one.disk.hard_state == HardState(9, 0)


def test_5_1_a_message_of_an_older_term_changes_nothing() -> None:
    one = member(3, log=(2,), term=2)
    one.raft.step(append(1, (1, 2), entry(2, 1)))
    assert one.raft.status.last_index == 1


# --- 5.2 leader election


def test_5_2_a_follower_without_a_leader_campaigns() -> None:
    one = member(3, pre_vote=False)
    for _ in range(19):
        one.raft.tick()
    assert one.raft.status.role is Role.CANDIDATE
    assert one.raft.term == 1


def test_5_2_heartbeats_keep_a_follower_quiet() -> None:
    one = member(3)
    for _ in range(100):
        one.raft.tick()
        one.raft.step(Heartbeat(2, 1, 1, 0, 0))
    assert one.raft.status.role is Role.FOLLOWER


@pytest.mark.parametrize(
    ("voters", "votes", "role"),
    [
        (1, {}, Role.LEADER),
        (3, {2: True}, Role.LEADER),
        (3, {2: False}, Role.CANDIDATE),
        (3, {2: False, 3: False}, Role.FOLLOWER),
        (5, {2: True}, Role.CANDIDATE),
        (5, {2: True, 3: True}, Role.LEADER),
        (5, {2: True, 3: False, 4: False, 5: False}, Role.FOLLOWER),
        (5, {9: True, 8: True}, Role.CANDIDATE),
    ],
)
def test_5_2_a_majority_of_votes_decides(voters: int, votes: dict[int, bool], role: Role) -> None:
    one = member(voters, pre_vote=False)
    one.raft.campaign()
    settle(one)
    for voter, granted in votes.items():
        one.raft.step(VoteResponse(voter, 1, 1, granted))
    assert one.raft.status.role is role


@pytest.mark.parametrize(("vote", "sender", "granted"), [(0, 2, True), (2, 2, True), (3, 2, False)])
def test_5_2_one_vote_a_term_first_come_first_served(vote: int, sender: int, granted: bool) -> None:
    one = member(3, term=1, vote=vote)
    one.raft.step(VoteRequest(sender, 1, 1, 0, 0, False))
    assert settle(one) == [VoteResponse(1, sender, 1, granted)]


def test_5_2_a_vote_survives_a_restart() -> None:
    one = member(3)
    one.raft.step(VoteRequest(2, 1, 1, 0, 0, False))
    settle(one)
    one.start()
    one.raft.step(VoteRequest(3, 1, 1, 0, 0, False))
    assert settle(one) == [VoteResponse(1, 3, 1, False)]


def test_5_2_a_candidate_follows_a_leader_of_its_term() -> None:
    one = member(3, pre_vote=False)
    one.raft.campaign()
    one.raft.step(Heartbeat(2, 1, 1, 0, 0))
    assert one.raft.leader == 2
    assert one.raft.status.role is Role.FOLLOWER


def test_5_2_time_outs_are_random_between_one_and_two_election_time_outs() -> None:
    waits = set()
    for seed in range(200):
        one = member(3, seed=seed, pre_vote=False)
        ticks = 0
        while one.raft.status.role is Role.FOLLOWER:
            one.raft.tick()
            ticks += 1
        waits.add(ticks)
    assert waits == set(range(10, 20))


def test_5_2_two_leaders_in_a_term_are_fatal() -> None:
    one = member(3)
    one.raft.step(Heartbeat(2, 1, 1, 0, 0))
    with pytest.raises(CorruptError, match="both lead term 1"):
        one.raft.step(Heartbeat(3, 1, 1, 0, 0))


# --- 5.3 log replication


def test_5_3_a_leader_sends_new_entries_with_what_precedes_them() -> None:
    one = lead(member(3))
    one.raft.propose([proposal(b"a")])
    sent = [message for message in settle(one) if isinstance(message, Append)]
    assert [(m.to, m.prev_index, m.prev_term, [e.payload for e in m.entries]) for m in sent] == [
        (2, 1, 1, [b"a"]),
        (3, 1, 1, [b"a"]),
    ]


@pytest.mark.parametrize(
    ("voters", "ackers", "commits"), [(3, [2], True), (3, [], False), (5, [2], False), (5, [2, 3], True)]
)
def test_5_3_an_entry_is_committed_by_a_majority(voters: int, ackers: list[int], commits: bool) -> None:
    one = lead(member(voters))
    one.raft.propose([proposal()])
    settle(one)
    for acker in ackers:
        one.raft.step(AppendAccepted(acker, 1, 1, 2))
    assert (one.raft.commit_index == 2) is commits


@pytest.mark.parametrize(
    ("log", "previous", "answer"),
    [
        ((1, 1), (2, 1), AppendAccepted(1, 2, 3, 3)),
        ((1,), (2, 1), AppendRejected(1, 2, 3, 2, 1, 1)),
        ((1, 2), (2, 1), AppendRejected(1, 2, 3, 2, 1, 1)),
        ((), (0, 0), AppendAccepted(1, 2, 3, 1)),
    ],
)
def test_5_3_the_consistency_check(log: tuple[int, ...], previous: tuple[int, int], answer: object) -> None:
    one = member(3, log=log, term=3)
    one.raft.step(append(3, previous, entry(previous[0] + 1, 3)))
    assert settle(one) == [answer]


@pytest.mark.parametrize(
    ("log", "previous", "terms", "result"),
    [
        ((1, 1, 2), (1, 1), (1, 2), (1, 1, 2)),
        ((1, 1, 2), (1, 1), (1,), (1, 1, 2)),
        ((1, 1, 2), (1, 1), (3, 3), (1, 3, 3)),
        ((1, 1, 2), (2, 1), (3,), (1, 1, 3)),
        ((1, 1, 2), (3, 2), (3,), (1, 1, 2, 3)),
    ],
    ids=["the same", "a prefix: nothing is dropped", "a conflict", "a conflict at the end", "new"],
)
def test_5_3_a_follower_replaces_only_what_conflicts(
    log: tuple[int, ...], previous: tuple[int, int], terms: tuple[int, ...], result: tuple[int, ...]
) -> None:
    one = member(3, log=log, term=3)
    one.raft.step(append(3, previous, *[entry(previous[0] + n, term) for n, term in enumerate(terms, 1)]))
    settle(one)
    storage = one.disk.storage
    assert tuple(storage.term(index) for index in range(1, storage.last_index() + 1)) == result


@pytest.mark.parametrize(("commit", "expected"), [(1, 1), (2, 2), (9, 2)])
def test_5_3_a_follower_commits_what_the_leader_says_up_to_what_it_was_sent(commit: int, expected: int) -> None:
    one = member(3, log=(1, 1, 1), term=1)
    one.raft.step(append(1, (1, 1), entry(2, 1), commit=commit))
    assert one.raft.commit_index == expected


def test_5_3_a_committed_entry_that_is_contradicted_is_fatal() -> None:
    one = member(3, log=(1, 1), term=1)
    one.raft.step(append(1, (2, 1), commit=2))
    with pytest.raises(CorruptError, match="entry 2 of term 2"):
        one.raft.step(append(2, (1, 1), entry(2, 2), entry(3, 2)))


# --- 5.4 safety


@pytest.mark.parametrize(
    ("log", "candidate", "granted"),
    [
        ((1,), (1, 1), True),
        ((1,), (2, 1), True),
        ((1, 1), (1, 1), False),
        ((1, 1, 1), (1, 2), True),
        ((1, 2), (9, 1), False),
    ],
)
def test_5_4_1_votes_go_to_logs_that_are_up_to_date(
    log: tuple[int, ...], candidate: tuple[int, int], granted: bool
) -> None:
    one = member(3, log=log, term=2)
    one.raft.step(VoteRequest(2, 1, 3, *candidate, False))
    assert settle(one) == [VoteResponse(1, 2, 3, granted)]


@pytest.mark.parametrize("index", [1, 2])
def test_5_4_2_entries_of_older_terms_are_not_committed_by_counting(index: int) -> None:
    one = member(3, log=(1, 2), term=2, pre_vote=False)
    one.raft.campaign()
    settle(one)
    one.raft.step(VoteResponse(2, 1, 3, True))
    settle(one)
    one.raft.step(AppendAccepted(2, 1, 3, index))
    assert one.raft.commit_index == 0
    one.raft.step(AppendAccepted(2, 1, 3, 3))
    assert one.raft.commit_index == 3


# --- 6 and thesis 4.2.3: disruption


@pytest.mark.parametrize("kind", [PreVoteRequest, VoteRequest])
def test_6_a_candidate_is_ignored_while_the_leader_is_heard(kind: type) -> None:
    one = member(3)
    one.raft.step(Heartbeat(2, 1, 1, 0, 0))
    settle(one)
    request = kind(3, 1, 5, 9, 9) if kind is PreVoteRequest else kind(3, 1, 5, 9, 9, False)
    one.raft.step(request)
    assert settle(one) == []
    assert one.raft.term == 1


def test_6_a_transfer_is_not_ignored() -> None:
    one = member(3)
    one.raft.step(Heartbeat(2, 1, 1, 0, 0))
    settle(one)
    one.raft.step(VoteRequest(3, 1, 2, 9, 9, True))
    assert settle(one) == [VoteResponse(1, 3, 2, True)]


def test_9_6_of_the_thesis_a_pre_vote_changes_nothing() -> None:
    one = member(3, term=1, vote=2)
    one.raft.step(PreVoteRequest(3, 1, 5, 0, 0))
    settle(one)
    assert one.disk.hard_state == HardState(1, 2)
    assert one.raft.term == 1


# --- 7 snapshots


def test_7_a_snapshot_replaces_a_log_that_it_contradicts() -> None:
    one = member(3, log=(1, 1, 1), term=2)
    snapshot = SnapshotMeta(2, 2, Membership((1, 2, 3, 4)))
    one.raft.step(InstallSnapshot(2, 1, 2, snapshot))
    assert settle(one) == [AppendAccepted(1, 2, 2, 2)]
    assert (one.disk.storage.first_index(), one.disk.storage.last_index()) == (3, 2)
    assert one.raft.status.membership == snapshot.membership


def test_7_a_snapshot_that_the_log_covers_keeps_the_log() -> None:
    one = member(3, log=(1, 1, 1), term=1)
    one.raft.step(InstallSnapshot(2, 1, 1, SnapshotMeta(2, 1, Membership((1, 2, 3)))))
    readies = drain(one)
    assert [ready.snapshot for ready in readies] == [None]
    assert (one.raft.status.last_index, one.raft.commit_index) == (3, 2)


def test_7_an_old_snapshot_is_not_installed() -> None:
    one = member(3, log=(1, 1, 1), term=1)
    one.raft.step(append(1, (3, 1), commit=3))
    one.raft.step(InstallSnapshot(2, 1, 1, SnapshotMeta(2, 1, Membership((1, 2, 3)))))
    assert settle(one)[-1] == AppendAccepted(1, 2, 1, 3)
    assert one.raft.status.first_index == 1


def test_7_entries_behind_a_snapshot_that_is_being_installed_are_taken() -> None:
    one = member(3, term=1)
    one.raft.step(InstallSnapshot(2, 1, 1, SnapshotMeta(5, 1, Membership((1, 2, 3)))))
    one.raft.step(append(1, (5, 1), entry(6, 1), commit=6))
    ready = one.take_ready()
    assert ready is not None
    assert ready.snapshot is not None
    assert (ready.snapshot.index, list(ready.entries), list(ready.committed)) == (5, [entry(6, 1)], [])
    one.persist()
    assert [list(ready.committed) for ready in drain(one)] == [[entry(6, 1)]]


# --- 8 clients


def test_8_a_new_leader_begins_its_term_with_an_empty_entry() -> None:
    one = lead(member(3, log=(1,), term=1))
    assert one.disk.storage.entries(2, 3, 1)[0][:4] == (2, 2, EntryKind.EMPTY, 0)


def test_8_a_read_is_confirmed_by_answers_to_heartbeats_that_left_after_it() -> None:
    one = lead(member(3))
    one.raft.tick()
    settle(one)
    one.raft.read_index(b"q")
    one.raft.step(HeartbeatResponse(2, 1, 1, 0))
    assert [ready.reads for ready in drain(one)] == [[]]
    one.raft.step(HeartbeatResponse(2, 1, 1, 1))
    assert [list(ready.reads) for ready in drain(one)] == [[(b"q", 1)]]


def test_log_terms_of_a_torn_write_are_taken_over_at_the_start() -> None:
    one = member(3, log=(1, 4), term=2, vote=3)
    assert one.raft.term == 4
    settle(one)
    assert one.disk.hard_state == HardState(4, 0)
    assert list(log_of(1, 4)) == list(one.disk.storage.entries(1, 3, 99))
