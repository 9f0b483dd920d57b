"""Random histories, watches, compactions, slow readers and replaced replicas: every watch gets just what it is owed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.gateway.proto.rpc_pb2 import WatchRequest, WatchResponse
from oarlock.gateway.services.watch_limits import WatchLimits
from oarlock.wire.operations import FROM_KEY, WatchFlag
from oarlock.workers.watch.gathering import LARGE_GROUP

from .watch_store import PUT, Reader, Store, is_wanted

RANGES = [(b"a", b""), (b"b", b""), (b"a", b"c"), (b"b", FROM_KEY), (b"", FROM_KEY)]
QUEUE_BYTES, PULL_BYTES = 300, 200

changed = st.lists(
    st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.sampled_from([b"1", b"long" * 20, None])),
    min_size=1,
    max_size=3,
    unique_by=lambda change: change[0],
)
drains = st.lists(changed, min_size=1, max_size=4)
streams = st.integers(0, 1)
steps = st.one_of(
    st.tuples(st.just("commit"), drains),
    st.tuples(st.just("commit"), drains),
    st.tuples(st.just("miss"), drains),
    st.tuples(
        st.just("create"),
        streams,
        st.sampled_from(RANGES),
        st.integers(-6, 4),  # the start, counted from the revision of the moment; -6 for now
        st.sets(st.sampled_from([0, 1])),
        st.booleans(),
        st.integers(0, 3),
    ),
    st.tuples(st.just("cancel"), streams, st.integers(0, 3)),
    st.tuples(st.just("compact"), st.integers(0, 3)),
    st.tuples(st.just("answer"), st.integers(1, 3)),
    st.tuples(st.just("stop_reading"), streams),
    st.tuples(st.just("read_again"), streams),
    st.tuples(st.just("ask_progress"), streams),
    st.tuples(st.just("pause")),
)


@dataclass
class Expected:
    """A watch as its client knows it."""

    start: int
    key: bytes
    range_end: bytes
    flags: int
    events: list[Any] = field(default_factory=list)
    is_live: bool = True

    def owed(self, store: Store, until: int) -> list[Any]:
        prev_kv = bool(self.flags & WatchFlag.PREV_KV)
        return [
            (kind, kv[0], kv[1], kv[3], before[1] if before and prev_kv else None)
            for kind, kv, before in store.events
            if self.start <= kv[3] <= until and is_wanted((kind, kv), self.key or b"\0", self.range_end, self.flags)
        ]


class Client:
    """One stream, and what it must see on it."""

    def __init__(self, store: Store, beside: Client | None = None) -> None:
        self.store = store
        limits = WatchLimits(queue_bytes=QUEUE_BYTES, pull_bytes=PULL_BYTES)
        self.reader = Reader(store, beside.reader if beside else None, progress_interval_s=10.0, limits=limits).open()
        self.asked: list[tuple[int, Expected]] = []
        self.watches: dict[int, Expected] = {}
        self.ended: list[Expected] = []

    def create(self, bounds: Any, offset: int, filters: set[int], prev_kv: bool, watch_id: int) -> None:
        start = 0 if offset == -6 else max(1, self.store.revision + offset)
        flags = sum((WatchFlag.NO_PUT, WatchFlag.NO_DELETE)[kind] for kind in filters) | prev_kv
        expected = Expected(start or self.store.revision + 1, *bounds, flags)
        self.asked.append((watch_id, expected))
        request = {
            "key": bounds[0],
            "range_end": bounds[1],
            "start_revision": start,
            "filters": filters,
            "prev_kv": prev_kv,
            "watch_id": watch_id,
            "progress_notify": True,
        }
        self.reader.ask(WatchRequest(create_request=request).SerializeToString())  # type: ignore[arg-type]

    def cancel(self, watch_id: int) -> None:
        self.reader.ask(WatchRequest(cancel_request={"watch_id": watch_id}).SerializeToString())

    def read(self) -> None:
        for response in self.reader.take():
            self.see(response)

    def see(self, response: WatchResponse) -> None:
        watch_id, revision = response.watch_id, response.header.revision
        if response.created:
            wanted_id, expected = self.asked.pop(0)
            if response.canceled:
                assert watch_id == -1
                assert wanted_id in self.watches
            else:
                assert watch_id == wanted_id or not wanted_id
                assert watch_id not in self.watches
                self.watches[watch_id] = expected
        elif response.canceled:
            self.end(self.watches.pop(watch_id), response)
        elif response.events:
            self.take_events(self.watches[watch_id], response)
        elif watch_id == -1:
            for expected in self.watches.values():
                assert expected.events == expected.owed(self.store, revision)
        else:
            expected = self.watches[watch_id]
            assert expected.events == expected.owed(self.store, revision)

    def end(self, expected: Expected, response: WatchResponse) -> None:
        expected.is_live = False
        if response.compact_revision:
            assert response.header.revision == 0
            assert response.compact_revision <= self.store.compact_revision
            assert max(expected.start, *(event[3] + 1 for event in expected.events), 0) <= response.compact_revision
        self.ended.append(expected)

    def take_events(self, expected: Expected, response: WatchResponse) -> None:
        events = [
            (
                event.type,
                event.kv.key,
                event.kv.value,
                event.kv.mod_revision,
                event.prev_kv.value if event.HasField("prev_kv") else None,
            )
            for event in response.events
        ]
        assert response.header.revision >= events[-1][3]
        if expected.events:
            assert events[0][3] > expected.events[-1][3]  # no revision in two responses
        expected.events += events

    def check(self) -> None:
        for expected in self.ended:
            owed = expected.owed(self.store, self.store.revision)
            assert expected.events == owed[: len(expected.events)]
        for expected in self.watches.values():
            assert expected.events == expected.owed(self.store, self.store.revision)


def take_step(store: Store, clients: list[Client], name: str, arguments: tuple[Any, ...]) -> None:
    if name in ("commit", "miss"):
        getattr(store, name)(*arguments[0])
    elif name == "compact":
        store.compact_revision = max(store.compact_revision, store.revision - arguments[0])
    elif name == "answer":
        store.answer(*arguments)
    elif name == "pause":
        store.pass_time(1e-3)
    else:
        client = clients[arguments[0]]
        if name in ("create", "cancel"):
            getattr(client, name)(*arguments[1:])
        elif name == "ask_progress":
            client.reader.ask(WatchRequest(progress_request={}).SerializeToString())
        elif name == "read_again":
            client.read()
            client.reader.read_again()
        elif client.reader.reads:
            client.read()
            client.reader.stop_reading()


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=60), st.sampled_from([LARGE_GROUP, 1, 2]))
def test_every_watch_gets_each_event_once_in_order_and_none_is_missing(
    script: list[tuple[Any, ...]], large_group: int
) -> None:
    store = Store(revision=5, large_group=large_group)
    first = Client(store)
    clients = [first, Client(store, beside=first)]
    for name, *arguments in script:
        take_step(store, clients, name, tuple(arguments))
        for client in clients:
            if client.reader.reads:
                client.read()
    for client in clients:
        client.read()
        client.reader.read_again()
    store.pass_time(1.0)
    store.answer()
    store.commit([(b"a", b"last"), (b"b", b"last")])
    store.pass_time(30.0)
    for client in clients:
        client.read()
        client.check()
        assert client.reader.status is None
    store.hub.validate()
    for client in clients:
        client.reader.cancel()
    assert (store.hub.watcher_count, store.timers) == (0, 0)


def test_the_events_of_a_put_are_those_of_a_put() -> None:
    """The model's own ground: without it, all that is above could compare nothing with nothing."""
    store = Store(revision=5)
    client = Client(store)
    client.create((b"a", b""), -6, set(), True, 0)
    store.commit([(b"a", b"1")], [(b"a", b"2")])
    client.read()
    assert client.watches[0].events == [(PUT, b"a", b"1", 6, None), (PUT, b"a", b"2", 7, b"1")]
