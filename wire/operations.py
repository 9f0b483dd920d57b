"""The operations of the native protocol: numbers, flags, and the shapes of their arguments and results.

A request is ``[sequence, operation, *arguments]``. Arguments at the end that have their default value may be left
out, so that a plain read is ``[sequence, RANGE, key]``. A write has the same shape inside a log entry, so that it is
packed once.

========================  ===========================================================  =================================
operation                 arguments (defaults)                                         result
========================  ===========================================================  =================================
``RANGE``                 key, flags=0, range_end=b"", limit=0, revision=0,            [kvs, more, count]
                          sort_order=0, sort_target=0, min_mod=0, max_mod=0,
                          min_create=0, max_create=0, min_revision=0
``PUT``                   key, value, lease=0, flags=0                                 None, or the previous kv
``DELETE``                key, flags=0, range_end=b""                                  [deleted, previous kvs]
``TXN``                   compares, success, failure                                   [succeeded, responses]
``COMPACT``               revision, physical=False                                     None
``LEASE_GRANT``           id (0: the server chooses), ttl_s                            [id, ttl_s]
``LEASE_REVOKE``          id                                                           None
``LEASE_KEEPALIVE``       id                                                           ttl_s (0: no such lease)
``LEASE_TIME_TO_LIVE``    id, keys=False                                               [ttl_s, granted_ttl_s, keys]
``LEASE_LIST``                                                                         [ids]
``WATCH_HISTORY``         key, flags, range_end, start_revision, min_revision,         [events, next_revision]
                          max_bytes
``STATUS``                                                                             a map, see ``STATUS_FIELDS``
``HASH_KV``               revision=0                                                   [hash, compact_revision,
                                                                                        hash_revision]
``HELLO``                 protocol version, client name                                a map, see ``HELLO_FIELDS``
``ALARM``                 action, member, alarm                                        [[member, alarm], ...]
``DEFRAGMENT``                                                                         None
``MEMBER_LIST``           linearizable=True                                            members
``MEMBER_ADD``            name, peer_urls, is_learner                                  [member, members, [cluster_id,
                                                                                        initial members]]
``MEMBER_REMOVE``         id                                                           members
``MEMBER_UPDATE``         id, peer_urls                                                members
``MEMBER_PROMOTE``        id                                                           members
``MOVE_LEADER``           id                                                           None
========================  ===========================================================  =================================

- A *kv* is ``[key, value, create_revision, mod_revision, version, lease]``.
- A *compare* is ``[result, target, key, operand, range_end=b""]``.
- An *operation in a transaction* is ``[operation, *arguments]`` with RANGE, PUT, DELETE or TXN; its *response* is
  ``[operation, revision, result]``.
- An *event* is ``[type, kv, previous kv or None]``; the kv of a deletion has only key and mod_revision.
- *members* are ``[id, name, peer_urls, native_urls, is_learner, client_urls]`` each, in the order of their ids; the
  name of one that has not started yet is empty, and one of an earlier release ends before ``client_urls``. *Initial
  members* are ``[id, name, peer_urls]`` each. Replies to MEMBER operations have revision 0 (etcd likewise).
- ``range_end`` is etcd's: empty for one key, a single zero byte for all keys from ``key`` on.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, TypeAlias

PROTOCOL_VERSION = 1

KeyValue: TypeAlias = tuple[bytes, bytes, int, int, int, int]
"""(key, value, create_revision, mod_revision, version, lease), as it travels."""

Event: TypeAlias = tuple[int, KeyValue, KeyValue | None]
"""(type, kv, previous kv), as it travels."""

Request: TypeAlias = list[Any]
"""[sequence, operation, *arguments]."""


class Op(IntEnum):
    """Operation numbers. Numbers are never used again for something else."""

    RANGE = 1
    PUT = 10
    DELETE = 11
    TXN = 12
    COMPACT = 13
    LEASE_GRANT = 20
    LEASE_REVOKE = 21
    LEASE_KEEPALIVE = 22
    LEASE_TIME_TO_LIVE = 23
    LEASE_LIST = 24
    WATCH_HISTORY = 30
    STATUS = 40
    HASH_KV = 41
    HELLO = 42
    ALARM = 43
    DEFRAGMENT = 44
    MEMBER_LIST = 50
    MEMBER_ADD = 51
    MEMBER_REMOVE = 52
    MEMBER_UPDATE = 53
    MEMBER_PROMOTE = 54
    MOVE_LEADER = 55


class RangeFlag(IntFlag):
    """How a range is read."""

    SERIALIZABLE = 1
    """Answer from the local replica, which may be behind."""
    KEYS_ONLY = 2
    COUNT_ONLY = 4
    NO_COUNT = 8
    """The caller does not need ``count`` (it comes back as the number of kvs): spares a walk over the rest of the
    range."""
    PAGED = 16
    """The result may be cut where it grows long, if it is in the order of keys and has no bounds on revisions:
    ``more`` is then ``CUT``, and the caller asks on from behind the last key, at the revision of the first answer."""


CUT = 2
"""``more`` of a result that was cut because of its length, not because of the limit."""


class PutFlag(IntFlag):
    PREV_KV = 1
    IGNORE_VALUE = 2
    IGNORE_LEASE = 4


class DeleteFlag(IntFlag):
    PREV_KV = 1


class WatchFlag(IntFlag):
    PREV_KV = 1
    NO_PUT = 2
    NO_DELETE = 4


class SortOrder(IntEnum):
    NONE = 0
    ASCEND = 1
    DESCEND = 2


class SortTarget(IntEnum):
    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


class CompareResult(IntEnum):
    EQUAL = 0
    GREATER = 1
    LESS = 2
    NOT_EQUAL = 3


class CompareTarget(IntEnum):
    VERSION = 0
    CREATE = 1
    MOD = 2
    VALUE = 3
    LEASE = 4


class EventType(IntEnum):
    PUT = 0
    DELETE = 1


class AlarmAction(IntEnum):
    GET = 0
    ACTIVATE = 1
    DEACTIVATE = 2


class Alarm(IntEnum):
    NONE = 0
    NOSPACE = 1
    CORRUPT = 2


FROM_KEY = b"\0"
"""A ``range_end`` that means: every key from ``key`` on."""

WRITES = frozenset(
    {Op.PUT, Op.DELETE, Op.TXN, Op.COMPACT, Op.LEASE_GRANT, Op.LEASE_REVOKE, Op.ALARM},
)
"""Operations that may go through the log (a transaction of ranges alone, and an alarm GET, do not)."""

MEMBERSHIP = frozenset(
    {Op.MEMBER_LIST, Op.MEMBER_ADD, Op.MEMBER_REMOVE, Op.MEMBER_UPDATE, Op.MEMBER_PROMOTE, Op.MOVE_LEADER},
)
"""Operations about the cluster itself, which coordinators decide."""

MAX_PEER_URLS = 16
"""Of one member: more is nobody's configuration."""

MAX_TTL_S = 9_000_000_000
MIN_TTL_S = 2
"""etcd's bounds on a lease: ceil(3/2 election time-outs) at its default settings."""

DEFAULT_MAX_TXN_OPS = 128
DEFAULT_MAX_REQUEST_BYTES = 1_572_864
MAX_TXN_DEPTH = 32
"""Nesting of transactions; deeper is refused before anything recurses into it."""

HELLO_FIELDS = (
    "version",  # of the server software
    "protocol",
    "cluster_id",
    "member_id",
    "incarnation",  # of the worker, random, another one after every restart
    "watch_endpoint",  # "tcp://host:port", host "*" or "0.0.0.0" means: the host the client used
    "max_request_bytes",
    "max_txn_ops",
)

STATUS_FIELDS = (
    "version",
    "cluster_id",
    "member_id",
    "leader",
    "raft_term",
    "raft_index",
    "raft_applied_index",
    "db_size",
    "db_size_in_use",
    "db_size_quota",
    "is_learner",
    "errors",
    "revision",
    "compact_revision",
    "workers",
)


def event_bytes(event: Event) -> int:
    """How long the keys and values of an event are, those of the previous kv included.

    >>> event_bytes((0, (b"key", b"new", 1, 2, 2, 0), (b"key", b"old!", 1, 1, 1, 0)))
    13
    """
    _, kv, previous = event
    size_bytes = len(kv[0]) + len(kv[1])
    return size_bytes if previous is None else size_bytes + len(previous[0]) + len(previous[1])


def prefix_end(prefix: bytes) -> bytes:
    """The ``range_end`` that makes a range of all keys that begin with ``prefix`` (etcd clientv3, GetPrefixRangeEnd).

    Args:
        prefix: any bytes; empty means every key.

    Returns:
        The smallest key above all keys with the prefix, or ``FROM_KEY`` where there is none.

    >>> prefix_end(b"ab"), prefix_end(b"a\\xff"), prefix_end(b"")
    (b'ac', b'b', b'\\x00')
    """
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return FROM_KEY
    return stripped[:-1] + bytes((stripped[-1] + 1,))
