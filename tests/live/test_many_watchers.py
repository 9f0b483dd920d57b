"""Very many watchers: a change costs those who watch it, not those who do not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from oarlock.wire.frames import TOKEN_BYTES, pack, unpack
from oarlock.wire.operations import EventType, Op, prefix_end
from oarlock.workers.watch.hub import WatchHub

from .raw import RawClient, RawWatcher

WATCHERS = 200_000
LIVE_WATCHERS = 5_000


def put(key: bytes, revision: int) -> Any:
    return int(EventType.PUT), (key, b"", revision, revision, 1, 0), None


def test_a_change_looks_at_those_who_watch_it_only() -> None:
    topics = itertools.count()
    hub = WatchHub(lambda: next(topics).to_bytes(TOKEN_BYTES, "big"))
    for number in range(WATCHERS):
        hub.subscribe(pack([number.to_bytes(TOKEN_BYTES, "big"), b"watched/%d" % number, b"", 0]), 1)
    hub.subscribe(pack([b"p" * TOKEN_BYTES, b"other/", prefix_end(b"other/"), 0]), 1)
    looked_at = {key: len(list(hub._index.matching(key))) for key in (b"unwatched", b"other/key", b"watched/77")}
    assert looked_at == {b"unwatched": 0, b"other/key": 1, b"watched/77": 1}
    assert len(hub.changes([put(b"unwatched", 2)], 2, 0.0)) == 0
    assert len(hub.changes([put(b"other/key", 3)], 3, 0.0)) == 1
    assert len(hub.changes([put(b"watched/77", 4), put(b"watched/78", 5)], 5, 0.0)) == 2


def test_thousands_of_watchers_each_hear_their_key(
    raw: RawClient, raw_watcher: Callable[[], RawWatcher], prefix: bytes
) -> None:
    watcher = raw_watcher()
    keys = {watcher.subscribe(prefix + b"%d" % number): prefix + b"%d" % number for number in range(LIVE_WATCHERS)}
    topics: dict[bytes, bytes] = {}
    while len(topics) < LIVE_WATCHERS:
        frame = watcher.socket.recv()
        if (token := frame[:TOKEN_BYTES]) in keys:
            code, topic, _ = unpack(frame[TOKEN_BYTES:])
            assert code == 0
            topics[topic] = keys[token]
    raw.ask_one(int(Op.PUT), prefix + b"unwatched", b"")
    for key in keys.values():
        raw.send([raw.client_id, 1, 0, 20_000, [[int(key.rsplit(b"/", 1)[1]) + 1000, int(Op.PUT), key, b""]]])
    heard: list[bytes] = []
    while len(heard) < LIVE_WATCHERS:
        frame = watcher.socket.recv()
        for event in unpack(frame[TOKEN_BYTES:])[2]:
            assert event[1][0] == topics[frame[:TOKEN_BYTES]]
            heard.append(event[1][0])
    assert sorted(heard) == sorted(keys.values())
