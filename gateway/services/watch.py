"""etcdserverpb.Watch: streams of watches. How they are served is told in ``docs/watch.md``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.service import Backend, Exchange
from oarlock.gateway.services.leader_guard import LeaderGuard
from oarlock.gateway.services.watch_limits import WatchLimits
from oarlock.gateway.services.watch_pulls import Pulls
from oarlock.gateway.services.watch_stream import WatchStream, WatchTools
from oarlock.wire.operations import DEFAULT_MAX_REQUEST_BYTES

DEFAULT_PROGRESS_INTERVAL_S: Final = 600.0
"""etcd's ``watch-progress-notify-interval``."""
GRPC_OVERHEAD_BYTES: Final = 512 << 10
"""A response is cut into fragments when it is longer than the longest request by this (etcd, ``grpcOverheadBytes``)."""


def methods(
    backend: Backend,
    *,
    progress_interval_s: float = DEFAULT_PROGRESS_INTERVAL_S,
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES,
    limits: WatchLimits | None = None,
) -> Sequence[Method]:
    """The methods of the service.

    Args:
        backend: the worker.
        progress_interval_s: between notifications of progress to watches that want them.
        max_request_bytes: of a request; responses that are longer by ``GRPC_OVERHEAD_BYTES`` are cut into fragments
            for watches that want it.
        limits: of what watches may take, the usual ones by default.
    """
    fragment_bytes = max_request_bytes + GRPC_OVERHEAD_BYTES
    limits = limits or WatchLimits()
    guard = LeaderGuard(backend)
    tools = WatchTools(backend, Pulls(backend, limits), guard, progress_interval_s, fragment_bytes, limits)

    def watch(exchange: Exchange) -> None:
        """Watch.Watch."""
        WatchStream(tools, exchange)  # lives by the callbacks of the exchange

    return (Method("/etcdserverpb.Watch/Watch", takes_stream=True, returns_stream=True, handler=watch),)
