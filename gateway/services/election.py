"""v3electionpb.Election: a leader among the holders of leases (etcd: server/etcdserver/api/v3election)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.proto.election_pb2 import (
    CampaignRequest,
    CampaignResponse,
    LeaderKey,
    LeaderRequest,
    ProclaimRequest,
    ResignRequest,
)
from oarlock.gateway.service import Backend, Exchange, is_error
from oarlock.gateway.services.candidates import Candidate
from oarlock.gateway.services.key_values import encoded
from oarlock.gateway.services.leader_guard import LeaderGuard
from oarlock.gateway.services.observer import Observer
from oarlock.gateway.services.recipes import MAX_CALLS, Room, ensure_lease, first_below, plain_error, while_created_at
from oarlock.wire.operations import Op

NOT_LEADER = "election: not leader"
NO_LEADER = "election: no leader"
SESSION_EXPIRED = "election: session is expired"
LEADER_MISSING = '"leader" field must be provided'


def methods(backend: Backend) -> Sequence[Method]:
    """The methods of the service."""
    elections = ElectionService(backend)
    return (
        Method("/v3electionpb.Election/Campaign", handler=elections.campaign),
        Method("/v3electionpb.Election/Proclaim", handler=elections.proclaim),
        Method("/v3electionpb.Election/Leader", handler=elections.leader),
        Method("/v3electionpb.Election/Observe", handler=elections.observe, returns_stream=True),
        Method("/v3electionpb.Election/Resign", handler=elections.resign),
    )


class ElectionService:
    """The calls about elections.

    Attributes:
        room: the campaigns that wait, and the observers.

    Args:
        backend: the worker.
        most_calls: that may be in it.
    """

    def __init__(self, backend: Backend, most_calls: int = MAX_CALLS) -> None:
        self._backend = backend
        self.room = Room(most_calls)
        self._guard = LeaderGuard(backend)

    def campaign(self, exchange: Exchange, message: bytes) -> None:
        """Election.Campaign: answers when the lease leads. A lease that is in the race already gets the new value.

        Unlike etcd, which calls a candidate elected whose lease has expired meanwhile, this says so.

        Raises:
            OverloadedError: too many wait.
        """
        request = CampaignRequest.FromString(message)
        backend = self._backend
        candidate = Candidate(backend, self.room, exchange, request.name, request.value, expired=SESSION_EXPIRED)

        def won(revision: int) -> None:
            leader = LeaderKey(
                name=request.name, key=candidate.key, rev=candidate.create_revision, lease=candidate.lease
            )
            # The header is that of the candidacy, however long it had to wait (etcd likewise).
            header = backend.header_field(candidate.entered_revision)
            exchange.reply(header + CampaignResponse(leader=leader).SerializeToString())

        def entered(value: bytes) -> None:
            if value == request.value:
                candidate.wait(won)
            else:
                backend.submit(_proclamation(candidate, request.value), proclaimed)

        def proclaimed(item: Any) -> None:
            if is_error(item):
                candidate.fail(item[2])
            elif not item[2][0]:
                candidate.fail(NOT_LEADER)
            else:
                candidate.wait(won)

        candidate.enter(request.lease, entered)

    def proclaim(self, exchange: Exchange, message: bytes) -> None:
        """Election.Proclaim: a new value of a leader that still is one."""
        request = ProclaimRequest.FromString(message)
        leader = request.leader
        if not request.HasField("leader"):
            exchange.finish(plain_error(LEADER_MISSING))
            return

        def put(lease: int) -> None:
            operation = [int(Op.PUT), leader.key, request.value, lease]
            self._backend.submit(while_created_at(leader.key, leader.rev, operation), done)

        def done(item: Any) -> None:
            if not is_error(item) and not item[2][0]:
                exchange.finish(plain_error(NOT_LEADER))
            else:
                self._end(exchange, item)

        ensure_lease(self._backend, leader.lease, put, lambda text: exchange.finish(plain_error(text)))

    def resign(self, exchange: Exchange, message: bytes) -> None:
        """Election.Resign: it is no error if another one leads."""
        request = ResignRequest.FromString(message)
        leader = request.leader
        if not request.HasField("leader"):
            exchange.finish(plain_error(LEADER_MISSING))
            return
        removal = while_created_at(leader.key, leader.rev, [int(Op.DELETE), leader.key])
        self._backend.submit(removal, lambda item: self._end(exchange, item))

    def leader(self, exchange: Exchange, message: bytes) -> None:
        """Election.Leader: who leads, and with which value."""

        def done(item: Any) -> None:
            if not is_error(item) and not item[2][0]:
                exchange.finish(plain_error(NO_LEADER))
            else:
                self._end(exchange, item, lambda: encoded(item[2][0], field=2))

        self._backend.submit(first_below(LeaderRequest.FromString(message).name + b"/"), done)

    def observe(self, exchange: Exchange, message: bytes) -> None:
        """Election.Observe: each leader from now on, and each value of theirs.

        Raises:
            OverloadedError: too many observe.
        """
        name = LeaderRequest.FromString(message).name
        Observer(self._backend, self.room, self._guard, exchange, name).start()

    def _end(self, exchange: Exchange, item: Any, body: Callable[[], bytes] = bytes) -> None:
        """Ends a call with a header and ``body``, or with the error that ``item`` carries."""
        if is_error(item):
            exchange.finish(plain_error(item[2]))
        else:
            exchange.reply(self._backend.header_field(item[1]) + body())


def _proclamation(candidate: Candidate, value: bytes) -> list[Any]:
    put = [int(Op.PUT), candidate.key, value, candidate.lease]
    return while_created_at(candidate.key, candidate.create_revision, put)
