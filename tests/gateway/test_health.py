from __future__ import annotations

from oarlock.gateway.proto.health_pb2 import HealthCheckRequest, HealthCheckResponse
from oarlock.gateway.services import health
from oarlock.wire.errors import Code
from tests.gateway.fakes import FakeExchange

WHOLE_SERVER = HealthCheckRequest().SerializeToString()
UNKNOWN = HealthCheckRequest(service="nobody").SerializeToString()


def statuses(exchange: FakeExchange) -> list[int]:
    return [HealthCheckResponse.FromString(message).status for message in exchange.sent]


def test_the_server_serves() -> None:
    exchange = FakeExchange()
    health.check(exchange, WHOLE_SERVER)
    assert statuses(exchange) == [HealthCheckResponse.SERVING]
    assert exchange.is_over


def test_a_name_that_is_not_registered_is_not_found() -> None:
    exchange = FakeExchange()
    health.check(exchange, UNKNOWN)
    assert exchange.status is not None
    assert (exchange.status.code, exchange.sent) == (Code.NOT_FOUND, [])


def test_a_watch_tells_the_status_and_stays_open() -> None:
    exchange = FakeExchange()
    health.watch(exchange, WHOLE_SERVER)
    assert statuses(exchange) == [HealthCheckResponse.SERVING]
    assert not exchange.is_over


def test_a_watch_of_an_unknown_name_stays_open_too() -> None:
    exchange = FakeExchange()
    health.watch(exchange, UNKNOWN)
    assert statuses(exchange) == [HealthCheckResponse.SERVICE_UNKNOWN]
    assert not exchange.is_over
