"""Watch streams of one connection whose client does not read, over the real HTTP/2: memory is bounded, nothing is
lost."""

from __future__ import annotations

import pytest

from oarlock.gateway.grpc.messages import MessageReader, framed
from oarlock.gateway.http2.frames import WINDOW_UPDATE, frame
from oarlock.gateway.http2.limits import Limits
from oarlock.gateway.proto.rpc_pb2 import WatchRequest, WatchResponse
from oarlock.gateway.services import watch
from oarlock.gateway.services.watch_limits import WatchLimits
from oarlock.workers.grpc_peer import CROWDED_PART
from tests.gateway.watch_store import Store
from tests.gateway.wire import GREETING, GRPC, Client, data, reset_codes, u32
from tests.workers.grpc_door import connect, grpc_door

STREAMS = 40
VALUE = b"x" * 1000
QUEUE_BYTES, CROWDED_BYTES = 20_000, 400_000


class Reader:
    """A client with ``STREAMS`` watches of one key, each on a stream of its own."""

    def __init__(self, store: Store) -> None:
        limits = WatchLimits(queue_bytes=QUEUE_BYTES, pull_bytes=QUEUE_BYTES)
        door = grpc_door(watch.methods(store, limits=limits))
        door.limits = Limits(queued_bytes=CROWDED_BYTES * CROWDED_PART)
        self.counts = door.counts
        self.peer, self._transport = connect(door)
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
        output, self._transport.output = self._transport.output, b""
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
def store() -> Store:
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
    assert not reader.counts.by_path["/etcdserverpb.Watch/Watch"].ended


def test_the_end_of_the_connection_ends_all_watches(store: Store) -> None:
    reader = Reader(store)
    store.put(b"a", VALUE * 100)
    reader.peer.connection_lost(None)
    assert store.hub.watcher_count == 0
