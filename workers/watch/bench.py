"""What a delivery to one of many watch streams costs, without sockets: ``python -m oarlock.workers.watch.bench``.

900 streams watch one key (issue 4's case), on 10 connections. A drain of the commit stream brings one revision, or 20,
as under load. Two lines each: what the hub and the service do, and the same with HTTP/2 up to the bytes to write.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

from hpack.hpack import Encoder

from oarlock.gateway.grpc.messages import framed
from oarlock.gateway.grpc.requests import methods_by_path
from oarlock.gateway.grpc.status import OK, Status
from oarlock.gateway.http2.frames import (
    DATA,
    END_HEADERS,
    HEADERS,
    PREFACE,
    SETTINGS,
    frame,
    settings_frame,
    window_update_frame,
)
from oarlock.gateway.http2.keepalive import KeepalivePolicy
from oarlock.gateway.proto.rpc_pb2 import ResponseHeader, WatchRequest, WatchResponse
from oarlock.gateway.service import Exchange, LiveBatch, SharedMessages, Subscription, Timer
from oarlock.gateway.services import watch
from oarlock.wire.operations import Event
from oarlock.workers.etcd_door import DoorSettings, EtcdDoor
from oarlock.workers.grpc_counts import GrpcCounts
from oarlock.workers.grpc_peer import GrpcPeer
from oarlock.workers.knocking import Knocking
from oarlock.workers.long_answers import LongAnswers
from oarlock.workers.watch.hub import WatchHub

STREAMS: Final = 900
CONNECTIONS: Final = 10
DELIVERIES: Final = 180_000
KEY: Final = b"watched"
VALUE: Final = b"v" * 256
_INITIAL_WINDOW: Final = 4
_PATH: Final = "/etcdserverpb.Watch/Watch"
_CREATE: Final = framed(WatchRequest(create_request={"key": KEY}).SerializeToString())


class _Worker:
    """A hub with the rest of a worker left out."""

    cluster_id = member_id = raft_term = 1
    revision = 1
    compact_revision = -1
    has_leader = True
    is_learner = False

    def __init__(self) -> None:
        self.hub = WatchHub(lambda: b"t" * 16)

    def header_field(self, revision: int) -> bytes:
        header = ResponseHeader(cluster_id=1 << 60, member_id=1 << 59, revision=revision, raft_term=2)
        return WatchResponse(header=header).SerializeToString()

    def submit(self, request: list[Any], done: Callable[[Any], None]) -> None:
        raise AssertionError("nobody falls behind here")

    def make_snapshot(self, done: Callable[[str | None, str], None]) -> None:
        raise AssertionError("nobody asks for it")

    def tell_watchers(self) -> None:
        self.hub.catch_up(0.0)

    def subscribe(self, key: bytes, range_end: bytes, flags: int, deliver: Callable[[LiveBatch], None]) -> Subscription:
        return self.hub.subscribe_local(key, range_end, flags, self.revision, deliver)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        return SimpleNamespace(cancel=lambda: None)

    def commit(self, revisions: int) -> None:
        """One drain."""
        changes: list[Event] = []
        for _ in range(revisions):
            self.revision += 1
            changes.append((0, (KEY, VALUE, 1, self.revision, self.revision, 0), None))
        self.hub.changes(changes, self.revision, 0.0)


class _Sink(Exchange):
    """A call that takes everything."""

    is_over = False
    queued_bytes = 0

    def metadata(self, name: str) -> None:
        return None

    def reply(self, message: bytes) -> None:
        pass

    def send(self, message: bytes) -> None:
        pass

    def offer(self, batch: SharedMessages, most_bytes: int) -> bool:
        return True

    def finish(self, status: Status = OK) -> None:
        pass


class _Transport:
    """Takes everything, too."""

    written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def is_closing(self) -> bool:
        return False


class _Door:
    """Who owns connections, and the transport under them all."""

    def __init__(self, worker: _Worker) -> None:
        methods = methods_by_path(*watch.methods(worker))
        settings = DoorSettings((), 1 << 20, STREAMS, KeepalivePolicy(interval_s=0.0))
        http1: Any = SimpleNamespace()
        self.transport = _Transport()
        self._door = EtcdDoor(
            settings,
            worker,
            methods,
            http1,
            lambda: None,
            LongAnswers(lambda: None),
            Knocking(lambda: None),
            GrpcCounts(methods),
        )
        self._peers: list[GrpcPeer] = []

    def connect(self, streams: int) -> None:
        """A client that opens streams with a watch each, and takes as much as comes."""
        transport: Any = self.transport
        peer = GrpcPeer(self._door, transport)
        encoder = Encoder()
        fields = {":method": "POST", ":scheme": "http", ":path": _PATH, ":authority": "x", "te": "trailers"}
        fields["content-type"] = "application/grpc"
        greeting = settings_frame({_INITIAL_WINDOW: (1 << 31) - 1}) + frame(SETTINGS, 1, 0)
        opened = [PREFACE + greeting + window_update_frame(0, (1 << 31) - 65536)]
        for number in range(streams):
            block = encoder.encode(list(fields.items()))
            opened.append(frame(HEADERS, END_HEADERS, 2 * number + 1, block) + frame(DATA, 0, 2 * number + 1, _CREATE))
        peer.data_received(b"".join(opened))
        self._peers.append(peer)

    def flush(self) -> None:
        """Writes what is to be written."""
        self._door.flush()


def _per_delivery(drain: Callable[[], None], revisions: int) -> float:
    drains = DELIVERIES // STREAMS // revisions
    drain()
    began_s = time.process_time()
    for _ in range(drains):
        drain()
    return (time.process_time() - began_s) / (drains * revisions * STREAMS) * 1e6


def service_alone(revisions: int) -> float:
    """Microseconds a delivery in hub and service, with ``revisions`` a drain."""
    worker = _Worker()
    (method,) = watch.methods(worker)
    create = WatchRequest(create_request={"key": KEY}).SerializeToString()
    for _ in range(STREAMS):
        exchange = _Sink()
        method.handler(exchange)
        assert exchange.on_message is not None
        exchange.on_message(create)
    return _per_delivery(lambda: worker.commit(revisions), revisions)


def with_http2(revisions: int) -> float:
    """The same up to the bytes that are written."""
    worker = _Worker()
    door = _Door(worker)
    for _ in range(CONNECTIONS):
        door.connect(STREAMS // CONNECTIONS)
    door.flush()

    def drain() -> None:
        worker.commit(revisions)
        door.flush()

    before = door.transport.written
    spent = _per_delivery(drain, revisions)
    assert door.transport.written - before > DELIVERIES * len(VALUE)
    return spent


def main() -> None:
    """Prints a line for each case."""
    for revisions in (1, 20):
        for name, measure in (("hub and service", service_alone), ("with HTTP/2", with_http2)):
            best = min(measure(revisions) for _ in range(3))
            print(f"{revisions:3} revisions a drain, {name:16} {best:5.2f} µs a delivery")


if __name__ == "__main__":
    main()
