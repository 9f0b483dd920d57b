"""etcdserverpb.Maintenance: alarms, status, hashes, snapshots, the leader's move."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.grpc.status import Status
from oarlock.gateway.proto.rpc_pb2 import (
    AlarmMember,
    AlarmRequest,
    AlarmResponse,
    DefragmentRequest,
    DowngradeInfo,
    DowngradeRequest,
    DowngradeResponse,
    HashKVRequest,
    HashKVResponse,
    HashRequest,
    HashResponse,
    MoveLeaderRequest,
    SnapshotRequest,
    StatusRequest,
    StatusResponse,
)
from oarlock.gateway.service import Backend, Exchange, ask
from oarlock.gateway.services.snapshot import SnapshotStream
from oarlock.wire.errors import Code
from oarlock.wire.operations import Op
from oarlock.wire.version import ETCD_VERSION

_VERSION: Final = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})(?:\.([0-9]{1,9}))?")
_WRONG_FORMAT: Final = Status(Code.INVALID_ARGUMENT, "etcdserver: wrong downgrade target version format")
_WRONG_TARGET: Final = Status(Code.INVALID_ARGUMENT, "etcdserver: invalid downgrade target version")
_NO_DOWNGRADE: Final = Status(Code.UNIMPLEMENTED, "oarlock: a cluster is not downgraded by request")
_UINT32: Final = (1 << 32) - 1


def methods(backend: Backend) -> Sequence[Method]:
    """The methods of the service."""
    maintenance = MaintenanceService(backend)
    prefix = "/etcdserverpb.Maintenance/"
    return (
        Method(f"{prefix}Alarm", handler=maintenance.alarm),
        Method(f"{prefix}Status", handler=maintenance.status),
        Method(f"{prefix}Defragment", handler=maintenance.defragment),
        Method(f"{prefix}Hash", handler=maintenance.hash),
        Method(f"{prefix}HashKV", handler=maintenance.hash_kv),
        Method(f"{prefix}Snapshot", handler=maintenance.snapshot, returns_stream=True),
        Method(f"{prefix}MoveLeader", handler=maintenance.move_leader),
        Method(f"{prefix}Downgrade", handler=maintenance.downgrade),
    )


class MaintenanceService:
    """The calls of whoever operates a cluster."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def alarm(self, exchange: Exchange, message: bytes) -> None:
        """Maintenance.Alarm."""
        request = AlarmRequest.FromString(message)

        def respond(item: Any) -> bytes:
            alarms = [AlarmMember(memberID=member, alarm=alarm) for member, alarm in item[2]]
            return self._header(item) + AlarmResponse(alarms=alarms).SerializeToString()

        ask(self._backend, exchange, [int(Op.ALARM), request.action, request.memberID, request.alarm], respond)

    def status(self, exchange: Exchange, message: bytes) -> None:
        """Maintenance.Status; the version is that of the etcd whose interface this is."""
        StatusRequest.FromString(message)
        ask(self._backend, exchange, [int(Op.STATUS)], self._status)

    def _status(self, item: Any) -> bytes:
        facts = item[2]
        response = StatusResponse(
            version=ETCD_VERSION,
            dbSize=facts["db_size"],
            leader=facts["leader"],
            raftIndex=facts["raft_index"],
            raftTerm=facts["raft_term"],
            raftAppliedIndex=facts["raft_applied_index"],
            errors=facts["errors"],
            dbSizeInUse=facts["db_size_in_use"],
            isLearner=facts["is_learner"],
            storageVersion=ETCD_VERSION,
            dbSizeQuota=facts["db_size_quota"],
            downgradeInfo=DowngradeInfo(),
        )
        return self._header(item) + response.SerializeToString()

    def defragment(self, exchange: Exchange, message: bytes) -> None:
        """Maintenance.Defragment: a replica uses freed space again by itself, so there is nothing to do."""
        DefragmentRequest.FromString(message)
        exchange.reply(b"")

    def hash(self, exchange: Exchange, message: bytes) -> None:
        """Maintenance.Hash: of keys and values, as HashKV at the newest revision."""
        HashRequest.FromString(message)

        def respond(item: Any) -> bytes:
            return self._header(item) + HashResponse(hash=item[2][0] & _UINT32).SerializeToString()

        ask(self._backend, exchange, [int(Op.HASH_KV), 0], respond)

    def hash_kv(self, exchange: Exchange, message: bytes) -> None:
        """Maintenance.HashKV."""

        def respond(item: Any) -> bytes:
            digest, compact_revision, hash_revision = item[2]
            response = HashKVResponse(
                hash=digest & _UINT32, compact_revision=compact_revision, hash_revision=hash_revision
            )
            return self._header(item) + response.SerializeToString()

        ask(self._backend, exchange, [int(Op.HASH_KV), HashKVRequest.FromString(message).revision], respond)

    def snapshot(self, exchange: Exchange, message: bytes) -> None:
        """Maintenance.Snapshot."""
        SnapshotRequest.FromString(message)
        SnapshotStream(self._backend, exchange).begin()

    def move_leader(self, exchange: Exchange, message: bytes) -> None:
        """Maintenance.MoveLeader."""
        target_id = MoveLeaderRequest.FromString(message).targetID
        ask(self._backend, exchange, [int(Op.MOVE_LEADER), target_id], lambda _: b"")

    def downgrade(self, exchange: Exchange, message: bytes) -> None:
        """Maintenance.Downgrade: says which targets etcd would take, and that none will be gone to."""
        request = DowngradeRequest.FromString(message)
        own_major, own_minor = ETCD_VERSION.split(".")[:2]
        if request.action != DowngradeRequest.CANCEL:
            match = _VERSION.fullmatch(request.version)
            if match is None:
                exchange.finish(_WRONG_FORMAT)
                return
            if (int(match[1]), int(match[2])) != (int(own_major), int(own_minor) - 1):
                exchange.finish(_WRONG_TARGET)
                return
            if request.action == DowngradeRequest.ENABLE:
                exchange.finish(_NO_DOWNGRADE)
                return
        response = DowngradeResponse(version=f"{own_major}.{own_minor}")
        exchange.reply(self._backend.header_field(self._backend.revision) + response.SerializeToString())

    def _header(self, item: Any) -> bytes:
        return self._backend.header_field(item[1])
