from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oarlock.gateway.services.follower import Follower
from oarlock.wire.errors import StoppedError
from oarlock.wire.operations import Event, Op, WatchFlag
from tests.gateway.store_backend import StoreBackend


class Reader:
    """Follows ``k`` in a store of its own, and remembers what it was handed."""

    def __init__(self, directory: Path) -> None:
        self.backend = StoreBackend(directory)
        self.taken: list[int] = []
        self.lost: list[Any] = []
        self.follower: Follower | None = None

    def follow(self, start_revision: int, flags: int = 0) -> Follower:
        self.follower = Follower(self.backend, b"k", b"", flags, start_revision, self.take, self.lost.append)
        return self.follower

    def take(self, revision: int, event: Event) -> None:
        assert event[1][0] == b"k"
        assert revision >= event[1][3]
        self.taken.append(event[1][3])

    def put(self, key: bytes = b"k") -> int:
        self.backend.run(Op.PUT, key, b"")
        return self.backend.revision


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path / "replica")
    yield made
    made.backend.close()


def test_the_past_comes_before_what_happens(reader: Reader) -> None:
    past = [reader.put(), reader.put()]
    reader.follow(past[0]).start()
    live = reader.put()  # while the past is asked for
    reader.backend.settle()
    assert reader.taken == [*past, live]


def test_without_a_past_nothing_is_asked_for(reader: Reader) -> None:
    reader.put()
    reader.follow(reader.backend.revision + 1).start()
    revision = reader.put()
    assert reader.taken == [revision]
    assert reader.backend.asked == []


def test_only_what_is_wanted_is_handed_over(reader: Reader) -> None:
    reader.put()
    reader.follow(1, WatchFlag.NO_PUT).start()
    reader.backend.settle()
    reader.put(b"other")
    reader.backend.run(Op.DELETE, b"k")
    assert reader.taken == [reader.backend.revision]


def test_whoever_takes_may_close_it(reader: Reader) -> None:
    reader.put()
    reader.put()

    def take_one(revision: int, event: Event) -> None:
        reader.take(revision, event)
        follower.close()
        follower.close()

    follower = Follower(reader.backend, b"k", b"", 0, 2, take_one, reader.lost.append)
    follower.start()
    reader.backend.settle()
    reader.put()
    assert reader.taken == [2]
    assert reader.backend.hub.group_count == 0


def test_a_history_that_is_not_to_be_had_ends_it(reader: Reader) -> None:
    reader.put()
    reader.backend.failures[Op.WATCH_HISTORY] = [StoppedError()]
    reader.follow(1).start()
    reader.backend.settle()
    reader.put()
    assert [item[2] for item in reader.lost] == [StoppedError.text]
    assert (reader.taken, reader.backend.hub.group_count) == ([], 0)


def test_an_answer_after_the_end_is_for_nobody(reader: Reader) -> None:
    reader.put()
    follower = reader.follow(1)
    follower.start()
    follower.close()
    reader.backend.settle()
    assert reader.taken == []


@given(st.lists(st.sampled_from(["put", "delete", "other", "step", "pause", "resume", "skip"]), max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_event_once_and_in_order(tmp_path_factory: pytest.TempPathFactory, moves: list[str]) -> None:
    reader = Reader(tmp_path_factory.mktemp("follower") / "replica")
    backend = reader.backend
    reader.put()
    follower = reader.follow(1)
    follower.start()
    for move in moves:
        if move == "put":
            reader.put()
        elif move == "delete":
            backend.run(Op.DELETE, b"k")
        elif move == "other":
            reader.put(b"other")
        elif move == "step":
            backend.step()
        elif move == "pause":
            follower.pause()
        elif move == "resume":
            follower.resume()
        else:  # the replica is replaced by one that is further on
            backend.store.write([Op.PUT, b"k", b""])
            backend.hub.skipped_to(backend.revision, 0.0)
    follower.resume()
    backend.settle()
    events = backend.run(Op.WATCH_HISTORY, b"k", 0, b"", 1, 0, 1 << 20)[0]
    assert reader.taken == [event[1][3] for event in events]
    assert reader.lost == []
    backend.close()
