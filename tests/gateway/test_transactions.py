"""Transactions from messages and to messages: what is written by hand is what protobuf writes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oarlock.gateway.proto import rpc_pb2
from oarlock.gateway.services.transactions import txn_arguments, txn_fields
from oarlock.wire.operations import Op, PutFlag
from oarlock.workers.validation import Limits, check_request
from tests.gateway.key_value_message import to_message

REVISIONS = st.integers(0, 3) | st.integers(0, (1 << 63) - 1)
KVS = st.tuples(st.binary(min_size=1), st.binary(), REVISIONS, REVISIONS, REVISIONS, st.integers(-(1 << 63), 1))
OUTCOMES = st.one_of(
    st.tuples(st.just(Op.PUT), REVISIONS, st.none() | KVS),
    st.tuples(st.just(Op.PUT), st.just(5), st.none()),
    st.tuples(st.just(Op.RANGE), REVISIONS, st.tuples(st.lists(KVS, max_size=3), st.booleans(), REVISIONS)),
    st.tuples(st.just(Op.DELETE), REVISIONS, st.tuples(REVISIONS, st.lists(KVS, max_size=2))),
)
RESULTS = st.recursive(
    st.tuples(st.booleans(), st.lists(OUTCOMES, max_size=5)),
    lambda inner: st.tuples(st.booleans(), st.lists(st.tuples(st.just(Op.TXN), st.just(0), inner) | OUTCOMES)),
    max_leaves=4,
)


def response_of(result: Any) -> rpc_pb2.TxnResponse:
    """``result`` as messages, field by field."""
    succeeded, outcomes = result
    response = rpc_pb2.TxnResponse(succeeded=succeeded)
    for operation, revision, outcome in outcomes:
        one = response.responses.add()
        if operation == Op.PUT:
            one.response_put.header.revision = revision
            if outcome is not None:
                one.response_put.prev_kv.CopyFrom(to_message(outcome))
        elif operation == Op.RANGE:
            found = one.response_range
            found.header.revision = revision
            found.kvs.extend(map(to_message, outcome[0]))
            found.more, found.count = outcome[1:]
        elif operation == Op.DELETE:
            one.response_delete_range.header.revision = revision
            one.response_delete_range.deleted = outcome[0]
            one.response_delete_range.prev_kvs.extend(map(to_message, outcome[1]))
        else:
            one.response_txn.CopyFrom(response_of(outcome))
            one.response_txn.header.SetInParent()
    return response


@given(RESULTS)
def test_a_response_is_as_protobuf_writes_it(result: Any) -> None:
    assert rpc_pb2.TxnResponse.FromString(txn_fields(result)) == response_of(result)


def test_arguments_leave_out_what_is_not_set() -> None:
    request = rpc_pb2.TxnRequest(
        compare=[rpc_pb2.Compare(target=rpc_pb2.Compare.MOD, key=b"k", mod_revision=7)],
        success=[
            rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"k", value=b"v")),
            rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"l", lease=9, prev_kv=True)),
        ],
        failure=[
            rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=b"k")),
            rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=b"k", range_end=b"z", limit=2)),
            rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=b"k")),
            rpc_pb2.RequestOp(request_txn=rpc_pb2.TxnRequest()),
        ],
    )
    arguments = txn_arguments(request)
    assert arguments == [
        [[0, 2, b"k", 7]],
        [[Op.PUT, b"k", b"v"], [Op.PUT, b"l", b"", 9, PutFlag.PREV_KV]],
        [[Op.RANGE, b"k"], [Op.RANGE, b"k", 0, b"z", 2], [Op.DELETE, b"k"], [Op.TXN, [], [], []]],
    ]
    check_request([1, int(Op.TXN), *arguments], Limits())
