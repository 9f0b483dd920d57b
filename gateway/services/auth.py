"""etcdserverpb.Auth, as etcd answers while authentication is off and there are neither users nor roles.

Users and roles are not built: what would make one is refused as not implemented, in words of our own. Everything else
has the answer that follows from there being none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from google.protobuf.message_factory import GetMessageClass

from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.grpc.status import Status
from oarlock.gateway.proto import rpc_pb2
from oarlock.gateway.proto.rpc_pb2 import (
    AuthRoleAddRequest,
    AuthRoleGrantPermissionRequest,
    AuthStatusResponse,
    AuthUserAddRequest,
)
from oarlock.gateway.service import Backend, Exchange
from oarlock.wire.errors import Code

_NOT_ENABLED: Final = Status(Code.FAILED_PRECONDITION, "etcdserver: authentication is not enabled")
_NO_ROOT: Final = Status(Code.FAILED_PRECONDITION, "etcdserver: root user does not exist")
_NO_USER: Final = Status(Code.FAILED_PRECONDITION, "etcdserver: user name not found")
_NO_ROLE: Final = Status(Code.FAILED_PRECONDITION, "etcdserver: role name not found")
_NO_PERMISSION: Final = Status(Code.INVALID_ARGUMENT, "etcdserver: permission not given")
_USER_EMPTY: Final = Status(Code.INVALID_ARGUMENT, "etcdserver: user name is empty")
_ROLE_EMPTY: Final = Status(Code.INVALID_ARGUMENT, "etcdserver: role name is empty")
_NOT_BUILT: Final = Status(Code.UNIMPLEMENTED, "oarlock: users and roles are not supported")

_REFUSALS: Final = {
    "AuthEnable": _NO_ROOT,
    "Authenticate": _NOT_ENABLED,
    "UserGet": _NO_USER,
    "UserDelete": _NO_USER,
    "UserChangePassword": _NO_USER,
    "UserGrantRole": _NO_USER,
    "UserRevokeRole": _NO_USER,
    "RoleGet": _NO_ROLE,
    "RoleDelete": _NO_ROLE,
    "RoleRevokePermission": _NO_ROLE,
}
_EMPTY: Final = ("AuthDisable", "UserList", "RoleList")
"""Answered with a header alone: nothing to switch off, and nobody to list."""

Handler = Callable[[Exchange, bytes], None]


def methods(backend: Backend) -> Sequence[Method]:
    """The methods of the service."""

    def empty(exchange: Exchange, _: bytes) -> None:
        exchange.reply(backend.header_field(backend.revision))

    def status(exchange: Exchange, _: bytes) -> None:
        response = AuthStatusResponse(enabled=False, authRevision=1)
        exchange.reply(backend.header_field(backend.revision) + response.SerializeToString())

    def add_user(exchange: Exchange, message: bytes) -> None:
        exchange.finish(_NOT_BUILT if AuthUserAddRequest.FromString(message).name else _USER_EMPTY)

    def grant_permission(exchange: Exchange, message: bytes) -> None:
        request = AuthRoleGrantPermissionRequest.FromString(message)
        exchange.finish(_NO_ROLE if request.HasField("perm") else _NO_PERMISSION)

    def add_role(exchange: Exchange, message: bytes) -> None:
        exchange.finish(_NOT_BUILT if AuthRoleAddRequest.FromString(message).name else _ROLE_EMPTY)

    handlers: dict[str, Handler] = {
        **{name: _refusing(refusal) for name, refusal in _REFUSALS.items()},
        **dict.fromkeys(_EMPTY, empty),
        "AuthStatus": status,
        "UserAdd": add_user,
        "RoleAdd": add_role,
        "RoleGrantPermission": grant_permission,
    }
    return [Method(f"/etcdserverpb.Auth/{name}", handler=_reading(name, each)) for name, each in handlers.items()]


def _reading(name: str, handler: Handler) -> Handler:
    """``handler``, once the message has proved to be one, which few handlers need to look into."""
    parse = GetMessageClass(rpc_pb2.DESCRIPTOR.services_by_name["Auth"].methods_by_name[name].input_type).FromString

    def read(exchange: Exchange, message: bytes) -> None:
        parse(message)
        handler(exchange, message)

    return read


def _refusing(refusal: Status) -> Handler:
    return lambda exchange, _: exchange.finish(refusal)
