from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from oarlock.wire import commit_word
from oarlock.wire.commit_word import CommitWord
from oarlock.wire.entries import Entry, EntryKind
from oarlock.workers.commit_stream import CommitStream
from oarlock.workers.own_commit import OwnCommit
from oarlock.workers.proposals import Batch, Proposals

INCARNATION = 99
TERM = 2
ENTRY = Entry(7, TERM, EntryKind.BATCH, INCARNATION, 1, b"put")
REPLIES = [[[1, 5, None]]]


def foresee(entry: Entry) -> list[list[Any]] | None:
    """Knows what one entry is answered."""
    return REPLIES if entry == ENTRY else None


class Worker:
    """Six entries are applied."""

    def __init__(self) -> None:
        self.word: CommitWord = commit_word.private()
        self.stream = CommitStream(6)
        self.proposals = Proposals(lambda: INCARNATION)
        self.own = OwnCommit(self.word, foresee, self.proposals, self.stream)

    def propose(self, *payloads: bytes, requests: int = 1) -> Sequence[Batch]:
        batches = [self.proposals.add(EntryKind.BATCH, payload, requests, (), 0.0, 0.0) for payload in payloads]
        self.own.proposed(batches, TERM)
        return batches


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_an_expected_entry_is_seen_once_when_it_is_committed(worker: Worker) -> None:
    assert worker.own.seen() is None
    worker.propose(b"put")
    assert worker.own.seen() is None
    worker.word.publish_committed(ENTRY)
    assert worker.own.seen() == (ENTRY, REPLIES, True)
    assert worker.own.seen() is None


def test_the_replies_of_many_requests_are_not_foreseen(worker: Worker) -> None:
    worker.propose(b"put", requests=2)
    worker.word.publish_committed(ENTRY)
    assert worker.own.seen() == (ENTRY, None, False)


@pytest.mark.parametrize("changes", [{"incarnation": 98}, {"term": 3}, {"batch": 2}, {"index": 8}])
def test_another_entry_is_not_taken_for_it(worker: Worker, changes: dict[str, int]) -> None:
    worker.propose(b"put")
    worker.word.publish_committed(ENTRY._replace(**changes))
    assert worker.own.seen() is None


def test_an_entry_that_its_message_brought_first_is_not_seen_again(worker: Worker) -> None:
    worker.propose(b"put")
    worker.word.publish_committed(ENTRY)
    worker.stream.arrived(7, [ENTRY])
    assert worker.own.seen() is None


def test_nothing_is_expected_of_one_batch_among_others(worker: Worker) -> None:
    worker.propose(b"put", b"another")
    worker.word.publish_committed(ENTRY)
    assert worker.own.seen() is None
    worker.propose(b"a third")
    worker.word.publish_committed(ENTRY._replace(batch=3))
    assert worker.own.seen() is None
