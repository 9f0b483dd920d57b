"""Lists that are longer than a page: whole, in order, at one revision."""

from __future__ import annotations

import grpc
import pytest

from oarlock.gateway.proto import rpc_pb2
from oarlock.wire.operations import prefix_end

from .calls import Door

KEYS = 6_000
VALUE = b"v" * 300


@pytest.fixture
def long_prefix(door: Door, prefix: bytes) -> bytes:
    """A prefix under which there are more keys than a page holds."""
    for begin in range(0, KEYS, 100):
        puts = [
            rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=prefix + b"%06d" % number, value=VALUE))
            for number in range(begin, begin + 100)
        ]
        door.call("KV/Txn", rpc_pb2.TxnRequest(success=puts))
    return prefix


@pytest.mark.slow
def test_a_long_list_is_whole_with_and_without_a_limit_and_streamed(door: Door, long_prefix: bytes) -> None:
    end = prefix_end(long_prefix)
    keys = [long_prefix + b"%06d" % number for number in range(KEYS)]

    whole = door.range(long_prefix, end)
    assert [kv.key for kv in whole.kvs] == keys
    assert {kv.value for kv in whole.kvs} == {VALUE}
    assert (whole.count, whole.more) == (KEYS, False)

    limited = door.range(long_prefix, end, limit=KEYS - 10)
    assert [kv.key for kv in limited.kvs] == keys[:-10]
    assert (limited.count, limited.more) == (KEYS, True)

    without_values = door.range(long_prefix, end, keys_only=True)
    assert [kv.key for kv in without_values.kvs] == keys
    assert not any(kv.value for kv in without_values.kvs)

    request = rpc_pb2.RangeRequest(key=long_prefix, range_end=end, limit=KEYS - 10)
    merged = rpc_pb2.RangeResponse()
    for part in door.stream("KV/RangeStream", request):
        merged.MergeFrom(part.range_response)
    limited.header.revision = merged.header.revision
    assert merged == limited


def test_a_streamed_range_refuses_what_needs_all_rows_first(door: Door) -> None:
    for request in (
        rpc_pb2.RangeRequest(key=b"a", range_end=b"b", sort_order=rpc_pb2.RangeRequest.DESCEND),
        rpc_pb2.RangeRequest(key=b"a", range_end=b"b", min_mod_revision=1),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            list(door.stream("KV/RangeStream", request))
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
