"""etcdserverpb.Lease: grants, revocations, times to live, and streams of keepalives."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.grpc.status import OK, Status
from oarlock.gateway.proto.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseStatus,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from oarlock.gateway.service import Backend, Exchange, ask, is_error, status_of
from oarlock.gateway.services.leader_guard import LeaderGuard
from oarlock.wire.errors import Code
from oarlock.wire.operations import Op

MAX_UNANSWERED: Final = 10_000
"""Keepalives of one stream under way: a client that renews ten thousand leases at once is served, more is refused."""


def methods(backend: Backend) -> Sequence[Method]:
    """The methods of the service."""
    leases = LeaseService(backend)
    return (
        Method("/etcdserverpb.Lease/LeaseGrant", handler=leases.grant),
        Method("/etcdserverpb.Lease/LeaseRevoke", handler=leases.revoke),
        Method("/etcdserverpb.Lease/LeaseKeepAlive", handler=leases.keep_alive, takes_stream=True, returns_stream=True),
        Method("/etcdserverpb.Lease/LeaseTimeToLive", handler=leases.time_to_live),
        Method("/etcdserverpb.Lease/LeaseLeases", handler=leases.leases),
    )


class LeaseService:
    """The calls about leases."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._guard = LeaderGuard(backend)

    def grant(self, exchange: Exchange, message: bytes) -> None:
        """Lease.LeaseGrant."""
        request = LeaseGrantRequest.FromString(message)

        def respond(item: Any) -> bytes:
            lease_id, ttl_s = item[2]
            return self._header(item) + LeaseGrantResponse(ID=lease_id, TTL=ttl_s).SerializeToString()

        ask(self._backend, exchange, [int(Op.LEASE_GRANT), request.ID, request.TTL], respond)

    def revoke(self, exchange: Exchange, message: bytes) -> None:
        """Lease.LeaseRevoke."""
        request = LeaseRevokeRequest.FromString(message)
        ask(self._backend, exchange, [int(Op.LEASE_REVOKE), request.ID], self._header)

    def time_to_live(self, exchange: Exchange, message: bytes) -> None:
        """Lease.LeaseTimeToLive; a lease that does not exist has -1 seconds left."""
        request = LeaseTimeToLiveRequest.FromString(message)

        def respond(item: Any) -> bytes:
            ttl_s, granted_ttl_s, keys = item[2]
            response = LeaseTimeToLiveResponse(ID=request.ID, TTL=ttl_s, grantedTTL=granted_ttl_s, keys=keys)
            return self._header(item) + response.SerializeToString()

        ask(self._backend, exchange, [int(Op.LEASE_TIME_TO_LIVE), request.ID, request.keys], respond)

    def leases(self, exchange: Exchange, message: bytes) -> None:
        """Lease.LeaseLeases."""
        LeaseLeasesRequest.FromString(message)

        def respond(item: Any) -> bytes:
            response = LeaseLeasesResponse(leases=[LeaseStatus(ID=lease_id) for lease_id in item[2][0]])
            return self._header(item) + response.SerializeToString()

        ask(self._backend, exchange, [int(Op.LEASE_LIST)], respond)

    def _header(self, item: Any) -> bytes:
        return self._backend.header_field(item[1])

    def keep_alive(self, exchange: Exchange) -> None:
        """Lease.LeaseKeepAlive."""
        KeepAliveStream(self._backend, self._guard, exchange)


class KeepAliveStream:
    """One stream of keepalives: an answer for each, in order; it ends when the client has sent all and heard all.

    Invariant: ``_unanswered`` holds a place for every keepalive whose answer has not been sent, in the order of their
    arrival; a place is empty until its answer is there.

    Args:
        backend: takes the keepalives.
        guard: ends the stream when the leader is lost.
        exchange: the call; the stream sets its callbacks.
    """

    def __init__(self, backend: Backend, guard: LeaderGuard, exchange: Exchange) -> None:
        self._backend = backend
        self._guard = guard
        self._exchange = exchange
        self._unanswered: deque[list[bytes]] = deque()
        self._all_asked = False
        exchange.on_message = self._ask
        exchange.on_requests_ended = self._end
        exchange.on_ended = self._forget
        guard.add(exchange, self._finish)

    def _forget(self, status: Status) -> None:
        self._guard.remove(self._exchange)

    def _finish(self, status: Status = OK) -> None:
        self._guard.remove(self._exchange)
        self._exchange.finish(status)

    def _ask(self, message: bytes) -> None:
        try:
            lease_id = LeaseKeepAliveRequest.FromString(message).ID
        except Exception:  # whoever called ends the call
            self._guard.remove(self._exchange)
            raise
        if len(self._unanswered) >= MAX_UNANSWERED:
            self._finish(Status(Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests"))
            return
        place: list[bytes] = []
        self._unanswered.append(place)

        def done(item: Any) -> None:
            if is_error(item):
                self._finish(status_of(item))
                return
            response = LeaseKeepAliveResponse(ID=lease_id, TTL=item[2]).SerializeToString()
            place.append(self._backend.header_field(item[1]) + response)
            self._send()

        self._backend.submit([int(Op.LEASE_KEEPALIVE), lease_id], done)

    def _send(self) -> None:
        while self._unanswered and self._unanswered[0]:
            self._exchange.send(self._unanswered.popleft()[0])
        if self._all_asked and not self._unanswered:
            self._finish()

    def _end(self) -> None:
        self._all_asked = True
        self._send()
