"""The effects of single writes on a replica. Each checks before it writes, so that a refusal has no effect."""

from __future__ import annotations

from typing import Any, Final

from oarlock.storage.replica.write import WriteView
from oarlock.wire.errors import KeyNotFoundError, LeaseExistsError, LeaseNotFoundError
from oarlock.wire.operations import MIN_TTL_S, DeleteFlag, KeyValue, PutFlag
from oarlock.workers.operation_counts import OPERATIONS
from oarlock.workers.ranges import interval

_IGNORES: Final = int(PutFlag.IGNORE_VALUE | PutFlag.IGNORE_LEASE)
_IGNORE_VALUE: Final = int(PutFlag.IGNORE_VALUE)
_IGNORE_LEASE: Final = int(PutFlag.IGNORE_LEASE)
_PREV_KV: Final = int(PutFlag.PREV_KV)


def put(view: WriteView, arguments: list[Any]) -> KeyValue | None:
    """Sets a key.

    Args:
        view: the write transaction.
        arguments: of a PUT, as ``check_request`` let them pass.

    Returns:
        The key before, where PREV_KV asks for it.

    Raises:
        LeaseNotFoundError: the lease does not exist.
        KeyNotFoundError: IGNORE_VALUE or IGNORE_LEASE, and the key is absent.
    """
    key, value = arguments[:2]
    lease = arguments[2] if len(arguments) > 2 else 0
    flags = arguments[3] if len(arguments) > 3 else 0
    if lease and view.lease(lease) is None:
        raise LeaseNotFoundError
    if flags & _IGNORES:
        old = view.get(key)
        if old is None:
            raise KeyNotFoundError
        if flags & _IGNORE_VALUE:
            value = old[1]
        if flags & _IGNORE_LEASE:
            lease = old[5]
    old = view.get(key) if flags & _PREV_KV else None
    view.put(key, value, lease)
    OPERATIONS.puts += 1
    OPERATIONS.put_bytes += len(key) + len(value)
    return old


def delete_range(view: WriteView, arguments: list[Any]) -> list[Any]:
    """Deletes the keys of an interval, in their order.

    Args:
        view: the write transaction.
        arguments: of a DELETE, as ``check_request`` let them pass.

    Returns:
        ``[deleted, previous kvs]``, the latter where PREV_KV asks for them.
    """
    key = arguments[0]
    wanted = len(arguments) > 1 and arguments[1] & DeleteFlag.PREV_KV
    if len(arguments) > 2 and arguments[2]:
        start, end = interval(key, arguments[2])
        keys = [kv[0] for kv in view.scan(start, end, keys_only=True)]
    else:
        keys = [key]
    OPERATIONS.deletes += 1
    gone = [previous for name in keys if (previous := view.delete(name)) is not None]
    return [len(gone), gone if wanted else []]


def compact(view: WriteView, arguments: list[Any]) -> None:
    """Makes the revisions below one unreadable; their space comes back later.

    Raises:
        CompactedError: the revision is not above the last compaction.
        FutureRevisionError: it is above the store's.
    """
    view.set_compact_revision(arguments[0])


def grant_lease(view: WriteView, arguments: list[Any]) -> list[int]:
    """Makes a lease whose id was chosen before it was proposed.

    Returns:
        ``[id, ttl_s]``: a TTL below etcd's least is raised to it.

    Raises:
        LeaseNotFoundError: the id is 0 (etcd, lessor.Grant).
        LeaseExistsError: the id is taken.
    """
    lease, ttl_s = arguments
    if lease == 0:
        raise LeaseNotFoundError
    if view.lease(lease) is not None:
        raise LeaseExistsError
    ttl_s = max(ttl_s, MIN_TTL_S)
    view.grant_lease(lease, ttl_s)
    return [lease, ttl_s]


def revoke_lease(view: WriteView, arguments: list[Any]) -> None:
    """Ends a lease and deletes its keys, in byte order and one revision.

    Raises:
        LeaseNotFoundError: there is no such lease.
    """
    view.revoke_lease(arguments[0])
