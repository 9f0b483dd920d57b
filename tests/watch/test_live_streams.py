"""etcd's watch streams on a live server: from a write at one connection to the events at another."""

from __future__ import annotations

import itertools
import os
import queue
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from oarlock.gateway.proto.rpc_pb2 import PutRequest, WatchRequest, WatchResponse
from oarlock.gateway.services.watch_limits import WatchLimits
from tests.etcd_door.calls import Door, door_of
from tests.server import Server

TIMEOUT_S = 60.0
WINDOW_BYTES = 64 << 10

_numbers = itertools.count()


class Stream:
    """A stream of watches; nothing is read but what the test asks for.

    The client's window is kept small, so that what it does not read waits at the server.
    """

    def __init__(self, endpoint: str) -> None:
        options = [
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
            ("grpc.max_receive_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        self._channel = grpc.insecure_channel(endpoint, options=options)
        self._requests: queue.SimpleQueue[WatchRequest | None] = queue.SimpleQueue()
        method = self._channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=WatchRequest.SerializeToString,
            response_deserializer=WatchResponse.FromString,
        )
        self._call = method(iter(self._requests.get, None), timeout=TIMEOUT_S)

    def ask(self, **fields: Any) -> None:
        self._requests.put(WatchRequest(**fields))

    def create(self, key: bytes, **fields: Any) -> WatchResponse:
        self.ask(create_request={"key": key, **fields})
        created = next(self._call)
        assert created.created
        return created

    def responses(self) -> Iterator[WatchResponse]:
        yield from self._call

    def revisions(self, count: int) -> list[int]:
        """Of the next ``count`` events."""
        events = (event.kv.mod_revision for response in self._call for event in response.events)
        return list(itertools.islice(events, count))

    def half_close(self) -> None:
        self._requests.put(None)

    def close(self) -> None:
        self._call.cancel()
        self._requests.put(None)
        self._channel.close()


@pytest.fixture
def door(shared_server: Server) -> Iterator[Door]:
    with door_of(shared_server.client_endpoint) as calls:
        yield calls


@pytest.fixture
def stream(shared_server: Server) -> Iterator[Callable[[], Stream]]:
    """Makes streams, each on a connection of its own, so perhaps at another worker."""
    made: list[Stream] = []

    def make() -> Stream:
        made.append(Stream(shared_server.client_endpoint))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def key() -> bytes:
    return b"watch/%d/%d" % (os.getpid(), next(_numbers))


def put_many(door: Door, key: bytes, count: int, value: bytes = b"v") -> list[int]:
    """Writes ``count`` times, some at a time; the revisions in order."""
    put = door.channel.unary_unary(
        "/etcdserverpb.KV/Put",
        PutRequest.SerializeToString,
        WatchResponse.FromString,  # the header is the same field
    )
    calls = [put.future(PutRequest(key=key, value=value), timeout=TIMEOUT_S) for _ in range(count)]
    return sorted(call.result().header.revision for call in calls)


def test_events_come_live_each_revision_in_a_response_of_its_own(
    door: Door, stream: Callable[[], Stream], key: bytes
) -> None:
    watching = stream()
    created = watching.create(key, prev_kv=True)
    first, second = (door.put(key, value).header.revision for value in (b"1", b"2"))
    assert created.header.revision < first
    one, two = itertools.islice(watching.responses(), 2)
    assert [(event.kv.value, event.prev_kv.value) for event in (*one.events, *two.events)] == [
        (b"1", b""),
        (b"2", b"1"),
    ]
    assert (one.header.revision, two.header.revision) == (first, second)


def test_history_joins_what_is_written_meanwhile_without_gap(
    door: Door, stream: Callable[[], Stream], key: bytes
) -> None:
    before = put_many(door, key, 300)
    watching = [stream() for _ in range(4)]
    for each in watching:
        each.create(key, start_revision=before[0])
    revisions = before + put_many(door, key, 300)
    for each in watching:
        assert each.revisions(600) == revisions


def test_a_client_that_reads_late_gets_all_and_another_is_not_held_up(
    door: Door, stream: Callable[[], Stream], key: bytes
) -> None:
    late, quick = stream(), stream()
    late.create(key)
    quick.create(key)
    value = b"x" * (WatchLimits().queue_bytes // 4)
    revisions = [revision for _ in range(10) for revision in put_many(door, key, 8, value)]
    assert quick.revisions(80) == revisions
    assert late.revisions(80) == revisions


def test_progress_on_request_comes_behind_the_events(door: Door, stream: Callable[[], Stream], key: bytes) -> None:
    watching = stream()
    watching.create(key)
    written = door.put(key, b"1").header.revision
    (event,) = itertools.islice(watching.responses(), 1)
    watching.ask(progress_request={})
    (progress,) = itertools.islice(watching.responses(), 1)
    assert event.header.revision == written
    assert (progress.watch_id, len(progress.events)) == (-1, 0)
    assert progress.header.revision >= written


def test_the_end_of_requests_does_not_end_the_watches(door: Door, stream: Callable[[], Stream], key: bytes) -> None:
    watching = stream()
    watching.create(key)
    watching.half_close()
    written = [door.put(key, value).header.revision for value in (b"1", b"2")]
    assert watching.revisions(2) == written
