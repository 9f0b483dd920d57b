from __future__ import annotations

import itertools
from typing import Any

import pytest

from oarlock.coordinator.lease_keeper import REVOKE_RETRY_S, LeaseKeeper
from oarlock.coordinator.lessor import Lessor
from oarlock.wire.entries import Entry, EntryKind, Proposal
from oarlock.wire.frames import pack
from oarlock.wire.ledger import ProposalLedger
from oarlock.wire.operations import Op

WAITER = (b"worker", 3)


@pytest.fixture
def keeper() -> LeaseKeeper:
    numbers = itertools.count(1000)
    leading = LeaseKeeper(Lessor(), ProposalLedger(), lambda: next(numbers))
    leading.lead(0.0, 0.0)
    return leading


def grant(index: int, batch: int, *leases: tuple[int, int], incarnation: int = 1) -> Entry:
    requests = [[number, int(Op.LEASE_GRANT), *lease] for number, lease in enumerate(leases, 1)]
    return Entry(index, 1, EntryKind.LEASE_GRANT, incarnation, batch, pack([[0, 0, 0, requests]]))


def as_entry(index: int, proposal: Proposal) -> Entry:
    return Entry(index, 1, *proposal)


def test_a_lease_that_ends_is_revoked_through_the_log(keeper: LeaseKeeper) -> None:
    keeper.committed([grant(1, 1, (7, 10), (8, 50))], 0.0)
    assert keeper.revokes_due(9.0) is None
    proposal = keeper.revokes_due(10.0)
    assert proposal is not None
    assert proposal.kind == EntryKind.LEASE_REVOKE
    keeper.committed([as_entry(2, proposal)], 10.1)
    assert keeper.count == 1
    assert keeper.keep_alive(WAITER, [7, 8], 10.2) == [(7, 0), (8, 50)]


def test_a_keepalive_that_comes_too_late_waits_for_the_end(keeper: LeaseKeeper) -> None:
    keeper.committed([grant(1, 1, (7, 10))], 0.0)
    proposal = keeper.revokes_due(10.0)
    assert proposal is not None
    assert keeper.keep_alive(WAITER, [7], 10.0) == []
    assert keeper.committed([as_entry(2, proposal)], 10.1) == [(WAITER, 7)]


def test_a_revoke_that_is_not_committed_is_proposed_again(keeper: LeaseKeeper) -> None:
    keeper.committed([grant(1, 1, (7, 10))], 0.0)
    first = keeper.revokes_due(10.0)
    assert keeper.revokes_due(10.5) is None
    again = keeper.revokes_due(10.1 + REVOKE_RETRY_S)
    assert first is not None
    assert again is not None
    assert again.batch == first.batch + 1
    keeper.committed([as_entry(2, first), as_entry(3, again)], 13.0)
    assert keeper.count == 0


def test_a_refused_revoke_comes_up_again_under_a_new_incarnation(keeper: LeaseKeeper) -> None:
    keeper.committed([grant(1, 1, (7, 10))], 0.0)
    first = keeper.revokes_due(10.0)
    keeper.refused()
    again = keeper.revokes_due(10.1)
    assert first is not None
    assert again is not None
    assert again.incarnation != first.incarnation
    assert again.batch == 1


def test_a_batch_that_does_not_count_changes_no_lease(keeper: LeaseKeeper) -> None:
    keeper.committed([grant(1, 1, (7, 10)), grant(2, 3, (8, 10)), grant(3, 1, (9, 10))], 0.0)
    assert keeper.count == 1


@pytest.mark.parametrize("payload", [b"", b"\xc1", pack([[1]]), pack(7), pack([[0, 0, 0, [[1]]]])])
def test_an_entry_that_nobody_can_read_has_no_leases(keeper: LeaseKeeper, payload: bytes) -> None:
    keeper.committed([Entry(1, 1, EntryKind.LEASE_GRANT, 1, 1, payload)], 0.0)
    assert keeper.count == 0


def test_who_waits_is_told_when_leadership_ends(keeper: LeaseKeeper) -> None:
    keeper.committed([grant(1, 1, (7, 10))], 0.0)
    keeper.revokes_due(10.0)
    keeper.keep_alive(WAITER, [7], 10.0)
    assert keeper.stop_leading() == [(WAITER, 7)]


def test_a_worker_that_is_gone_is_not_waited_for(keeper: LeaseKeeper) -> None:
    keeper.committed([grant(1, 1, (7, 10))], 0.0)
    proposal: Any = keeper.revokes_due(10.0)
    keeper.keep_alive(WAITER, [7], 10.0)
    keeper.forget_waiter(WAITER[0])
    assert keeper.committed([as_entry(2, proposal)], 10.1) == []


def test_a_request_that_a_client_repeats_counts_once(keeper: LeaseKeeper) -> None:
    def entry(index: int, sequence: int, kind: EntryKind, *arguments: int) -> Entry:
        operation = Op.LEASE_GRANT if kind == EntryKind.LEASE_GRANT else Op.LEASE_REVOKE
        groups = [[42, 1, 0, [[sequence, int(operation), *arguments]]]]
        return Entry(index, 1, kind, 1, index, pack(groups))

    keeper.committed([entry(1, 1, EntryKind.LEASE_GRANT, 7, 10), entry(2, 2, EntryKind.LEASE_REVOKE, 7)], 0.0)
    keeper.committed([entry(3, 1, EntryKind.LEASE_GRANT, 7, 10)], 1.0)
    assert keeper.keep_alive(WAITER, [7], 2.0) == [(7, 0)]
    keeper.committed([entry(4, 3, EntryKind.LEASE_GRANT, 7, 20), entry(5, 2, EntryKind.LEASE_REVOKE, 7)], 3.0)
    assert keeper.keep_alive(WAITER, [7], 4.0) == [(7, 20)]
