"""What a large group of watchers in this process is told, and when."""

from __future__ import annotations

import itertools
from typing import Any

import msgpack
import pytest

from oarlock.gateway.service import LiveBatch
from oarlock.wire.frames import TOKEN_BYTES
from oarlock.wire.operations import EventType
from oarlock.workers.watch.gathering import MOST_GATHERED_BYTES, MOST_PAUSE_S, PAUSE_A_WATCHER_S
from oarlock.workers.watch.hub import WatchHub

LARGE = 4
PAUSE_S = LARGE * PAUSE_A_WATCHER_S
NOW_S = 100.0


@pytest.fixture
def hub() -> WatchHub:
    numbers = itertools.count(1)
    return WatchHub(lambda: b"topic%11d" % next(numbers), large_group=LARGE)


@pytest.fixture
def batches(hub: WatchHub) -> list[LiveBatch]:
    """What one of a large group is told."""
    told: list[LiveBatch] = []
    hub.subscribe_local(b"a", b"", 0, 3, told.append)
    for _ in range(LARGE - 1):
        hub.subscribe_local(b"a", b"", 0, 3, lambda batch: None)
    return told


def put(revision: int, value: bytes = b"v") -> Any:
    return (int(EventType.PUT), (b"a", value, revision, revision, 1, 0), None)


def commit(hub: WatchHub, *revisions: int, now_s: float = NOW_S, value: bytes = b"v") -> None:
    hub.changes([put(revision, value) for revision in revisions], revisions[-1], now_s)
    hub.validate()


def revisions(batches: list[LiveBatch]) -> list[list[int]]:
    return [[event[1][3] for event in batch.events] for batch in batches]


def test_what_comes_alone_is_told_at_once(hub: WatchHub, batches: list[LiveBatch]) -> None:
    commit(hub, 4)
    commit(hub, 5, 6, now_s=NOW_S + PAUSE_S)
    assert revisions(batches) == [[4], [5, 6]]
    assert not any(batch.is_gathered for batch in batches)
    assert hub.hand_out_due_s is None


def test_what_follows_is_told_together_at_the_end_of_the_pause(hub: WatchHub, batches: list[LiveBatch]) -> None:
    commit(hub, 4)
    commit(hub, 5)
    commit(hub, 6, 7, now_s=NOW_S + PAUSE_S / 2)
    assert hub.hand_out_due_s == NOW_S + PAUSE_S
    hub.hand_out_due(NOW_S + PAUSE_S / 2)
    assert revisions(batches) == [[4]]
    hub.hand_out_due(NOW_S + PAUSE_S)
    assert revisions(batches) == [[4], [5, 6, 7]]
    assert batches[1].is_gathered
    assert [(batch.previous_revision, batch.revision) for batch in batches] == [(3, 4), (4, 7)]
    commit(hub, 8, now_s=NOW_S + PAUSE_S)
    assert hub.hand_out_due_s == NOW_S + 2 * PAUSE_S


def test_a_small_group_has_no_pause(hub: WatchHub) -> None:
    told: list[LiveBatch] = []
    for _ in range(LARGE - 1):
        hub.subscribe_local(b"a", b"", 0, 3, told.append)
    commit(hub, 4)
    commit(hub, 5)
    assert revisions(told[:: LARGE - 1]) == [[4], [5]]


def test_a_pause_has_a_bound(hub: WatchHub) -> None:
    for _ in range(int(MOST_PAUSE_S / PAUSE_A_WATCHER_S) + 1_000):
        hub.subscribe_local(b"a", b"", 0, 3, lambda batch: None)
    commit(hub, 4)
    commit(hub, 5)
    assert hub.hand_out_due_s == NOW_S + MOST_PAUSE_S


def test_what_is_gathered_has_a_bound(hub: WatchHub, batches: list[LiveBatch]) -> None:
    half = b"v" * (MOST_GATHERED_BYTES // 2)
    commit(hub, 4)
    commit(hub, 5, value=half)
    commit(hub, 6, value=half)
    assert revisions(batches) == [[4], [5]]
    commit(hub, 7, value=half * 2)
    assert revisions(batches) == [[4], [5], [6], [7]]
    assert hub.hand_out_due_s is None


def test_all_is_told_before_it_is_said_that_nothing_is_missing(hub: WatchHub, batches: list[LiveBatch]) -> None:
    commit(hub, 4)
    commit(hub, 5)
    hub.catch_up(NOW_S)
    assert revisions(batches) == [[4], [5]]
    assert hub.hand_out_due_s is None


def test_a_replaced_replica_is_told_of_behind_what_was_gathered(hub: WatchHub, batches: list[LiveBatch]) -> None:
    commit(hub, 4)
    commit(hub, 5)
    hub.skipped_to(9, NOW_S)
    assert [(batch.previous_revision, batch.revision) for batch in batches] == [(3, 4), (4, 5), (9, 9)]


def test_who_comes_in_a_pause_finds_no_gap_behind_it(hub: WatchHub, batches: list[LiveBatch]) -> None:
    late: list[LiveBatch] = []
    commit(hub, 4)
    commit(hub, 5)
    hub.subscribe_local(b"a", b"", 0, 5, late.append)
    hub.hand_out_due(NOW_S + PAUSE_S)
    assert all(batch.previous_revision < 6 for batch in late)


def test_watchers_over_the_socket_wait_for_nobody(hub: WatchHub, batches: list[LiveBatch]) -> None:
    assert hub.subscribe(msgpack.packb([b"t" * TOKEN_BYTES, b"a", b"", 0]), 3) is not None
    frames = [hub.changes([put(revision)], revision, NOW_S) for revision in (4, 5, 6)]
    assert [msgpack.unpackb(frame[TOKEN_BYTES:])[:2] for (frame,) in frames] == [[3, 4], [4, 5], [5, 6]]


def test_a_group_that_ends_in_a_pause_costs_nobody_anything(hub: WatchHub) -> None:
    places = [hub.subscribe_local(b"a", b"", 0, 3, lambda batch: None) for _ in range(LARGE)]
    commit(hub, 4)
    commit(hub, 5)
    for place in places:
        place.close()
    hub.hand_out_due(NOW_S + PAUSE_S)
    hub.validate()
    assert (hub.group_count, hub.hand_out_due_s) == (0, None)
