"""The etcd front door without sockets: one connection's client is the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from oarlock.gateway.grpc.requests import Method, methods_by_path
from oarlock.gateway.http2.keepalive import KeepalivePolicy
from oarlock.gateway.service import Backend
from oarlock.workers.etcd_door import DoorSettings, EtcdDoor, Http1Port
from oarlock.workers.grpc_counts import GrpcCounts
from oarlock.workers.grpc_peer import GrpcPeer
from oarlock.workers.knocking import Knocking
from oarlock.workers.long_answers import LongAnswers


class Never:
    """A timer that does not ring: what is tested here needs no time."""

    def cancel(self) -> None:
        pass


class Worker:
    """As much of a worker as the door itself asks."""

    is_learner = False
    has_leader = True

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Never:
        return Never()


class Transport:
    """Remembers what was written.

    Attributes:
        output: since it was last taken.
        writes: the same, write by write.
    """

    def __init__(self) -> None:
        self.output = b""
        self.writes: list[bytes] = []

    def write(self, output: bytes) -> None:
        self.output += output
        self.writes.append(output)

    def is_closing(self) -> bool:
        return False


def grpc_door(methods: Sequence[Method]) -> EtcdDoor:
    """A door that serves ``methods``, and never sends a ping."""
    by_path = methods_by_path(*methods)
    settings = DoorSettings((), 1 << 20, 1 << 14, KeepalivePolicy(interval_s=0.0))
    http1 = cast(Http1Port, SimpleNamespace())
    return EtcdDoor(
        settings,
        cast(Backend, Worker()),
        by_path,
        http1,
        lambda: None,
        LongAnswers(lambda: None),
        Knocking(lambda: None),
        GrpcCounts(by_path),
    )


def connect(door: EtcdDoor) -> tuple[GrpcPeer, Transport]:
    """A client's connection."""
    transport = Transport()
    return GrpcPeer(door, cast(Any, transport)), transport
