"""Streams other than watches that want a leader: keepalives, and observers of elections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError

from oarlock.gateway.grpc.status import OK
from oarlock.gateway.proto.election_pb2 import LeaderRequest
from oarlock.gateway.service import Exchange
from oarlock.gateway.services.election import ElectionService
from oarlock.gateway.services.leader_guard import MOST_TIMEOUTS
from oarlock.gateway.services.lease import LeaseService
from oarlock.wire.errors import Code
from tests.gateway.fakes import FakeExchange
from tests.gateway.store_backend import StoreBackend

Open = Callable[[StoreBackend, Exchange], None]


class Stream(FakeExchange):
    """A call that says whether it wants a leader."""

    def __init__(self, wants_leader: bool) -> None:
        super().__init__()
        self.wants_leader = wants_leader

    def metadata(self, name: str) -> str | None:
        return "true" if name == "hasleader" and self.wants_leader else None


def keep_alive(backend: StoreBackend, exchange: Exchange) -> None:
    LeaseService(backend).keep_alive(exchange)


def observe(backend: StoreBackend, exchange: Exchange) -> None:
    ElectionService(backend).observe(exchange, LeaderRequest(name=b"e").SerializeToString())
    backend.settle()


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[StoreBackend]:
    made = StoreBackend(tmp_path)
    yield made
    made.close()


def timers(backend: StoreBackend) -> int:
    return sum(not timer.is_canceled for timer in backend.timers)


@pytest.mark.parametrize("opened", [keep_alive, observe])
def test_a_stream_that_wants_a_leader_ends_when_it_is_lost(backend: StoreBackend, opened: Open) -> None:
    wants, other = Stream(wants_leader=True), Stream(wants_leader=False)
    for stream in (wants, other):
        opened(backend, stream)
    backend.has_leader = False
    for _ in range(MOST_TIMEOUTS - 1):
        backend.fire_timers()
    assert wants.status is None
    backend.fire_timers()
    assert wants.status is not None
    assert (wants.status.code, wants.status.message) == (Code.UNAVAILABLE, "etcdserver: no leader")
    assert (other.status, timers(backend)) == (None, 0)


@pytest.mark.parametrize("opened", [keep_alive, observe])
def test_a_stream_whose_client_went_away_is_guarded_no_more(backend: StoreBackend, opened: Open) -> None:
    stream = Stream(wants_leader=True)
    opened(backend, stream)
    assert timers(backend) == 1
    stream.cancel()
    assert timers(backend) == 0


def test_keepalives_that_end_are_guarded_no_more(backend: StoreBackend) -> None:
    stream = Stream(wants_leader=True)
    keep_alive(backend, stream)
    stream.end_requests()
    assert (stream.status, timers(backend)) == (OK, 0)


def test_keepalives_with_a_message_that_is_none_are_guarded_no_more(backend: StoreBackend) -> None:
    stream = Stream(wants_leader=True)
    keep_alive(backend, stream)
    with pytest.raises(DecodeError):
        stream.ask(b"\xff")
    assert timers(backend) == 0
