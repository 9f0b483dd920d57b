"""etcdserverpb.KV: ranges, puts, deletions, transactions, compaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.proto.rpc_pb2 import (
    CompactionRequest,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
    TxnRequest,
)
from oarlock.gateway.service import Backend, Exchange, is_error
from oarlock.gateway.services.arguments import delete_flags, put_flags
from oarlock.gateway.services.key_values import encoded, to_message
from oarlock.gateway.services.ranges import Ranges
from oarlock.gateway.services.transactions import txn_arguments, txn_fields
from oarlock.wire.operations import Op

_PUT = int(Op.PUT)
_DELETE = int(Op.DELETE)


def methods(backend: Backend) -> Sequence[Method]:
    """The methods of the service."""
    kv = KeyValueService(backend)
    ranges = Ranges(backend)
    return (
        Method("/etcdserverpb.KV/Range", handler=ranges.range),
        Method("/etcdserverpb.KV/RangeStream", handler=ranges.range_stream, returns_stream=True),
        Method("/etcdserverpb.KV/Put", handler=kv.put),
        Method("/etcdserverpb.KV/DeleteRange", handler=kv.delete_range),
        Method("/etcdserverpb.KV/Txn", handler=kv.txn),
        Method("/etcdserverpb.KV/Compact", handler=kv.compact),
    )


class KeyValueService:
    """The calls that write."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def put(self, exchange: Exchange, message: bytes) -> None:
        """KV.Put."""
        backend = self._backend
        request = PutRequest.FromString(message)
        lease, flags = request.lease, put_flags(request)
        asked: list[Any] = [_PUT, request.key, request.value]
        if lease or flags:
            asked += (lease, flags)

        def done(item: Any) -> None:
            if item[1] < 0:
                exchange.fail(item)
                return
            reply = backend.header_field(item[1])
            if item[2] is not None:
                reply += PutResponse(prev_kv=to_message(item[2])).SerializeToString()
            exchange.reply(reply)

        backend.submit(asked, done)

    def delete_range(self, exchange: Exchange, message: bytes) -> None:
        """KV.DeleteRange."""
        request = DeleteRangeRequest.FromString(message)

        def done(item: Any) -> None:
            if is_error(item):
                exchange.fail(item)
                return
            deleted, previous = item[2]
            response = DeleteRangeResponse(deleted=deleted).SerializeToString()
            exchange.reply(self._backend.header_field(item[1]) + response + encoded(previous, field=3))

        self._backend.submit([_DELETE, request.key, delete_flags(request), request.range_end], done)

    def txn(self, exchange: Exchange, message: bytes) -> None:
        """KV.Txn."""
        arguments = txn_arguments(TxnRequest.FromString(message))

        def done(item: Any) -> None:
            if is_error(item):
                exchange.fail(item)
                return
            exchange.reply(self._backend.header_field(item[1]) + txn_fields(item[2]).SerializeToString())

        self._backend.submit([int(Op.TXN), *arguments], done)

    def compact(self, exchange: Exchange, message: bytes) -> None:
        """KV.Compact."""
        request = CompactionRequest.FromString(message)

        def done(item: Any) -> None:
            if is_error(item):
                exchange.fail(item)
            else:
                exchange.reply(self._backend.header_field(item[1]))

        self._backend.submit([int(Op.COMPACT), request.revision, request.physical], done)
