"""Transactions between protobuf and the native form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from oarlock.gateway.proto.rpc_pb2 import (
    Compare,
    DeleteRangeResponse,
    PutResponse,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)
from oarlock.gateway.services.arguments import delete_flags, put_flags, range_arguments
from oarlock.gateway.services.key_values import to_message
from oarlock.wire.operations import CompareTarget, Op

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
    return [compare.result, compare.target, compare.key, operand, compare.range_end]


def _operation(operation: RequestOp) -> list[Any]:
    kind = operation.WhichOneof("request")
    if kind == "request_put":
        put = operation.request_put
        return [int(Op.PUT), put.key, put.value, put.lease, put_flags(put)]
    if kind == "request_range":
        return [int(Op.RANGE), *range_arguments(operation.request_range)]
    if kind == "request_delete_range":
        delete = operation.request_delete_range
        return [int(Op.DELETE), delete.key, delete_flags(delete), delete.range_end]
    if kind == "request_txn":
        return [int(Op.TXN), *txn_arguments(operation.request_txn)]
    return []  # refused by the worker with etcd's words, in its turn


def txn_fields(result: Any) -> TxnResponse:
    """The response of ``[succeeded, responses]``, without a header."""
    succeeded, responses = result
    return TxnResponse(succeeded=succeeded, responses=_responses(responses))


def _responses(responses: Iterable[Any]) -> list[ResponseOp]:
    return [_RESPONSES[operation](revision, result) for operation, revision, result in responses]


def _range_response(revision: int, result: Any) -> ResponseOp:
    kvs, more, count = result
    response = RangeResponse(
        header=ResponseHeader(revision=revision), kvs=map(to_message, kvs), more=bool(more), count=count
    )
    return ResponseOp(response_range=response)


def _put_response(revision: int, result: Any) -> ResponseOp:
    response = PutResponse(header=ResponseHeader(revision=revision))
    if result is not None:
        response.prev_kv.CopyFrom(to_message(result))
    return ResponseOp(response_put=response)


def _delete_response(revision: int, result: Any) -> ResponseOp:
    deleted, previous = result
    response = DeleteRangeResponse(
        header=ResponseHeader(revision=revision), deleted=deleted, prev_kvs=map(to_message, previous)
    )
    return ResponseOp(response_delete_range=response)


def _txn_response(_: int, result: Any) -> ResponseOp:
    """The header of a nested transaction is there, and empty (etcd likewise)."""
    response = txn_fields(result)
    response.header.SetInParent()
    return ResponseOp(response_txn=response)


_RESPONSES: Final[dict[int, Callable[[int, Any], ResponseOp]]] = {
    int(Op.RANGE): _range_response,
    int(Op.PUT): _put_response,
    int(Op.DELETE): _delete_response,
    int(Op.TXN): _txn_response,
}
