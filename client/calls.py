"""Requests as data: what each method sends, and how its result is read.

A ``Call`` is what the synchronous and the asyncio client have in common: ``put(key, value)`` here checks the arguments
and gives the operation, its arguments in wire order without the defaults at the end, and the decoder of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, NamedTuple, TypedDict, TypeVar, Unpack, cast

from oarlock.arguments import INT64_MIN, ArgumentError, check_int, to_bytes
from oarlock.paging import Pages
from oarlock.results import (
    AlarmMember,
    CompactResult,
    DeleteResult,
    HashKv,
    Header,
    KeyValue,
    LeaseGrantResult,
    LeaseKeepAliveResult,
    LeaseTimeToLive,
    MemberAddResult,
    MemberList,
    PutResult,
    RangeResult,
    Response,
    Status,
    TransactionResult,
    key_value,
    key_values,
    member,
)
from oarlock.wire.operations import (
    FROM_KEY,
    Alarm,
    AlarmAction,
    DeleteFlag,
    Op,
    PutFlag,
    RangeFlag,
    SortOrder,
    SortTarget,
    prefix_end,
)

T = TypeVar("T")
Decoder = Callable[[Header, Any], T]

_SORT_ORDERS: Final = {"none": 0, "ascend": 1, "descend": 2}
_SORT_TARGETS: Final = {"key": 0, "version": 1, "create": 2, "mod": 3, "value": 4}
_RANGE_DEFAULTS: Final = (None, 0, b"", 0, 0, 0, 0, 0, 0, 0, 0, 0)
_SERIALIZABLE: Final = int(RangeFlag.SERIALIZABLE)
_UINT64_MAX: Final = (1 << 64) - 1


class Call(NamedTuple, Generic[T]):
    """One request: the operation, its arguments in wire order, and what makes the result of the reply."""

    op: int
    arguments: tuple[Any, ...]
    decode: Decoder[T]


class RangeOptions(TypedDict, total=False):
    """How a range is read.

    Attributes:
        revision: read the store as it was then; 0 is now.
        limit: return so many keys at most; 0 is all.
        sort_order: "none", "ascend" or "descend".
        sort_target: "key", "version", "create", "mod" or "value".
        keys_only: leave the values empty.
        count_only: only count.
        serializable: answer from the local replica, which may be behind; faster, and works without a leader.
        min_revision: answer only when the replica has got there (read your writes, across workers and members).
        min_mod_revision: only keys last written at or after it; likewise the other three bounds, all inclusive.
    """

    revision: int
    limit: int
    sort_order: SortOrder | str
    sort_target: SortTarget | str
    keys_only: bool
    count_only: bool
    serializable: bool
    min_revision: int
    min_mod_revision: int
    max_mod_revision: int
    min_create_revision: int
    max_create_revision: int


def put(
    key: str | bytes,
    value: str | bytes = b"",
    *,
    lease: int = 0,
    prev_kv: bool = False,
    ignore_value: bool = False,
    ignore_lease: bool = False,
) -> Call[PutResult]:
    arguments: tuple[Any, ...] = (to_bytes("key", key), to_bytes("value", value))
    flags = prev_kv * PutFlag.PREV_KV + ignore_value * PutFlag.IGNORE_VALUE + ignore_lease * PutFlag.IGNORE_LEASE
    if flags:
        arguments = (*arguments, _lease_id(lease), int(flags))
    elif lease:
        arguments = (*arguments, _lease_id(lease))
    return Call(10, arguments, _decode_put)


def get(
    key: str | bytes, *, revision: int = 0, serializable: bool = False, min_revision: int = 0
) -> Call[KeyValue | None]:
    if revision or min_revision:
        call = range_(key, revision=revision, serializable=serializable, min_revision=min_revision)
        return Call(call.op, call.arguments, _decode_get)
    if serializable:
        return Call(1, (to_bytes("key", key), _SERIALIZABLE), _decode_get)
    return Call(1, (to_bytes("key", key),), _decode_get)


def range_(
    key: str | bytes,
    range_end: str | bytes = b"",
    *,
    revision: int = 0,
    limit: int = 0,
    sort_order: SortOrder | str = SortOrder.NONE,
    sort_target: SortTarget | str = SortTarget.KEY,
    keys_only: bool = False,
    count_only: bool = False,
    serializable: bool = False,
    min_revision: int = 0,
    min_mod_revision: int = 0,
    max_mod_revision: int = 0,
    min_create_revision: int = 0,
    max_create_revision: int = 0,
) -> Call[RangeResult]:
    flags = serializable * RangeFlag.SERIALIZABLE + keys_only * RangeFlag.KEYS_ONLY + count_only * RangeFlag.COUNT_ONLY
    arguments = (
        to_bytes("key", key),
        int(flags),
        to_bytes("range_end", range_end),
        check_int("limit", limit),
        check_int("revision", revision, INT64_MIN),
        _choice("sort_order", sort_order, _SORT_ORDERS),
        _choice("sort_target", sort_target, _SORT_TARGETS),
        check_int("min_mod_revision", min_mod_revision),
        check_int("max_mod_revision", max_mod_revision),
        check_int("min_create_revision", min_create_revision),
        check_int("max_create_revision", max_create_revision),
        check_int("min_revision", min_revision),
    )
    in_key_order = arguments[5] != SortOrder.DESCEND and arguments[6] == SortTarget.KEY
    if range_end and in_key_order and not count_only and not any(arguments[7:11]):
        pages = Pages(arguments, key_values)
        # The session keeps its other result, a next page, to itself.
        return Call(Op.RANGE, pages.first, cast(Decoder[RangeResult], pages))
    length = len(arguments)
    while arguments[length - 1] == _RANGE_DEFAULTS[length - 1]:  # ends at the key, which equals no default
        length -= 1
    return Call(Op.RANGE, arguments[:length], _decode_range)


def get_prefix(prefix: str | bytes, **options: Unpack[RangeOptions]) -> Call[RangeResult]:
    return range_(*_prefix(prefix), **options)


def get_all(**options: Unpack[RangeOptions]) -> Call[RangeResult]:
    return range_(b"\0", FROM_KEY, **options)


def get_from(key: str | bytes, **options: Unpack[RangeOptions]) -> Call[RangeResult]:
    return range_(key, FROM_KEY, **options)


def count_prefix(prefix: str | bytes, **options: Unpack[RangeOptions]) -> Call[int]:
    options["count_only"] = True
    call = range_(*_prefix(prefix), **options)
    return Call(call.op, call.arguments, lambda header, result: int(result[2]))


def delete(key: str | bytes, range_end: str | bytes = b"", *, prev_kv: bool = False) -> Call[DeleteResult]:
    key, range_end = to_bytes("key", key), to_bytes("range_end", range_end)
    flags = int(DeleteFlag.PREV_KV) if prev_kv else 0
    arguments = (key, flags, range_end) if range_end else (key, flags) if flags else (key,)
    return Call(Op.DELETE, arguments, _decode_delete)


def delete_prefix(prefix: str | bytes, *, prev_kv: bool = False) -> Call[DeleteResult]:
    return delete(*_prefix(prefix), prev_kv=prev_kv)


def compact(revision: int, physical: bool = False) -> Call[CompactResult]:
    return Call(
        Op.COMPACT,
        (check_int("revision", revision, INT64_MIN), bool(physical)),
        lambda header, result: CompactResult(header),
    )


def lease_grant(ttl_s: int, lease_id: int = 0) -> Call[LeaseGrantResult]:
    arguments = (_lease_id(lease_id), check_int("ttl_s", ttl_s, INT64_MIN))
    return Call(Op.LEASE_GRANT, arguments, lambda header, result: LeaseGrantResult(header, *result))


def lease_revoke(lease_id: int) -> Call[Header]:
    return Call(Op.LEASE_REVOKE, (_lease_id(lease_id),), lambda header, result: header)


def lease_keep_alive(lease_id: int) -> Call[LeaseKeepAliveResult]:
    return Call(
        Op.LEASE_KEEPALIVE,
        (_lease_id(lease_id),),
        lambda header, result: LeaseKeepAliveResult(header, lease_id, result),
    )


def lease_time_to_live(lease_id: int, keys: bool = False) -> Call[LeaseTimeToLive]:
    return Call(
        Op.LEASE_TIME_TO_LIVE,
        (_lease_id(lease_id), bool(keys)),
        lambda header, result: LeaseTimeToLive(header, lease_id, result[0], result[1], list(result[2])),
    )


def lease_list() -> Call[list[int]]:
    return Call(Op.LEASE_LIST, (), lambda header, result: list(result[0]))


def status() -> Call[Status]:
    return Call(Op.STATUS, (), _decode_status)


def hash_kv(revision: int = 0) -> Call[HashKv]:
    return Call(Op.HASH_KV, (check_int("revision", revision),), lambda header, result: HashKv(header, *result))


def alarm(action: AlarmAction, member_id: int = 0, alarm: Alarm | int = Alarm.NONE) -> Call[list[AlarmMember]]:
    arguments = (
        int(action),
        check_int("member_id", member_id, 0, _UINT64_MAX),
        check_int("alarm", alarm, 0, max(Alarm)),
    )
    return Call(Op.ALARM, arguments, _decode_alarms)


def defragment() -> Call[None]:
    return Call(Op.DEFRAGMENT, (), lambda header, result: None)


def member_list(linearizable: bool = True) -> Call[MemberList]:
    return Call(Op.MEMBER_LIST, (bool(linearizable),), _decode_members)


def member_add(peer_urls: str | Iterable[str], name: str = "", learner: bool = False) -> Call[MemberAddResult]:
    return Call(Op.MEMBER_ADD, (name, _urls(peer_urls), bool(learner)), _decode_member_add)


def member_remove(member_id: int) -> Call[MemberList]:
    return Call(Op.MEMBER_REMOVE, (_member_id(member_id),), _decode_members)


def member_update(member_id: int, peer_urls: str | Iterable[str]) -> Call[MemberList]:
    return Call(Op.MEMBER_UPDATE, (_member_id(member_id), _urls(peer_urls)), _decode_members)


def member_promote(member_id: int) -> Call[MemberList]:
    return Call(Op.MEMBER_PROMOTE, (_member_id(member_id),), _decode_members)


def move_leader(member_id: int) -> Call[Header]:
    return Call(Op.MOVE_LEADER, (_member_id(member_id),), lambda header, result: header)


def decode_transaction(header: Header, result: list[Any]) -> TransactionResult:
    """A transaction's result, with its inner results, whose headers have only a revision."""
    succeeded, responses = result
    return TransactionResult(header, succeeded, [_decode_response(*response) for response in responses])


def _decode_response(op: int, revision: int, result: Any) -> Response:
    response: Response = _RESPONSES[op](Header(0, 0, revision, 0), result)
    return response


def _decode_put(header: Header, result: list[Any] | None) -> PutResult:
    return tuple.__new__(PutResult, (header, None if result is None else key_value(result)))


def _decode_get(header: Header, result: list[Any]) -> KeyValue | None:
    kvs = result[0]
    return key_value(kvs[0]) if kvs else None


def _decode_range(header: Header, result: list[Any]) -> RangeResult:
    return RangeResult(header, key_values(result[0]), bool(result[1]), result[2])


def _decode_delete(header: Header, result: list[Any]) -> DeleteResult:
    return DeleteResult(header, result[0], key_values(result[1] or []))


def _decode_status(header: Header, result: dict[str, Any]) -> Status:
    return Status(
        header=header,
        version=result["version"],
        leader=result["leader"],
        raft_index=result["raft_index"],
        raft_applied_index=result["raft_applied_index"],
        db_size=result["db_size"],
        db_size_in_use=result["db_size_in_use"],
        db_size_quota=result["db_size_quota"],
        is_learner=bool(result["is_learner"]),
        errors=list(result["errors"] or []),
        compact_revision=result["compact_revision"],
        workers=result["workers"],
        raw=result,
    )


def _decode_alarms(header: Header, result: list[Any]) -> list[AlarmMember]:
    return [AlarmMember(member_id, Alarm(alarm)) for member_id, alarm in result]


def _decode_members(header: Header, result: list[Any]) -> MemberList:
    return MemberList(header, [member(wire) for wire in result])


def _decode_member_add(header: Header, result: list[Any]) -> MemberAddResult:
    return MemberAddResult(header, member(result[0]), [member(wire) for wire in result[1]])


_RESPONSES: Final[dict[int, Decoder[Any]]] = {
    Op.RANGE: _decode_range,
    Op.PUT: _decode_put,
    Op.DELETE: _decode_delete,
    Op.TXN: decode_transaction,
}


def _lease_id(lease_id: int) -> int:
    return check_int("lease", lease_id, INT64_MIN)


def _member_id(member_id: int) -> int:
    return check_int("member_id", member_id, 0, _UINT64_MAX)


def _urls(peer_urls: str | Iterable[str]) -> list[str]:
    urls = [peer_urls] if isinstance(peer_urls, str) else list(peer_urls)
    for url in urls:
        if not isinstance(url, str):
            raise TypeError(f"a peer URL must be a str, not {url!r}")
    return urls


def _prefix(prefix: str | bytes) -> tuple[bytes, bytes]:
    start = to_bytes("prefix", prefix)
    return start or b"\0", prefix_end(start)


def _choice(name: str, value: int | str, names: dict[str, int]) -> int:
    """A sort setting by name ("descend") or number."""
    if isinstance(value, str):
        if value.lower() not in names:
            raise ArgumentError(f"{name} must be one of {', '.join(names)}, not {value!r}")
        return names[value.lower()]
    return check_int(name, value, 0, len(names) - 1)
