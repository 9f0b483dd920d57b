"""The first look at a request: its shape, its types, and the rules of etcd that need no state.

A request comes from anybody, so nothing is assumed of it but that msgpack made it. What passes here can be unpacked by
position without another look, in the worker that admits it and in every replica that applies it.

Sources: etcd v3 ``api/v3rpc/key.go`` (checkRangeRequest, checkPutRequest, checkTxnRequest) for rules and their order.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from enum import IntFlag
from typing import Any, Final, NamedTuple

from oarlock.wire.errors import (
    EmptyKeyError,
    InvalidSortError,
    KeyNotFoundError,
    LeaseProvidedError,
    LeaseTtlTooLargeError,
    ProtocolError,
    RequestTooLargeError,
    TooManyOperationsError,
    ValueProvidedError,
    WatcherRangeEmptyError,
)
from oarlock.wire.operations import (
    DEFAULT_MAX_REQUEST_BYTES,
    DEFAULT_MAX_TXN_OPS,
    FROM_KEY,
    MAX_PEER_URLS,
    MAX_TTL_S,
    MAX_TXN_DEPTH,
    Alarm,
    AlarmAction,
    CompareResult,
    CompareTarget,
    DeleteFlag,
    Op,
    PutFlag,
    RangeFlag,
    SortOrder,
    SortTarget,
    WatchFlag,
)
from oarlock.workers.duplicates import check_duplicates

INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1
UINT64_MAX: Final = (1 << 64) - 1
MAX_NAME_LENGTH: Final = 256
"""Of the name with which a client greets, in characters: enough for a host, a program and a process id."""


class Limits(NamedTuple):
    """What one request may be.

    Attributes:
        max_txn_ops: compares, and operations in a branch of a transaction (etcd ``--max-txn-ops``).
        max_request_bytes: keys, range ends and values of a request together (etcd ``--max-request-bytes``).
    """

    max_txn_ops: int = DEFAULT_MAX_TXN_OPS
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES


UNLIMITED: Final = Limits(INT64_MAX, INT64_MAX)
"""For requests from the log: the worker that admitted them has applied its limits, and all replicas must agree."""

Check = Callable[[str, Any], int]
"""Takes a field's name and value; raises ProtocolError, or returns how many bytes the value counts."""


class Shape(NamedTuple):
    """The arguments of an operation: the checks of its fields by name, and how many must be there."""

    required: int
    fields: tuple[tuple[str, Check], ...]


def check_request(request: Any, limits: Limits) -> None:
    """Refuses what is not a well-formed request.

    Args:
        request: anything that msgpack can hold.
        limits: what the server takes.

    Raises:
        ProtocolError: the shape, a type or a number is wrong; the message names the field and its value.
        RequestError: a subclass with etcd's text, for what etcd refuses before it looks at its state.
    """
    # A put without options and a get of one key first: they are nearly all of the traffic.
    if type(request) is not list or len(request) < 2:
        raise ProtocolError(f"{ProtocolError.text}: a request is [sequence, operation, ...], not {_show(request)}")
    sequence = request[0]
    operation = request[1]
    if type(sequence) is not int or not 0 < sequence <= INT64_MAX:
        raise ProtocolError(f"{ProtocolError.text}: a sequence is 1 to 2**63-1, not {_show(sequence)}")
    if type(operation) is int:
        if operation == 10:
            if len(request) == 4:
                key = request[2]
                value = request[3]
                if type(key) is bytes and key and type(value) is bytes:
                    if len(key) + len(value) <= limits.max_request_bytes:
                        return
                    raise RequestTooLargeError
        elif operation == 1 and (length := len(request)) <= 4 and length > 2:
            key = request[2]
            if type(key) is bytes and key and len(key) <= limits.max_request_bytes:
                if length == 3:
                    return
                flags = request[3]
                if type(flags) is int and 0 <= flags <= _ALL_RANGE_FLAGS:
                    return
        check = _CHECKS.get(operation)
        if check is not None:
            if check(request[2:], limits) > limits.max_request_bytes:
                raise RequestTooLargeError
            return
    raise ProtocolError(f"{ProtocolError.text}: unknown operation {_show(operation)}")


# ---------------------------------------------------------------------------------------------------------------------
# Fields


_repr = reprlib.Repr()
_repr.maxlevel = 2
_repr.maxlist = _repr.maxdict = _repr.maxtuple = 4
_repr.maxstring = _repr.maxother = 60


def _show(value: Any) -> str:
    """A short picture of any value, for an error message."""
    return _repr.repr(value[:40] if type(value) is bytes else value)


def _wrong(name: str, rule: str, value: Any) -> ProtocolError:
    return ProtocolError(f"{ProtocolError.text}: {name} must be {rule}, not {_show(value)}")


def _is_bytes(name: str, value: Any) -> int:
    if type(value) is not bytes:
        raise _wrong(name, "bytes", value)
    return len(value)


def _is_bool(name: str, value: Any) -> int:
    if type(value) is not bool:
        raise _wrong(name, "a boolean", value)
    return 0


def _is_list(name: str, value: Any) -> int:
    if type(value) is not list:
        raise _wrong(name, "an array", value)
    return 0


def _is_name(name: str, value: Any) -> int:
    if type(value) is not str or len(value) > MAX_NAME_LENGTH:
        raise _wrong(name, f"a string of at most {MAX_NAME_LENGTH} characters", value)
    return 0


def _is_urls(name: str, value: Any) -> int:
    """A list of texts; whether they are URLs is for the leader to say, in etcd's words."""
    if type(value) is not list or len(value) > MAX_PEER_URLS or not all(type(url) is str for url in value):
        raise _wrong(name, f"a list of at most {MAX_PEER_URLS} texts", value)
    return sum(map(len, value))


def _between(lowest: int, highest: int) -> Check:
    def check(name: str, value: Any) -> int:
        if type(value) is not int or not lowest <= value <= highest:
            raise _wrong(name, f"an integer from {lowest} to {highest}", value)
        return 0

    return check


def _flags(kind: type[IntFlag]) -> Check:
    return _between(0, sum(kind))


_is_int64 = _between(INT64_MIN, INT64_MAX)
_is_uint64 = _between(0, UINT64_MAX)

_TXN: Final = int(Op.TXN)
_ALL_RANGE_FLAGS: Final = int(sum(RangeFlag))
_SHAPES: Final[dict[int, Shape]] = {
    Op.RANGE: Shape(
        1,
        (
            ("key", _is_bytes),
            ("flags", _flags(RangeFlag)),
            ("range_end", _is_bytes),
            ("limit", _is_int64),
            ("revision", _is_int64),
            ("sort_order", _is_int64),
            ("sort_target", _is_int64),
            ("min_mod", _is_int64),
            ("max_mod", _is_int64),
            ("min_create", _is_int64),
            ("max_create", _is_int64),
            ("min_revision", _is_int64),
        ),
    ),
    Op.PUT: Shape(
        2,
        (
            ("key", _is_bytes),
            ("value", _is_bytes),
            ("lease", _is_int64),
            ("flags", _flags(PutFlag)),
        ),
    ),
    Op.DELETE: Shape(
        1,
        (("key", _is_bytes), ("flags", _flags(DeleteFlag)), ("range_end", _is_bytes)),
    ),
    Op.TXN: Shape(3, (("compares", _is_list), ("success", _is_list), ("failure", _is_list))),
    Op.COMPACT: Shape(1, (("revision", _is_int64), ("physical", _is_bool))),
    Op.LEASE_GRANT: Shape(2, (("id", _is_int64), ("ttl_s", _is_int64))),
    Op.LEASE_REVOKE: Shape(1, (("id", _is_int64),)),
    Op.LEASE_KEEPALIVE: Shape(1, (("id", _is_int64),)),
    Op.LEASE_TIME_TO_LIVE: Shape(1, (("id", _is_int64), ("keys", _is_bool))),
    Op.LEASE_LIST: Shape(0, ()),
    Op.WATCH_HISTORY: Shape(
        6,
        (
            ("key", _is_bytes),
            ("flags", _flags(WatchFlag)),
            ("range_end", _is_bytes),
            ("start_revision", _is_int64),
            ("min_revision", _is_int64),
            ("max_bytes", _between(1, INT64_MAX)),
        ),
    ),
    Op.STATUS: Shape(0, ()),
    Op.HASH_KV: Shape(0, (("revision", _is_int64),)),
    Op.HELLO: Shape(2, (("protocol version", _is_uint64), ("client name", _is_name))),
    Op.ALARM: Shape(
        3,
        (
            ("action", _between(0, max(AlarmAction))),
            ("member", _is_uint64),
            ("alarm", _between(0, max(Alarm))),
        ),
    ),
    Op.DEFRAGMENT: Shape(0, ()),
    Op.MEMBER_LIST: Shape(0, (("linearizable", _is_bool),)),
    Op.MEMBER_ADD: Shape(3, (("name", _is_name), ("peer_urls", _is_urls), ("is_learner", _is_bool))),
    Op.MEMBER_REMOVE: Shape(1, (("id", _is_uint64),)),
    Op.MEMBER_UPDATE: Shape(2, (("id", _is_uint64), ("peer_urls", _is_urls))),
    Op.MEMBER_PROMOTE: Shape(1, (("id", _is_uint64),)),
    Op.MOVE_LEADER: Shape(1, (("id", _is_uint64),)),
}
_LAST_RESULT: Final = int(max(CompareResult))
_LAST_TARGET: Final = int(max(CompareTarget))
_VALUE: Final = int(CompareTarget.VALUE)
_COMPARE: Final = Shape(
    4,
    (
        ("result", _between(0, max(CompareResult))),
        ("target", _between(0, max(CompareTarget))),
        ("key", _is_bytes),
        ("operand", lambda _name, value: len(value) if type(value) is bytes else 0),
        ("range_end", _is_bytes),
    ),
)


def _check_shape(what: str, shape: Shape, arguments: list[Any]) -> int:
    """Checks count, types and ranges of ``arguments``; returns how many bytes they count."""
    if not shape.required <= len(arguments) <= len(shape.fields):
        rule = f"{shape.required} to {len(shape.fields)}"
        raise ProtocolError(f"{ProtocolError.text}: {what} takes {rule} arguments, not {len(arguments)}")
    size = 0
    for value, (name, check) in zip(arguments, shape.fields, strict=False):
        size += check(name, value)
    return size


# ---------------------------------------------------------------------------------------------------------------------
# Operations: each takes the arguments and the limits, and returns how many bytes the arguments count


def _check_range(arguments: list[Any], limits: Limits) -> int:
    if _is_key_alone(arguments):  # as nearly all of a transaction's
        return len(arguments[0])
    size = _check_shape("RANGE", _SHAPES[Op.RANGE], arguments)
    if not arguments[0]:
        raise EmptyKeyError
    if len(arguments) > 5 and not 0 <= arguments[5] <= max(SortOrder):
        raise InvalidSortError
    if len(arguments) > 6 and not 0 <= arguments[6] <= max(SortTarget):
        raise InvalidSortError
    return size


def _is_key_alone(arguments: list[Any]) -> bool:
    return len(arguments) == 1 and type(arguments[0]) is bytes and len(arguments[0]) > 0


def _check_put(arguments: list[Any], limits: Limits) -> int:
    count = len(arguments)
    if count == 2 or (count == 4 and _is_lease_alone(arguments)):  # as nearly all
        key = arguments[0]
        value = arguments[1]
        if type(key) is bytes and key and type(value) is bytes:
            return len(key) + len(value)
    size = _check_shape("PUT", _SHAPES[Op.PUT], arguments)
    if not arguments[0]:
        raise EmptyKeyError
    flags = arguments[3] if len(arguments) > 3 else 0
    if flags & PutFlag.IGNORE_VALUE and arguments[1]:
        raise ValueProvidedError
    if flags & PutFlag.IGNORE_LEASE and arguments[2]:
        raise LeaseProvidedError
    return size


def _is_lease_alone(arguments: list[Any]) -> bool:
    """Whether of a put's options it has a lease and nothing else."""
    lease, flags = arguments[2], arguments[3]
    return type(lease) is int and INT64_MIN <= lease <= INT64_MAX and type(flags) is int and flags == 0


def _check_delete(arguments: list[Any], limits: Limits) -> int:
    if _is_key_alone(arguments):
        return len(arguments[0])
    size = _check_shape("DELETE", _SHAPES[Op.DELETE], arguments)
    if not arguments[0]:
        raise EmptyKeyError
    return size


def _check_txn(arguments: list[Any], limits: Limits) -> int:
    size = _check_txn_level(arguments, limits, limits.max_txn_ops, 1)
    check_duplicates(arguments[1])
    check_duplicates(arguments[2])
    return size


def _check_txn_level(arguments: list[Any], limits: Limits, budget: int, depth: int) -> int:
    """Checks one transaction without its duplicates; what it nests may use what it leaves of ``budget``."""
    if depth > MAX_TXN_DEPTH:
        raise TooManyOperationsError(f"{TooManyOperationsError.text}: nested deeper than {MAX_TXN_DEPTH}")
    if len(arguments) != 3 or not all(type(argument) is list for argument in arguments):
        _check_shape("TXN", _SHAPES[Op.TXN], arguments)
    compares, success, failure = arguments
    longest = max(len(compares), len(success), len(failure))
    if longest > budget:
        raise TooManyOperationsError
    size = 0
    for compare in compares:
        size += _check_compare(compare)
    for branch in (success, failure):
        for operation in branch:
            size += _check_txn_operation(operation, limits, budget - longest, depth)
    return size


def _check_compare(compare: Any) -> int:
    _is_list("a compare", compare)
    if len(compare) == 4:  # of one key with a number, as nearly all
        result = compare[0]
        target = compare[1]
        key = compare[2]
        operand = compare[3]
        if (
            type(result) is int
            and 0 <= result <= _LAST_RESULT
            and type(target) is int
            and 0 <= target <= _LAST_TARGET
            and target != _VALUE
            and type(key) is bytes
            and key
            and type(operand) is int
            and INT64_MIN <= operand <= INT64_MAX
        ):
            return len(key)
    size = _check_shape("a compare", _COMPARE, compare)
    if compare[1] == CompareTarget.VALUE:
        _is_bytes("the operand of a value compare", compare[3])
    else:
        _is_int64("the operand of a compare", compare[3])
    if not compare[2]:
        raise EmptyKeyError
    return size


def _check_txn_operation(operation: Any, limits: Limits, budget: int, depth: int) -> int:
    _is_list("an operation in a transaction", operation)
    if not operation:
        raise KeyNotFoundError  # etcd's answer to a RequestOp in which nothing is set
    number = operation[0]
    if type(number) is int:
        if number == _TXN:
            return _check_txn_level(operation[1:], limits, budget, depth + 1)
        check = _TXN_CHECKS.get(number)
        if check is not None:
            return check(operation[1:], limits)
    raise _wrong("an operation in a transaction", "RANGE, PUT, DELETE or TXN", number)


def _check_lease_grant(arguments: list[Any], limits: Limits) -> int:
    size = _check_shape("LEASE_GRANT", _SHAPES[Op.LEASE_GRANT], arguments)
    if arguments[1] > MAX_TTL_S:
        raise LeaseTtlTooLargeError
    return size


def _check_watch_history(arguments: list[Any], limits: Limits) -> int:
    size = _check_shape("WATCH_HISTORY", _SHAPES[Op.WATCH_HISTORY], arguments)
    key, range_end = arguments[0], arguments[2]
    if range_end and range_end != FROM_KEY and range_end <= (key or FROM_KEY):
        raise WatcherRangeEmptyError
    return size


def _shape_only(operation: Op) -> Callable[[list[Any], Limits], int]:
    shape = _SHAPES[operation]
    return lambda arguments, limits: _check_shape(operation.name, shape, arguments)


_TXN_CHECKS: Final = {int(Op.RANGE): _check_range, int(Op.PUT): _check_put, int(Op.DELETE): _check_delete}
_CHECKS: Final[dict[int, Callable[[list[Any], Limits], int]]] = {
    **{int(operation): _shape_only(operation) for operation in Op},
    **_TXN_CHECKS,
    int(Op.TXN): _check_txn,
    int(Op.LEASE_GRANT): _check_lease_grant,
    int(Op.WATCH_HISTORY): _check_watch_history,
}
