"""The paths of the JSON API and the calls behind them, as etcd has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from oarlock.gateway.proto import election_pb2, lock_pb2, rpc_pb2

PREFIX: Final = "/v3/"
OLD_PREFIX: Final = "/v3beta/"
"""etcd 3.3's, still taken."""

_CALLS: Final = {
    "etcdserverpb.KV": {
        "Range": "kv/range",
        "Put": "kv/put",
        "DeleteRange": "kv/deleterange",
        "Txn": "kv/txn",
        "Compact": "kv/compaction",
    },
    "etcdserverpb.Watch": {"Watch": "watch"},
    "etcdserverpb.Lease": {
        "LeaseGrant": "lease/grant",
        "LeaseRevoke": "lease/revoke kv/lease/revoke",
        "LeaseKeepAlive": "lease/keepalive",
        "LeaseTimeToLive": "lease/timetolive kv/lease/timetolive",
        "LeaseLeases": "lease/leases kv/lease/leases",
    },
    "etcdserverpb.Cluster": {
        "MemberAdd": "cluster/member/add",
        "MemberRemove": "cluster/member/remove",
        "MemberUpdate": "cluster/member/update",
        "MemberList": "cluster/member/list",
        "MemberPromote": "cluster/member/promote",
    },
    "etcdserverpb.Maintenance": {
        "Alarm": "maintenance/alarm",
        "Status": "maintenance/status",
        "Defragment": "maintenance/defragment",
        "Hash": "maintenance/hash",
        "HashKV": "maintenance/hashkv",
        "Snapshot": "maintenance/snapshot",
        "MoveLeader": "maintenance/transfer-leadership",
        "Downgrade": "maintenance/downgrade",
    },
    "etcdserverpb.Auth": {
        "AuthEnable": "auth/enable",
        "AuthDisable": "auth/disable",
        "AuthStatus": "auth/status",
        "Authenticate": "auth/authenticate",
        "UserAdd": "auth/user/add",
        "UserGet": "auth/user/get",
        "UserList": "auth/user/list",
        "UserDelete": "auth/user/delete",
        "UserChangePassword": "auth/user/changepw",
        "UserGrantRole": "auth/user/grant",
        "UserRevokeRole": "auth/user/revoke",
        "RoleAdd": "auth/role/add",
        "RoleGet": "auth/role/get",
        "RoleList": "auth/role/list",
        "RoleDelete": "auth/role/delete",
        "RoleGrantPermission": "auth/role/grant",
        "RoleRevokePermission": "auth/role/revoke",
    },
    "v3lockpb.Lock": {"Lock": "lock/lock", "Unlock": "lock/unlock"},
    "v3electionpb.Election": {
        "Campaign": "election/campaign",
        "Proclaim": "election/proclaim",
        "Leader": "election/leader",
        "Observe": "election/observe",
        "Resign": "election/resign",
    },
}
"""Service, method, and its paths behind the prefix. RangeStream has none, as in etcd."""


class Route(NamedTuple):
    """What a path leads to.

    Attributes:
        method: the gRPC path of the call.
        request: the type of its messages.
        response: the type of its answers.
    """

    method: bytes
    request: type[Message]
    response: type[Message]


def routes() -> Mapping[str, Route]:
    """Every path that is served, as the client may write it."""
    table: dict[str, Route] = {}
    for service, calls in _CALLS.items():
        methods = _service_file(service).services_by_name[service.rpartition(".")[2]].methods_by_name
        for name, paths in calls.items():
            method = methods[name]
            route = Route(f"/{service}/{name}".encode(), _class(method.input_type), _class(method.output_type))
            for path in paths.split():
                table[PREFIX + path] = table[OLD_PREFIX + path] = route
    return table


def _service_file(service: str) -> FileDescriptor:
    files = {"v3lockpb": lock_pb2.DESCRIPTOR, "v3electionpb": election_pb2.DESCRIPTOR}
    return files.get(service.partition(".")[0], rpc_pb2.DESCRIPTOR)


def _class(message: Descriptor) -> type[Message]:
    return GetMessageClass(message)
