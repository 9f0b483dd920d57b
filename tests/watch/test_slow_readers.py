"""Watch streams of one connection whose client does not read, over the real HTTP/2: memory is bounded, nothing is
lost."""

from __future__ import annotations

from typing import Any

import pytest

from oarlock.gateway.grpc.connection import DEFAULT_MESSAGE_LIMITS
from oarlock.gateway.grpc.messages import MessageReader, framed
from oarlock.gateway.grpc.requests import methods_by_path
from oarlock.gateway.http2.frames import WINDOW_UPDATE, frame
from oarlock.gateway.http2.keepalive import KeepalivePolicy
from oarlock.gateway.http2.limits import DEFAULT_LIMITS
from oarlock.gateway.proto.rpc_pb2 import WatchRequest, WatchResponse
from oarlock.gateway.service import Exchange
from oarlock.gateway.services import watch, watcher
from oarlock.workers import grpc_peer
from oarlock.workers.grpc_counts import GrpcCounts
from oarlock.workers.grpc_peer import GrpcPeer
from tests.gateway.watch_store import Store
from tests.gateway.wire import GREETING, GRPC, Client, data, reset_codes, u32

STREAMS = 40
VALUE = b"x" * 1000
QUEUE_BYTES, CROWDED_BYTES = 20_000, 400_000


class Never:
    """A timer that does not ring: what is tested here needs no time."""

    def cancel(self) -> None:
        pass


class Door:
    """Who owns the connection, and the transport under it."""

    limits = DEFAULT_LIMITS
    message_limits = DEFAULT_MESSAGE_LIMITS
    keepalive = KeepalivePolicy(interval_s=0.0)

    def __init__(self, store: Store) -> None:
        self.methods = methods_by_path(*watch.methods(store))
        self.output = b""
        self.counts = GrpcCounts(self.methods)

    def mark(self, peer: GrpcPeer) -> None:
        pass

    def put_off(self, peer: GrpcPeer) -> None:
        pass

    def call_later(self, delay_s: float, callback: object) -> Never:
        return Never()

    def call(self, call: Any, exchange: Exchange, message: bytes | None) -> None:
        call.method.handler(exchange)

    def write(self, output: bytes) -> None:
        self.output += output

    def is_closing(self) -> bool:
        return False


class Reader:
    """A client with ``STREAMS`` watches of one key, each on a stream of its own."""

    def __init__(self, store: Store) -> None:
        self.door = Door(store)
        self.peer = GrpcPeer(self.door, self.door)  # type: ignore[arg-type]
        self.ids = range(1, 2 * STREAMS, 2)
        self._client = Client()
        fields = [(name, "/etcdserverpb.Watch/Watch" if name == ":path" else value) for name, value in GRPC]
        create = framed(WatchRequest(create_request={"key": b"a"}).SerializeToString())
        self.peer.data_received(GREETING)
        for stream_id in self.ids:
            self.peer.data_received(self._client.headers(stream_id, fields) + data(stream_id, create))
        self.read()

    def read(self) -> None:
        self.peer.flush()
        output, self.door.output = self.door.output, b""
        assert reset_codes(self._client.read(output)) == {}

    def widen(self, increment: int) -> None:
        """Lets so much more come on each stream, and as much on all together as they want."""
        wider = b"".join(frame(WINDOW_UPDATE, 0, stream_id, u32(increment)) for stream_id in self.ids)
        self.peer.data_received(frame(WINDOW_UPDATE, 0, 0, u32(increment * STREAMS)) + wider)
        self.read()

    @property
    def waiting_bytes(self) -> int:
        return self.peer.connection.queued_bytes_of_all

    def revisions(self, stream_id: int) -> list[int]:
        messages = MessageReader(1 << 30, is_gzipped=False).feed(self._client.bodies.get(stream_id, b""))
        responses = map(WatchResponse.FromString, messages)
        return [event.kv.mod_revision for response in responses for event in response.events]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(watcher, "QUEUE_BYTES", QUEUE_BYTES)
    monkeypatch.setattr(watcher, "PULL_BYTES", QUEUE_BYTES)
    monkeypatch.setattr(grpc_peer, "CROWDED_BYTES", CROWDED_BYTES)
    return Store()


def catch_up(store: Store, reader: Reader, expected: list[int]) -> None:
    for _ in range(1000):
        if all(reader.revisions(stream_id) == expected for stream_id in reader.ids):
            return
        reader.widen(10_000)
        store.answer()
        store.pass_time(1.0)
        reader.read()
    raise AssertionError("not everything has come")


@pytest.mark.parametrize("drains", [1, 10])
def test_what_waits_is_bounded_for_each_stream_and_for_all_and_everything_comes_in_the_end(
    store: Store, drains: int
) -> None:
    reader = Reader(store)
    for _ in range(drains * 10):
        store.commit(*([(b"a", VALUE)] for _ in range(10 // drains)))
        reader.read()
        assert reader.waiting_bytes <= CROWDED_BYTES + 10 * (len(VALUE) + 100)
    assert store.asked == []
    expected = [event[1][3] for event in store.events]
    assert len(expected) == 100
    catch_up(store, reader, expected)
    store.put(b"a")
    catch_up(store, reader, [*expected, store.revision])
    assert not reader.door.counts.by_path["/etcdserverpb.Watch/Watch"].ended


def test_the_end_of_the_connection_ends_all_watches(store: Store) -> None:
    reader = Reader(store)
    store.put(b"a", VALUE * 100)
    reader.door.forget = lambda peer: None  # type: ignore[attr-defined]
    reader.peer.connection_lost(None)
    assert store.hub.watcher_count == 0
