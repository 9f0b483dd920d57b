"""Watchers in the worker's own process, beside those over the socket."""

from __future__ import annotations

import itertools
from typing import Any

import msgpack
import pytest

from oarlock.gateway.service import LiveBatch
from oarlock.wire.errors import OverloadedError, WatcherRangeEmptyError
from oarlock.wire.frames import TOKEN_BYTES
from oarlock.wire.operations import FROM_KEY, EventType, WatchFlag, prefix_end
from oarlock.workers.watch.hub import WatchHub


@pytest.fixture
def hub() -> WatchHub:
    numbers = itertools.count(1)
    return WatchHub(lambda: b"topic%11d" % next(numbers))


def put(key: bytes, revision: int) -> Any:
    return (int(EventType.PUT), (key, b"v", revision, revision, 1, 0), None)


def delete(key: bytes, revision: int) -> Any:
    return (int(EventType.DELETE), (key, b"", 0, revision, 0, 0), (key, b"old", 1, 1, 1, 0))


def over_the_socket(hub: WatchHub, key: bytes) -> None:
    assert hub.subscribe(msgpack.packb([b"t" * TOKEN_BYTES, key, b"", 0]), 3) is not None


def chain(batches: list[LiveBatch]) -> list[tuple[int, int]]:
    return [(batch.previous_revision, batch.revision) for batch in batches]


def test_all_watchers_of_a_group_get_the_same_batch_and_nothing_is_packed(hub: WatchHub) -> None:
    first: list[LiveBatch] = []
    second: list[LiveBatch] = []
    for batches in (first, second):
        assert hub.subscribe_local(b"a", b"", 0, 5, batches.append).revision == 5
    assert hub.changes([put(b"a", 6), put(b"b", 7), put(b"a", 8)], 8, 0.0) == []
    assert chain(first) == [(5, 8)]
    assert [event[1][3] for event in first[0].events] == [6, 8]
    assert first[0] is second[0]
    hub.validate()


def test_watchers_of_both_kinds_share_a_group(hub: WatchHub) -> None:
    batches: list[LiveBatch] = []
    hub.subscribe_local(b"a", b"", 0, 3, batches.append)
    over_the_socket(hub, b"a")
    assert (hub.group_count, hub.watcher_count) == (1, 2)
    (frame,) = hub.changes([put(b"a", 4)], 4, 0.0)
    assert msgpack.unpackb(frame[TOKEN_BYTES:])[:2] == [3, 4]
    assert chain(batches) == [(3, 4)]
    hub.validate()


def test_flags_and_ranges_hold_for_them_too(hub: WatchHub) -> None:
    deletions: list[LiveBatch] = []
    everything: list[LiveBatch] = []
    hub.subscribe_local(b"a", prefix_end(b"a"), int(WatchFlag.NO_PUT | WatchFlag.PREV_KV), 3, deletions.append)
    hub.subscribe_local(b"", FROM_KEY, 0, 3, everything.append)
    hub.changes([put(b"a1", 4)], 4, 0.0)
    hub.changes([delete(b"a1", 5), put(b"b", 6)], 6, 0.0)
    assert chain(deletions) == [(3, 6)]
    assert deletions[0].events == [delete(b"a1", 5)]
    assert [[event[2] for event in batch.events] for batch in everything] == [[None], [None, None]]


def test_a_group_ends_when_the_last_of_both_kinds_is_gone(hub: WatchHub) -> None:
    subscription = hub.subscribe_local(b"a", b"", 0, 3, lambda batch: None)
    over_the_socket(hub, b"a")
    hub.unsubscribe(msgpack.packb([b"t" * TOKEN_BYTES, b"a", b"", 0]))
    assert hub.group_count == 1
    subscription.close()
    subscription.close()
    assert (hub.group_count, hub.watcher_count) == (0, 0)
    hub.validate()


def test_who_leaves_during_a_delivery_is_told_nothing_more(hub: WatchHub) -> None:
    told: list[str] = []
    subscriptions: dict[str, Any] = {}

    def end_the_other(batch: LiveBatch) -> None:
        told.append("first")
        subscriptions["second"].close()
        subscriptions["first"].close()

    subscriptions["first"] = hub.subscribe_local(b"a", b"", 0, 3, end_the_other)
    subscriptions["second"] = hub.subscribe_local(b"a", b"", 0, 3, lambda batch: told.append("second"))
    hub.changes([put(b"a", 4)], 4, 0.0)
    assert (told, hub.watcher_count) == (["first"], 0)
    hub.validate()


def test_who_comes_during_a_delivery_hears_of_what_is_later(hub: WatchHub) -> None:
    late: list[LiveBatch] = []
    once = itertools.count()

    def bring_another(batch: LiveBatch) -> None:
        if not next(once):
            hub.subscribe_local(b"b", b"", 0, batch.revision, late.append)

    hub.subscribe_local(b"a", b"", 0, 3, bring_another)
    hub.subscribe_local(b"b", b"", 0, 3, lambda batch: None)
    hub.changes([put(b"a", 4), put(b"b", 5)], 5, 0.0)
    assert late == []
    hub.changes([put(b"b", 6)], 6, 0.0)
    assert chain(late) == [(5, 6)]
    hub.validate()


def test_one_that_fails_costs_no_other_its_batch(hub: WatchHub) -> None:
    def fail(batch: LiveBatch) -> None:
        raise RuntimeError("boom")

    batches: list[LiveBatch] = []
    hub.subscribe_local(b"a", b"", 0, 3, fail)
    hub.subscribe_local(b"a", b"", 0, 3, batches.append)
    hub.changes([put(b"a", 4)], 4, 0.0)
    assert chain(batches) == [(3, 4)]


def test_a_replaced_replica_shows_as_a_gap_at_once(hub: WatchHub) -> None:
    batches: list[LiveBatch] = []
    hub.subscribe_local(b"a", b"", 0, 3, batches.append)
    hub.skipped_to(9, 0.0)
    assert chain(batches) == [(9, 9)]
    hub.changes([put(b"a", 10)], 10, 0.0)
    assert chain(batches) == [(9, 9), (9, 10)]


def test_groups_without_watchers_over_the_socket_get_no_progress_frames(hub: WatchHub) -> None:
    hub.subscribe_local(b"a", b"", 0, 3, lambda batch: None)
    hub.changes([put(b"a", 4)], 4, 0.0)
    hub.skipped_to(9, 0.0)
    assert hub.progress(9, 1000.0) == []


def test_an_empty_range_and_one_watcher_too_many_are_refused() -> None:
    hub = WatchHub(lambda: bytes(TOKEN_BYTES), max_watchers=1)
    with pytest.raises(WatcherRangeEmptyError):
        hub.subscribe_local(b"b", b"a", 0, 3, lambda batch: None)
    hub.subscribe_local(b"a", b"", 0, 3, lambda batch: None)
    with pytest.raises(OverloadedError):
        hub.subscribe_local(b"a", b"", 0, 3, lambda batch: None)
    hub.validate()
