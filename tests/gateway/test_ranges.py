"""Lists that come in pages, answered by a real replica."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oarlock.gateway.proto.rpc_pb2 import RangeRequest, RangeResponse
from oarlock.gateway.services.ranges import Ranges
from oarlock.wire.operations import FROM_KEY, Op
from tests.gateway.fakes import FakeExchange
from tests.gateway.store_backend import StoreBackend

KEYS = 12
VALUE = b"v" * 300_000
"""Four fill a page."""


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[StoreBackend]:
    backend = StoreBackend(tmp_path)
    for number in range(KEYS):
        backend.run(Op.PUT, b"%02d" % number, VALUE)
    yield backend
    backend.close()


def begun(backend: StoreBackend, **options: int) -> FakeExchange:
    """A list of all keys whose first page has come."""
    exchange = FakeExchange()
    request = RangeRequest(key=FROM_KEY, range_end=FROM_KEY, **options)
    Ranges(backend).range(exchange, request.SerializeToString())
    assert backend.step()
    return exchange


def answer(exchange: FakeExchange) -> tuple[list[bytes], bool, int]:
    response = RangeResponse.FromString(exchange.sent[0])
    assert {kv.value for kv in response.kvs} == {VALUE}
    return [kv.key for kv in response.kvs], response.more, response.count


@pytest.mark.parametrize("limit", [0, 1, 5, KEYS - 1, KEYS, KEYS + 1])
def test_a_list_has_the_rows_up_to_its_limit_and_counts_all(backend: StoreBackend, limit: int) -> None:
    exchange = begun(backend, limit=limit)
    backend.settle()
    keys = [b"%02d" % number for number in range(KEYS)]
    assert answer(exchange) == (keys[: limit or KEYS], 0 < limit < KEYS, KEYS)


def test_what_is_written_between_pages_does_not_change_what_is_listed(backend: StoreBackend) -> None:
    exchange = begun(backend)
    backend.run(Op.PUT, b"05", b"newer")
    backend.run(Op.PUT, b"99", b"new")
    backend.settle()
    assert answer(exchange) == ([b"%02d" % number for number in range(KEYS)], False, KEYS)


def test_a_list_that_nobody_waits_for_any_more_is_not_read_on(backend: StoreBackend) -> None:
    exchange = begun(backend)
    exchange.cancel()
    asked = len(backend.asked)
    backend.settle()
    assert len(backend.asked) == asked
    assert not exchange.sent
