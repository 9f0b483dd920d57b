"""What differs on purpose, as docs/etcd-compatibility.md tells it: what Oarlock does instead."""

from __future__ import annotations

import grpc
import pytest

from oarlock.gateway.proto import rpc_pb2
from tests.differential.calls import ANSWER_S, Caller, Outcome, request
from tests.differential.pair import FROM_FIRST_KEY, Pair
from tests.differential.watching import WatchPair

INVALID_ARGUMENT, UNIMPLEMENTED = 3, 12


@pytest.fixture
def oarlock(pair: Pair) -> Caller:
    pair.begin()
    return pair.oarlock.caller


def test_an_unknown_comparison_is_refused(oarlock: Caller) -> None:
    for compare in (rpc_pb2.Compare(key=b"a", result=4), rpc_pb2.Compare(key=b"a", target=5)):  # type: ignore[arg-type]
        assert oarlock.call("KV/Txn", rpc_pb2.TxnRequest(compare=[compare])).code == INVALID_ARGUMENT


def test_an_unknown_order_is_refused(oarlock: Caller) -> None:
    for fields in ({"sort_order": 3}, {"sort_target": 5}, {"sort_order": 1, "sort_target": -1}):
        refused = oarlock.call("KV/Range", request("KV/Range", key=b"a", **fields))
        assert refused == Outcome(INVALID_ARGUMENT, "etcdserver: invalid sort option", [])


def test_a_stream_of_a_range_adds_up_to_the_range(pair: Pair) -> None:
    pair.begin()
    for first in range(0, 300, 100):
        keys = [rpc_pb2.PutRequest(key=b"%d" % number, value=b"v" * number) for number in range(first, first + 100)]
        pair.same("KV/Txn", rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=each) for each in keys]))
    whole = rpc_pb2.RangeResponse()
    for part in pair.oarlock.caller.call("KV/RangeStream", request("KV/RangeStream", **FROM_FIRST_KEY)).answers:
        whole.MergeFrom(part.range_response)  # type: ignore[attr-defined]
    assert [whole] == pair.oarlock.caller.call("KV/Range", request("KV/Range", **FROM_FIRST_KEY)).answers


def test_the_hash_of_the_compacted_revision_is_told(pair: Pair) -> None:
    pair.begin()
    revision = pair.same("KV/Put", key=b"a").answers[0].header.revision  # type: ignore[attr-defined]
    pair.same("KV/Compact", revision=revision)
    told = pair.oarlock.caller.call("Maintenance/HashKV", request("Maintenance/HashKV", revision=revision)).answers[0]
    assert (told.compact_revision, told.hash_revision) == (revision, revision)  # type: ignore[attr-defined]


def test_the_hash_of_no_key_at_all_is_not_zero(pair: Pair) -> None:
    revision = pair.begin()
    pair.same("KV/Compact", revision=revision)
    assert pair.same("Maintenance/HashKV").answers[0].hash  # type: ignore[attr-defined]


def test_a_watch_from_before_all_revisions_is_refused(pair: Pair) -> None:
    stream = pair.oarlock.caller.open("Watch/Watch")
    try:
        create = rpc_pb2.WatchCreateRequest(key=b"a", start_revision=-1)
        stream.send(rpc_pb2.WatchRequest(create_request=create))
        answer = stream.receive()
        assert (answer.watch_id, answer.created, answer.canceled) == (-1, True, True)  # type: ignore[attr-defined]
    finally:
        stream.cancel()


def test_a_deletion_at_the_compacted_revision_is_watched(pair: Pair) -> None:
    pair.begin()
    pair.same("KV/Put", key=b"a")
    deleted = pair.same("KV/DeleteRange", key=b"a").answers[0].header.revision  # type: ignore[attr-defined]
    pair.same("KV/Compact", revision=deleted, physical=True)
    stream = pair.oarlock.caller.open("Watch/Watch")
    try:
        create = rpc_pb2.WatchCreateRequest(key=b"a", start_revision=deleted)
        stream.send(rpc_pb2.WatchRequest(create_request=create))
        assert stream.receive().created  # type: ignore[attr-defined]
        assert [event.type for event in stream.receive().events] == [1]  # type: ignore[attr-defined]
    finally:
        stream.cancel()


def test_users_and_roles_are_not_built(oarlock: Caller) -> None:
    assert oarlock.call("Auth/UserAdd", request("Auth/UserAdd", name="u", password="p")).code == UNIMPLEMENTED
    assert oarlock.call("Auth/RoleAdd", request("Auth/RoleAdd", name="r")).code == UNIMPLEMENTED


def test_progress_is_told_only_behind_all_events(pair: Pair) -> None:
    pair.begin()
    watches = WatchPair(pair)
    try:
        last = pair.same("KV/Put", key=b"a").answers[0].header.revision  # type: ignore[attr-defined]
        ours = watches.streams[1]
        watches.catch_up()
        watches.send(rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest()))
        ours.wait_for(lambda: ours.count("progress", -1) == 1, "progress")
        assert ours.heard()[-1][0][1]["header"]["revision"] == last + 1
    finally:
        watches.close()


def test_a_token_is_ignored_while_authentication_is_off(pair: Pair) -> None:
    with grpc.insecure_channel(pair.oarlock.endpoint) as channel:
        asked = channel.unary_unary("/etcdserverpb.KV/Range")
        assert asked(b"\x0a\x01a", ANSWER_S, metadata=(("token", "nonsense"),))
