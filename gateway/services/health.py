"""grpc.health.v1.Health: whether the server serves, as load balancers and probes ask.

As in etcd, only the server as a whole has a status, under the empty name, and it serves from the moment it listens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.grpc.status import Status
from oarlock.gateway.proto.health_pb2 import HealthCheckRequest, HealthCheckResponse
from oarlock.gateway.service import Backend, Exchange
from oarlock.wire.errors import Code

_SERVING: Final = HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()
_UNKNOWN: Final = HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN).SerializeToString()


def methods(backend: Backend) -> Sequence[Method]:
    """The methods of the service."""
    return (
        Method("/grpc.health.v1.Health/Check", handler=check),
        Method("/grpc.health.v1.Health/Watch", handler=watch, returns_stream=True),
    )


def check(exchange: Exchange, message: bytes) -> None:
    """Health.Check; an unknown name is no service (grpc-go: NOT_FOUND)."""
    if HealthCheckRequest.FromString(message).service:
        exchange.finish(Status(Code.NOT_FOUND, "unknown service"))
    else:
        exchange.reply(_SERVING)


def watch(exchange: Exchange, message: bytes) -> None:
    """Health.Watch: the status now, and then each change of it. There is none while the server runs, so the stream just
    stays open until either side goes; it costs the client one of its streams, which are bounded."""
    exchange.send(_UNKNOWN if HealthCheckRequest.FromString(message).service else _SERVING)
