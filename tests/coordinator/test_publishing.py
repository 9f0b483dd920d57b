from __future__ import annotations

from collections.abc import Sequence

import pytest

from oarlock.coordinator.publishing import LOOKING_S, POSTPONED_S, Publishing
from oarlock.coordinator.standing import Standing
from oarlock.wire.entries import Entry, EntryKind

A, B = b"a", b"b"
INCARNATION = 99
NEVER_S = 60.0


def entry(index: int, batch: int, incarnation: int = INCARNATION) -> Entry:
    return Entry(index, 2, EntryKind.BATCH, incarnation, batch, b"put")


class Port:
    """Two workers, and the entries that each was told of; what is told with them is that of the standing."""

    def __init__(self) -> None:
        self.told: dict[bytes, list[int]] = {A: [], B: []}

    def publish(
        self, term: int, leader: int, commit_index: int, entries: Sequence[Entry], but: bytes | None = None
    ) -> None:
        for worker in self.told:
            if worker != but:
                self.publish_to(worker, term, leader, commit_index, entries)

    def publish_to(self, worker: bytes, term: int, leader: int, commit_index: int, entries: Sequence[Entry]) -> None:
        assert (term, leader, commit_index) == (2, 1, 9)
        self.told[worker] += [each.index for each in entries]


class Workers:
    """A, which has proposed its batch 4 and looks for it, and B."""

    def __init__(self) -> None:
        self.port = Port()
        self.publishing = Publishing(self.port, Standing(0, 1, term=2, leader=1, leading=True, commit_index=9))
        self.publishing.proposed(A, 6, (INCARNATION, 4), 0.0)

    def told(self) -> tuple[list[int], list[int]]:
        return self.port.told[A], self.port.told[B]


@pytest.fixture
def workers() -> Workers:
    return Workers()


def test_a_worker_that_looks_for_an_entry_is_told_a_moment_later_and_others_at_once(workers: Workers) -> None:
    workers.publishing.committed([entry(7, 4)], 0.0)
    assert workers.told() == ([], [7])
    due_s = workers.publishing.wait_s(NEVER_S, 0.0)
    assert due_s == POSTPONED_S
    workers.publishing.publish_due(due_s / 2)
    assert workers.told() == ([], [7])
    workers.publishing.publish_due(due_s)
    assert workers.told() == ([7], [7])
    assert workers.publishing.wait_s(NEVER_S, due_s) == NEVER_S


def test_a_worker_that_says_that_it_has_the_entry_is_not_told(workers: Workers) -> None:
    workers.publishing.committed([entry(7, 4)], 0.0)
    workers.publishing.proposed(A, 7, None, 0.0)
    workers.publishing.publish_due(NEVER_S)
    workers.publishing.committed([entry(8, 5)], NEVER_S)
    assert workers.told() == ([8], [7, 8])


def test_a_worker_that_proposes_without_having_the_entry_is_told_at_once(workers: Workers) -> None:
    workers.publishing.committed([entry(7, 4)], 0.0)
    workers.publishing.proposed(A, 6, None, 0.0)
    assert workers.told() == ([7], [7])


def test_another_worker_s_proposal_changes_nothing_of_that(workers: Workers) -> None:
    workers.publishing.committed([entry(7, 4)], 0.0)
    workers.publishing.proposed(B, 7, None, 0.0)
    assert workers.told() == ([], [7])
    workers.publishing.publish_due(POSTPONED_S)
    assert workers.told() == ([7], [7])


def test_what_was_put_off_is_told_before_what_follows_it(workers: Workers) -> None:
    workers.publishing.committed([entry(7, 4)], 0.0)
    workers.publishing.committed([entry(8, 1, incarnation=5)], 0.0)
    assert workers.told() == ([7, 8], [7, 8])


def test_a_heartbeat_tells_what_was_put_off(workers: Workers) -> None:
    workers.publishing.committed([entry(7, 4)], 0.0)
    workers.publishing.publish((), 0.0)
    assert workers.told() == ([7], [7])


@pytest.mark.parametrize(
    "entries",
    [
        [entry(7, 5)],
        [entry(7, 4, incarnation=5)],
        [entry(7, 1, incarnation=5), entry(8, 4)],
        [entry(7, 4), entry(8, 5)],
    ],
)
def test_other_entries_are_told_at_once(workers: Workers, entries: list[Entry]) -> None:
    workers.publishing.committed(entries, 0.0)
    indexes = [each.index for each in entries]
    assert workers.told() == (indexes, indexes)


def test_a_worker_that_may_have_gone_to_sleep_is_told_at_once(workers: Workers) -> None:
    workers.publishing.committed([entry(7, 4)], LOOKING_S)
    assert workers.told() == ([7], [7])
