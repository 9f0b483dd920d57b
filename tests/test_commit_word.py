"""The word by which workers learn what is committed."""

from __future__ import annotations

import os

import pytest

from oarlock.wire import commit_word
from oarlock.wire.commit_word import ASK, COMMIT_WORD_FD, CommitWord, mark_of
from oarlock.wire.entries import Entry, EntryKind


def hand_over(monkeypatch: pytest.MonkeyPatch, descriptor: int, *, writable: bool) -> CommitWord:
    """The word as another process would inherit it."""
    monkeypatch.setenv(COMMIT_WORD_FD, str(os.dup(descriptor)))
    return commit_word.inherited(writable=writable)


def test_who_looks_sees_what_was_published_last(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = commit_word.create()
    assert descriptor is not None
    coordinator = hand_over(monkeypatch, descriptor, writable=True)
    workers = [hand_over(monkeypatch, descriptor, writable=False) for _ in range(2)]
    os.close(descriptor)  # the mappings keep the memory
    for index in (ASK, 7, (1 << 64) - 1, ASK):
        coordinator.publish(index)
        assert [worker.look() for worker in workers] == [index, index]


def test_the_mark_that_is_looked_for_is_that_of_the_entry_published_last(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = commit_word.create()
    assert descriptor is not None
    coordinator = hand_over(monkeypatch, descriptor, writable=True)
    worker = hand_over(monkeypatch, descriptor, writable=False)
    os.close(descriptor)
    entry = Entry(7, 2, EntryKind.BATCH, (1 << 63) - 1, 3, b"payload")
    others = [entry._replace(**{field: 1}) for field in ("index", "term", "incarnation", "batch")]
    assert not worker.look_for(mark_of(entry))
    coordinator.publish_committed(entry)
    assert worker.look_for(mark_of(entry))
    assert not any(worker.look_for(mark_of(other)) for other in others)
    coordinator.publish_committed(others[0])
    assert not worker.look_for(mark_of(entry))
    assert worker.look() == ASK


def test_a_worker_cannot_publish(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = commit_word.create()
    assert descriptor is not None
    worker = hand_over(monkeypatch, descriptor, writable=False)
    os.close(descriptor)
    with pytest.raises(TypeError):
        worker.publish(7)
    assert worker.look() == ASK


@pytest.mark.parametrize("text", [None, ""])
def test_without_shared_memory_every_read_asks(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    monkeypatch.delenv(COMMIT_WORD_FD, raising=False)
    if text is not None:
        monkeypatch.setenv(COMMIT_WORD_FD, text)
    coordinator, worker = commit_word.inherited(writable=True), commit_word.inherited(writable=False)
    coordinator.publish(7)
    assert worker.look() == ASK
