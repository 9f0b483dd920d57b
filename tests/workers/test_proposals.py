from __future__ import annotations

import itertools

import pytest

from oarlock.wire.entries import EntryKind
from oarlock.workers.proposals import RETRY_S, Batch, Proposals


@pytest.fixture
def proposals() -> Proposals:
    numbers = itertools.count(100)
    return Proposals(lambda: next(numbers))


def add(proposals: Proposals, now_s: float = 0.0, deadline_s: float = 5.0) -> Batch:
    return proposals.add(EntryKind.BATCH, b"payload", 1, ("caller",), deadline_s, now_s)


def test_batches_are_numbered_without_a_gap(proposals: Proposals) -> None:
    assert [add(proposals).number for _ in range(3)] == [1, 2, 3]


def test_a_committed_batch_is_given_once(proposals: Proposals) -> None:
    batch = add(proposals)
    assert proposals.committed(1, 10, admitted=True) is batch
    assert proposals.committed(1, 11, admitted=True) is None
    assert (len(proposals), proposals.outstanding_bytes) == (0, 0)


def test_a_repetition_that_was_passed_over_changes_nothing(proposals: Proposals) -> None:
    add(proposals)
    assert proposals.committed(1, 10, admitted=False) is None
    assert len(proposals) == 1


def test_what_is_not_seen_committed_goes_again_all_of_it_in_order(proposals: Proposals) -> None:
    for _ in range(3):
        add(proposals)
    proposals.committed(1, 10, admitted=True)
    assert proposals.due_again(RETRY_S - 0.1) == ()
    assert [batch.number for batch in proposals.due_again(RETRY_S)] == [2, 3]
    assert proposals.due_again(RETRY_S + 0.1) == ()


def test_a_refusal_makes_everything_go_again_after_the_pause(proposals: Proposals) -> None:
    add(proposals)
    proposals.refused(0.1, pause_s=0.05)
    assert proposals.due_again(0.12) == ()
    assert [batch.number for batch in proposals.due_again(0.16)] == [1]


def test_another_coordinator_is_told_at_once(proposals: Proposals) -> None:
    add(proposals)
    proposals.coordinator_changed(0.1)
    assert [batch.number for batch in proposals.due_again(0.1)] == [1]


def test_callers_are_told_once_that_it_takes_too_long(proposals: Proposals) -> None:
    batch = add(proposals, deadline_s=5.0)
    assert proposals.overdue(4.9) == []
    assert proposals.overdue(5.0) == [batch]
    assert proposals.overdue(6.0) == []
    assert len(proposals) == 1


def test_an_incarnation_that_may_be_forgotten_is_given_up_in_time(proposals: Proposals) -> None:
    first = proposals.incarnation
    add(proposals)
    assert not proposals.renew_if_idle(1000, window=100)
    proposals.committed(1, 10, admitted=True)
    assert not proposals.renew_if_idle(59, window=100)
    assert proposals.renew_if_idle(60, window=100)
    assert proposals.incarnation != first
    assert add(proposals).number == 1


def test_an_incarnation_that_proposed_nothing_is_kept(proposals: Proposals) -> None:
    assert not proposals.renew_if_idle(10**9, window=100)


def test_a_replaced_replica_gives_up_what_may_or_may_not_be_in_it(proposals: Proposals) -> None:
    first = proposals.incarnation
    batches = [add(proposals), add(proposals)]
    assert proposals.replica_replaced(50) == batches
    assert proposals.incarnation != first
    assert (len(proposals), proposals.outstanding_bytes) == (0, 0)
