"""Transactions between protobuf and the native form. The response is written by hand: most writes of a large system are
transactions, and one of ten puts takes a tenth of the time that its messages take."""

from __future__ import annotations

from typing import Any, Final

from oarlock.gateway.proto.rpc_pb2 import Compare, RequestOp, TxnRequest
from oarlock.gateway.services.arguments import delete_arguments, put_arguments, range_arguments
from oarlock.gateway.services.key_values import delete_fields, encoded, put_fields
from oarlock.gateway.services.ranges import range_ending
from oarlock.gateway.varints import varint
from oarlock.wire.operations import CompareTarget, Op

_RANGE: Final = int(Op.RANGE)
_PUT: Final = int(Op.PUT)
_DELETE: Final = int(Op.DELETE)
_TXN: Final = int(Op.TXN)
_OPERANDS: Final = {
    int(CompareTarget.VERSION): "version",
    int(CompareTarget.CREATE): "create_revision",
    int(CompareTarget.MOD): "mod_revision",
    int(CompareTarget.VALUE): "value",
    int(CompareTarget.LEASE): "lease",
}
"""The field that holds what is compared with; another member of the union than the target's counts as not set."""


def txn_arguments(request: TxnRequest) -> list[Any]:
    """``[compares, success, failure]`` of the native TXN."""
    return [
        [_compare(compare) for compare in request.compare],
        [_operation(operation) for operation in request.success],
        [_operation(operation) for operation in request.failure],
    ]


def _compare(compare: Compare) -> list[Any]:
    operand = getattr(compare, _OPERANDS.get(compare.target, "version"))
    native = [compare.result, compare.target, compare.key, operand]
    return [*native, compare.range_end] if compare.range_end else native


def _operation(operation: RequestOp) -> list[Any]:
    kind = operation.WhichOneof("request")
    if kind == "request_put":
        return [_PUT, *put_arguments(operation.request_put)]
    if kind == "request_range":
        return [_RANGE, *_without_defaults(range_arguments(operation.request_range))]
    if kind == "request_delete_range":
        return [_DELETE, *_without_defaults(delete_arguments(operation.request_delete_range))]
    if kind == "request_txn":
        return [_TXN, *txn_arguments(operation.request_txn)]
    return []  # refused by the worker with etcd's words, in its turn


def _without_defaults(arguments: list[Any]) -> list[Any]:
    """``arguments`` without zeros and empty texts at their end: what a get of one key has is two of eleven."""
    while len(arguments) > 1 and not arguments[-1]:
        arguments.pop()
    return arguments


def txn_fields(result: Any) -> bytes:
    """A TxnResponse of ``[succeeded, responses]`` without its header, serialized."""
    succeeded, responses = result
    parts = [b"\x10\x01"] if succeeded else []
    last_revision, last = -1, b""
    for operation, revision, outcome in responses:
        if operation == _PUT and outcome is None:
            if revision != last_revision:  # it is mostly the same for all
                last_revision, last = revision, _response(_PUT, _header(revision))
            parts.append(last)
        else:
            parts.append(_response(operation, _fields(operation, revision, outcome)))
    return b"".join(parts)


def _fields(operation: int, revision: int, outcome: Any) -> bytes:
    """The response of one operation, serialized."""
    if operation == _RANGE:
        kvs, more, count = outcome
        return _header(revision) + encoded(kvs, field=2) + range_ending(bool(more), count)
    if operation == _PUT:
        return _header(revision) + put_fields(outcome)
    if operation == _DELETE:
        return _header(revision) + delete_fields(outcome)
    return _header(0) + txn_fields(outcome)  # of a nested transaction it is there, and empty (etcd likewise)


def _header(revision: int) -> bytes:
    """Field 1 of a response inside a transaction: a ResponseHeader that has its revision alone."""
    body = b"\x18" + varint(revision) if revision else b""
    return b"\x0a" + varint(len(body)) + body


def _response(operation: int, body: bytes) -> bytes:
    """One of the field ``responses``: a ResponseOp."""
    inner = _TAGS[operation] + varint(len(body)) + body
    return b"\x1a" + varint(len(inner)) + inner


_TAGS: Final = {_RANGE: b"\x0a", _PUT: b"\x12", _DELETE: b"\x1a", _TXN: b"\x22"}
"""Of the fields of a ResponseOp."""
