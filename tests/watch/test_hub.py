from __future__ import annotations

import itertools
from typing import Any

import msgpack
import pytest

from oarlock.wire.errors import LearnerRefusesError
from oarlock.wire.frames import TOKEN_BYTES
from oarlock.wire.operations import EventType, WatchFlag, prefix_end
from oarlock.workers.watch.groups import FIRST_PROGRESS_S
from oarlock.workers.watch.hub import MAX_PROGRESS_S, WatchHub

PUT, DELETE = int(EventType.PUT), int(EventType.DELETE)


@pytest.fixture
def hub() -> WatchHub:
    numbers = itertools.count(1)
    return WatchHub(lambda: b"topic%11d" % next(numbers))


def token(number: int) -> bytes:
    return b"token%11d" % number


def request(number: int, key: bytes, range_end: bytes = b"", flags: int = 0) -> bytes:
    packed: bytes = msgpack.packb([token(number), key, range_end, flags])
    return packed


def put(key: bytes, revision: int, previous: Any = None) -> Any:
    return (PUT, (key, b"v%d" % revision, revision, revision, 1, 0), previous)


def delete(key: bytes, revision: int) -> Any:
    return (DELETE, (key, b"", 0, revision, 0, 0), (key, b"old", 1, 1, 1, 0))


def read(frame: bytes) -> tuple[bytes, list[Any]]:
    return frame[:TOKEN_BYTES], msgpack.unpackb(frame[TOKEN_BYTES:])


def topic_of(hub: WatchHub, packed: bytes, revision: int) -> bytes:
    subscription = hub.subscribe(packed, revision)
    assert subscription is not None
    _, (code, topic, joined) = read(subscription.answer)
    assert (code, joined) == (0, revision)
    assert subscription.topics[1] == topic
    return bytes(topic)


def test_watchers_of_one_range_share_a_group_and_a_message(hub: WatchHub) -> None:
    first = topic_of(hub, request(1, b"a"), 5)
    assert topic_of(hub, request(2, b"a"), 7) == first
    frames = hub.changes([put(b"a", 8), put(b"b", 9)], 9, 0.0)
    assert [read(frame)[0] for frame in frames] == [first]
    previous, revision, events = read(frames[0])[1]
    assert (previous, revision) == (5, 9)
    assert [event[1][0] for event in events] == [b"a"]
    hub.validate()


def test_each_message_names_the_one_before_it(hub: WatchHub) -> None:
    topic_of(hub, request(1, b"p", prefix_end(b"p")), 3)
    chain = [read(hub.changes([put(b"p1", revision)], revision, 0.0)[0])[1][:2] for revision in (4, 9, 11)]
    assert chain == [[3, 4], [4, 9], [9, 11]]


def test_what_nobody_watches_is_published_to_nobody(hub: WatchHub) -> None:
    topic_of(hub, request(1, b"a"), 3)
    assert hub.changes([put(b"b", 4)], 4, 0.0) == []


@pytest.mark.parametrize(
    ("flags", "kinds"), [(0, [PUT, DELETE]), (WatchFlag.NO_PUT, [DELETE]), (WatchFlag.NO_DELETE, [PUT])]
)
def test_filters_drop_events(hub: WatchHub, flags: int, kinds: list[int]) -> None:
    topic_of(hub, request(1, b"a", flags=int(flags)), 3)
    (frame,) = hub.changes([put(b"a", 4), delete(b"a", 5)], 5, 0.0)
    assert [event[0] for event in read(frame)[1][2]] == kinds


def test_a_batch_that_is_filtered_away_leaves_no_gap_behind(hub: WatchHub) -> None:
    topic_of(hub, request(1, b"a", flags=int(WatchFlag.NO_PUT)), 3)
    assert hub.changes([put(b"a", 4)], 4, 0.0) == []
    (frame,) = hub.changes([delete(b"a", 5)], 5, 0.0)
    assert read(frame)[1][:2] == [3, 5]


def test_the_previous_kv_is_sent_only_where_it_was_asked_for(hub: WatchHub) -> None:
    plain = topic_of(hub, request(1, b"a"), 3)
    topic_of(hub, request(2, b"a", flags=int(WatchFlag.PREV_KV)), 3)
    frames = dict(read(frame) for frame in hub.changes([delete(b"a", 4)], 4, 0.0))
    with_previous = {topic: body[2][0][2] is not None for topic, body in frames.items()}
    assert with_previous.pop(plain) is False
    assert list(with_previous.values()) == [True]


def test_a_group_ends_with_its_last_watcher(hub: WatchHub) -> None:
    topic_of(hub, request(1, b"a"), 3)
    topic_of(hub, request(2, b"a"), 3)
    assert hub.unsubscribe(request(1, b"a")) == (token(1),)
    assert hub.group_count == 1
    hub.unsubscribe(request(2, b"a"))
    assert (hub.group_count, hub.watcher_count) == (0, 0)
    assert hub.unsubscribe(request(2, b"a")) == ()
    hub.validate()


def test_a_repeated_request_counts_once_and_is_answered_again(hub: WatchHub) -> None:
    first = topic_of(hub, request(1, b"a"), 3)
    assert topic_of(hub, request(1, b"a"), 8) == first
    assert hub.watcher_count == 1
    assert topic_of(hub, request(1, b"b"), 9) != first
    assert hub.group_count == 1
    hub.validate()


def test_an_idle_group_gets_progress_ever_more_rarely(hub: WatchHub) -> None:
    topic_of(hub, request(1, b"a"), 3)
    hub.changes([put(b"a", 4)], 4, 0.0)
    told = [second for second in range(1, 3000) if hub.progress(10, float(second))]
    pauses = [later - earlier for earlier, later in itertools.pairwise(told)]
    assert told[0] <= 2 * FIRST_PROGRESS_S + 1
    assert pauses == sorted(pauses)
    assert MAX_PROGRESS_S <= pauses[-1] <= MAX_PROGRESS_S + 1


def test_progress_continues_the_chain(hub: WatchHub) -> None:
    topic_of(hub, request(1, b"a"), 3)
    hub.changes([put(b"a", 4)], 4, 0.0)
    (frame,) = hub.progress(7, 5.0)
    assert read(frame)[1] == [4, 7, []]
    (frame,) = hub.changes([put(b"a", 8)], 8, 6.0)
    assert read(frame)[1][:2] == [7, 8]


@pytest.mark.parametrize(
    ("key", "range_end", "flags"),
    [(b"b", b"a", 0), (b"a", b"a", 0), (b"a", b"", 8), ("a", b"", 0), (b"a", 1, 0), (b"a", b"", True)],
)
def test_a_bad_request_is_refused_to_its_token(hub: WatchHub, key: Any, range_end: Any, flags: Any) -> None:
    subscription = hub.subscribe(msgpack.packb([token(1), key, range_end, flags]), 3)
    assert subscription is not None
    assert subscription.topics == (token(1),)
    assert read(subscription.answer)[1][0] > 0
    assert hub.watcher_count == 0


def test_a_learner_refuses_watches(hub: WatchHub) -> None:
    subscription = hub.subscribe(request(1, b"a"), 3, is_learner=True)
    assert subscription is not None
    assert read(subscription.answer)[1][:2] == [LearnerRefusesError.code, LearnerRefusesError.text]
    assert hub.watcher_count == 0


@pytest.mark.parametrize("garbage", [b"", b"\xc1", b"\x90", msgpack.packb([b"short", b"a", b"", 0]), b"\x80", b"\x01"])
def test_what_has_no_token_is_passed_over(hub: WatchHub, garbage: bytes) -> None:
    assert hub.subscribe(garbage, 3) is None
    assert hub.unsubscribe(garbage) == ()


def test_watchers_hear_soon_that_the_replica_was_replaced_though_nothing_happens(hub: WatchHub) -> None:
    topic_of(hub, request(1, b"a"), 3)
    hub.skipped_to(9, 0.0)
    (frame,) = hub.progress(9, 2.0)
    assert read(frame)[1] == [9, 9, []]


def test_the_progress_of_many_groups_is_spread_over_time() -> None:
    numbers = itertools.count()
    hub = WatchHub(lambda: b"topic%11d" % next(numbers), max_progress_frames=3)
    for number in range(7):
        topic_of(hub, request(number, b"k%d" % number), 3)
    hub.changes([put(b"k%d" % number, 4 + number) for number in range(7)], 10, 0.0)
    told = [len(hub.progress(10, 2.0 + second / 100)) for second in range(4)]
    assert told == [3, 3, 1, 0]
