"""Arguments of native requests, from the messages that ask for them."""

from __future__ import annotations

from typing import Any

from oarlock.gateway.proto.rpc_pb2 import DeleteRangeRequest, PutRequest, RangeRequest
from oarlock.wire.operations import DeleteFlag, PutFlag, RangeFlag


def range_arguments(request: RangeRequest) -> list[Any]:
    """The native arguments of a range, flags included."""
    return [
        request.key,
        range_flags(request),
        request.range_end,
        request.limit,
        request.revision,
        request.sort_order,
        request.sort_target,
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ]


def range_flags(request: RangeRequest) -> int:
    """The native flags of a range."""
    flags = 0
    if request.serializable:
        flags = int(RangeFlag.SERIALIZABLE)
    if request.keys_only:
        flags |= RangeFlag.KEYS_ONLY
    if request.count_only:
        flags |= RangeFlag.COUNT_ONLY
    return int(flags)


def is_filtered(request: RangeRequest) -> bool:
    """Whether bounds on revisions are set."""
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def put_arguments(request: PutRequest) -> list[Any]:
    """The native arguments of a put: key and value, and its options where it has any."""
    lease, flags = request.lease, _put_flags(request)
    return [request.key, request.value, lease, flags] if lease or flags else [request.key, request.value]


def delete_arguments(request: DeleteRangeRequest) -> list[Any]:
    """The native arguments of a deletion, flags included."""
    return [request.key, int(DeleteFlag.PREV_KV) if request.prev_kv else 0, request.range_end]


def _put_flags(request: PutRequest) -> int:
    flags = PutFlag.PREV_KV if request.prev_kv else 0
    if request.ignore_value:
        flags |= PutFlag.IGNORE_VALUE
    if request.ignore_lease:
        flags |= PutFlag.IGNORE_LEASE
    return int(flags)
