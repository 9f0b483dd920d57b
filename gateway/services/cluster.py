"""etcdserverpb.Cluster: the members."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.proto.rpc_pb2 import (
    Member,
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MemberUpdateRequest,
)
from oarlock.gateway.service import Backend, Exchange, ask
from oarlock.wire.operations import Op


def methods(backend: Backend) -> Sequence[Method]:
    """The methods of the service."""
    cluster = ClusterService(backend)
    return (
        Method("/etcdserverpb.Cluster/MemberAdd", handler=cluster.add),
        Method("/etcdserverpb.Cluster/MemberRemove", handler=cluster.remove),
        Method("/etcdserverpb.Cluster/MemberUpdate", handler=cluster.update),
        Method("/etcdserverpb.Cluster/MemberList", handler=cluster.list),
        Method("/etcdserverpb.Cluster/MemberPromote", handler=cluster.promote),
    )


def etcd_url(url: str) -> str:
    """A peer URL as etcd's clients know it: ``http://`` and ``tcp://`` are the same place."""
    return "http://" + url.removeprefix("tcp://") if url.startswith("tcp://") else url


def to_member(member: Sequence[Any]) -> Member:
    """A member of a native list as a message."""
    member_id, name, peer_urls, _, is_learner, *more = member
    client_urls = more[0] if more else ()
    return Member(
        ID=member_id, name=name, peerURLs=map(etcd_url, peer_urls), clientURLs=client_urls, isLearner=is_learner
    )


class ClusterService:
    """The calls about members."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def add(self, exchange: Exchange, message: bytes) -> None:
        """Cluster.MemberAdd."""
        request = MemberAddRequest.FromString(message)

        def respond(result: Any) -> bytes:
            member, members, _ = result
            return MemberAddResponse(member=to_member(member), members=map(to_member, members)).SerializeToString()

        self._ask(exchange, [Op.MEMBER_ADD, "", list(request.peerURLs), request.isLearner], respond)

    def remove(self, exchange: Exchange, message: bytes) -> None:
        """Cluster.MemberRemove."""
        self._ask(exchange, [Op.MEMBER_REMOVE, MemberRemoveRequest.FromString(message).ID], _members)

    def update(self, exchange: Exchange, message: bytes) -> None:
        """Cluster.MemberUpdate."""
        request = MemberUpdateRequest.FromString(message)
        self._ask(exchange, [Op.MEMBER_UPDATE, request.ID, list(request.peerURLs)], _members)

    def list(self, exchange: Exchange, message: bytes) -> None:
        """Cluster.MemberList."""
        self._ask(exchange, [Op.MEMBER_LIST, MemberListRequest.FromString(message).linearizable], _members)

    def promote(self, exchange: Exchange, message: bytes) -> None:
        """Cluster.MemberPromote."""
        self._ask(exchange, [Op.MEMBER_PROMOTE, MemberPromoteRequest.FromString(message).ID], _members)

    def _ask(self, exchange: Exchange, request: Sequence[Any], respond: Callable[[Any], bytes]) -> None:
        header = self._backend.header_field
        asked = [int(request[0]), *request[1:]]
        ask(self._backend, exchange, asked, lambda item: header(0) + respond(item[2]))


def _members(members: Iterable[Sequence[Any]]) -> bytes:
    """``members`` is field 2 of all these responses."""
    return MemberListResponse(members=map(to_member, members)).SerializeToString()
