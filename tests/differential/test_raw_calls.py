"""Calls at the edges of what etcd takes, one by one, to etcd and to Oarlock: the same answers, the same refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc
import pytest

from oarlock.gateway.proto import rpc_pb2
from tests.differential.alike import named
from tests.differential.calls import METHODS, Outcome, request
from tests.differential.pair import FROM_FIRST_KEY, Pair
from tests.differential.requests import LEAST_INT64, MOST_INT64
from tests.differential.servers import Side

Txn = rpc_pb2.TxnRequest
MAX_OPERATIONS: Final = 128
"""etcd's --max-txn-ops."""
FAILED_PRECONDITION: Final = 9


def put(key: bytes) -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key))


def get(key: bytes, **fields: Any) -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=key, **fields))


def delete(key: bytes, range_end: bytes = b"") -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=key, range_end=range_end))


def inner(*success: rpc_pb2.RequestOp, failure: tuple[rpc_pb2.RequestOp, ...] = ()) -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(request_txn=Txn(success=success, failure=failure))


def nested(depth: int, width: int) -> rpc_pb2.RequestOp:
    """A transaction in a transaction, ``depth`` deep, with ``width`` operations on each level."""
    operations = [get(b"a")] * (width - 1)
    return inner(*operations, nested(depth - 1, width) if depth else get(b"a"))


many_gets = [get(b"a")] * MAX_OPERATIONS
many_compares = [rpc_pb2.Compare(key=b"a")] * MAX_OPERATIONS
version_is = rpc_pb2.Compare(key=b"a", version=1)

TRANSACTIONS: Final[dict[str, rpc_pb2.TxnRequest]] = {
    "empty": Txn(),
    "as many operations as go": Txn(success=many_gets, failure=many_gets, compare=many_compares),
    "one success too many": Txn(success=[*many_gets, get(b"a")]),
    "one failure too many": Txn(failure=[*many_gets, get(b"a")]),
    "one comparison too many": Txn(compare=[*many_compares, version_is]),
    "too many within": Txn(success=[get(b"a")] * 127 + [nested(0, 2)]),
    "as many within as go": Txn(success=[get(b"a")] * 127 + [nested(0, 1)]),
    "deep and wide": Txn(success=[nested(4, 30)]),
    "deep": Txn(success=[nested(6, 5)]),
    "an operation that is none": Txn(success=[rpc_pb2.RequestOp()]),
    "none in the branch not taken": Txn(failure=[rpc_pb2.RequestOp()]),
    "an empty key": Txn(success=[put(b"")]),
    "an empty key in the branch not taken": Txn(failure=[put(b"")]),
    "an empty key to get": Txn(success=[get(b"")]),
    "an empty key to delete": Txn(success=[delete(b"")]),
    "an empty key to compare": Txn(compare=[rpc_pb2.Compare()]),
    "an empty key within": Txn(success=[inner(put(b""))]),
    "one key put twice": Txn(success=[put(b"a"), put(b"a")]),
    "one key put twice in the branch not taken": Txn(failure=[put(b"a"), put(b"a")]),
    "put in both branches": Txn(success=[put(b"a")], failure=[put(b"a")]),
    "put, then deleted": Txn(success=[put(b"a"), delete(b"a")]),
    "deleted, then put": Txn(success=[delete(b"a"), put(b"a")]),
    "deleted with a range, and put": Txn(success=[delete(b"a", b"c"), put(b"b")]),
    "deleted up to, and put": Txn(success=[delete(b"a", b"b"), put(b"b")]),
    "deleted from, and put": Txn(success=[delete(b"a", b"\0"), put(b"b")]),
    "deleted twice": Txn(success=[delete(b"a", b"c"), delete(b"b", b"d")]),
    "put, and put within": Txn(success=[put(b"a"), inner(put(b"a"))]),
    "put within, and put": Txn(success=[inner(put(b"a")), put(b"a")]),
    "put within twice": Txn(success=[inner(put(b"a")), inner(put(b"a"))]),
    "put within both branches": Txn(success=[inner(put(b"a"), failure=(put(b"a"),))]),
    "put within, deleted beside": Txn(success=[inner(put(b"a")), delete(b"a")]),
    "deleted within, put beside": Txn(success=[inner(delete(b"a")), put(b"a")]),
    "put within, deleted within the next": Txn(success=[inner(put(b"a")), inner(delete(b"a"))]),
    "deleted within, put within the next": Txn(success=[inner(delete(b"a")), inner(put(b"a"))]),
    "read after its own write": Txn(success=[get(b"n"), put(b"n"), get(b"n"), inner(put(b"m"), get(b"m")), get(b"m")]),
    "comparisons see the state before": Txn(
        success=[
            put(b"new"),
            rpc_pb2.RequestOp(request_txn=Txn(compare=[rpc_pb2.Compare(key=b"new", version=0)], success=[get(b"new")])),
        ]
    ),
    "a future revision": Txn(success=[put(b"f"), get(b"a", revision=MOST_INT64)]),
    "a future revision in the branch not taken": Txn(failure=[get(b"a", revision=MOST_INT64)]),
    "a negative revision": Txn(success=[get(b"a", revision=-1)]),
    "the present revision": Txn(success=[get(b"a", revision=1)]),
    "an unknown lease": Txn(success=[put(b"l"), rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"a", lease=99))]),
    "a value that is not there": Txn(
        success=[put(b"l"), rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"nothing", ignore_value=True))]
    ),
    "a value of its own": Txn(
        success=[put(b"own"), rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"own", ignore_value=True))]
    ),
    "sorted and bounded": Txn(
        success=[get(b"a", range_end=b"\0", sort_order=2, sort_target=4, limit=2, min_mod_revision=2)]
    ),
}


@pytest.mark.parametrize("name", TRANSACTIONS)
def test_a_transaction_is_answered_alike(pair: Pair, name: str) -> None:
    pair.begin()
    for key in (b"a", b"b", b"c"):
        pair.same("KV/Put", key=key, value=key)
    pair.same("KV/Txn", TRANSACTIONS[name])
    pair.same("KV/Range", **FROM_FIRST_KEY)


def test_requests_near_the_limit_of_size_are_answered_alike(pair: Pair) -> None:
    pair.begin()
    for size in (1_500_000, 1_600_000, 2_050_000, 3_000_000):
        assert pair.same("KV/Put", key=b"big", value=b"v" * size).code in (0, 3, 8)
    pair.same("KV/Range", key=b"big", keys_only=True)


def test_long_and_odd_keys_are_stored_alike(pair: Pair) -> None:
    pair.begin()
    for key in (b"\0", b"\0\0", b"\xff" * 600, b"k" * 510, b"k" * 511, b"k" * 512, b"k" * 10_000, b"\xc3\x28", b"a\0b"):
        pair.same("KV/Put", key=key, value=key[:3])
    pair.same("KV/Range", **FROM_FIRST_KEY)
    pair.same("KV/Range", key=b"k" * 511, range_end=b"k" * 10_000)
    pair.same("KV/DeleteRange", key=b"k", range_end=b"l", prev_kv=True)


def test_a_range_of_very_many_keys_is_answered_alike(pair: Pair) -> None:
    pair.begin()
    for start in range(0, 1000, MAX_OPERATIONS):
        pair.same("KV/Txn", Txn(success=[put(b"%04d" % n) for n in range(start, min(start + MAX_OPERATIONS, 1000))]))
    for limit in (0, 1, 999, 1000, 1001):
        pair.same("KV/Range", **FROM_FIRST_KEY, limit=limit, sort_order=2)
    pair.same("KV/DeleteRange", **FROM_FIRST_KEY, prev_kv=True)


def test_leases_at_their_edges_are_answered_alike(pair: Pair) -> None:
    pair.begin()
    for ttl_s in (0, -1, 1, LEAST_INT64, 9_000_000_000, 9_000_000_001, MOST_INT64):
        pair.same("Lease/LeaseGrant", ID=5, TTL=ttl_s)
        pair.same("Lease/LeaseGrant", ID=5, TTL=600)
        pair.same("Lease/LeaseRevoke", ID=5)
    pair.same("Lease/LeaseRevoke", ID=5)
    pair.same("Lease/LeaseRevoke", ID=0)
    pair.same("Lease/LeaseTimeToLive", ID=0, keys=True)
    assert all(
        side.caller.call("Lease/LeaseGrant", request("Lease/LeaseGrant", TTL=600)).answers[0].ID > 0  # type: ignore[attr-defined]
        for side in pair.sides
    )


def test_keepalives_are_answered_alike(pair: Pair) -> None:
    pair.begin()
    pair.same("Lease/LeaseGrant", ID=5, TTL=600)
    said = []
    for side in pair.sides:
        stream = side.caller.open("Lease/LeaseKeepAlive")
        answers = []
        for lease in (5, 6, 0, -1, 5):
            stream.send(request("Lease/LeaseKeepAlive", ID=lease))
            answers.append(stream.receive())
        stream.end_requests()
        with pytest.raises(StopIteration):
            stream.receive()
        said.append([(each.ID, each.TTL, each.header.revision, each.header.raft_term > 0) for each in answers])  # type: ignore[attr-defined]
    assert said[0] == said[1]


def test_refusals_of_the_cluster_are_alike(pair: Pair) -> None:
    pair.begin()
    for linearizable in (False, True):
        pair.same("Cluster/MemberList", linearizable=linearizable)
    for urls in (
        [],
        [""],
        ["nonsense"],
        ["http://host"],
        ["http://host:1/path"],
        ["ftp://host:1"],
        ["http://a:1", "x"],
    ):
        pair.same("Cluster/MemberAdd", peerURLs=urls)
    for member in (0, 1, (1 << 64) - 1):
        pair.same("Cluster/MemberRemove", ID=member)
        pair.same("Cluster/MemberUpdate", ID=member, peerURLs=["http://127.0.0.1:1"])
        pair.same("Cluster/MemberPromote", ID=member)
        pair.same("Maintenance/MoveLeader", targetID=member)
    pair.same("Cluster/MemberPromote", ID=_member)
    pair.same("Maintenance/MoveLeader", targetID=_member)


def test_a_learner_comes_and_goes_alike(pair: Pair) -> None:
    pair.begin()
    added = {}
    for side in pair.sides:
        result = side.caller.call(
            "Cluster/MemberAdd", request("Cluster/MemberAdd", peerURLs=["http://127.0.0.1:9"], isLearner=True)
        )
        assert result.code == 0, (side.name, result)
        added[side.name] = result.answers[0].member.ID  # type: ignore[attr-defined]
        side.ids[added[side.name]] = "<added>"
    try:
        pair.same("Cluster/MemberList")
        pair.same("Cluster/MemberAdd", peerURLs=lambda side: side.peer_urls)
        pair.same("Cluster/MemberAdd", peerURLs=["http://127.0.0.1:10"], isLearner=True)
        pair.let_etcd_advance()
        refused = [_promoted(side, added[side.name]) for side in pair.sides]
        assert [each.code for each in refused] == [FAILED_PRECONDITION] * 2  # of two reasons each names another first
        pair.same("Maintenance/MoveLeader", targetID=lambda side: added[side.name])
    finally:
        pair.same("Cluster/MemberRemove", ID=lambda side: added[side.name])
    pair.same("Cluster/MemberRemove", ID=lambda side: added[side.name])
    pair.same("Cluster/MemberUpdate", ID=lambda side: added[side.name], peerURLs=["http://127.0.0.1:9"])


def _promoted(side: Side, member: int) -> Outcome:
    return side.caller.call("Cluster/MemberPromote", request("Cluster/MemberPromote", ID=member))


@pytest.fixture
def disarmed(pair: Pair) -> Iterator[Pair]:
    """Both, with whatever alarm a test raises gone afterwards."""
    pair.begin()
    yield pair
    for side in pair.sides:
        for alarm in (1, 2):
            for member in (side.member_id, 0):
                off = request("Maintenance/Alarm", action=2, memberID=member, alarm=alarm)
                side.caller.call("Maintenance/Alarm", off)


@pytest.mark.parametrize("alarm", [1, 2], ids=["space", "corruption"])
def test_under_an_alarm_the_same_is_refused(disarmed: Pair, alarm: int) -> None:
    pair = disarmed
    pair.same("Lease/LeaseGrant", ID=5, TTL=600)
    pair.same("KV/Put", key=b"a", value=b"1")
    pair.same("Maintenance/Alarm", action=1, memberID=_member, alarm=0)
    pair.same("Maintenance/Alarm", action=2, memberID=_member, alarm=alarm)
    for _ in range(2):
        pair.same("Maintenance/Alarm", action=1, memberID=_member, alarm=alarm)
    for asked in (0, 1, 2):
        pair.same("Maintenance/Alarm", action=0, alarm=asked)
    pair.same("Maintenance/Alarm", action=0, alarm=alarm, memberID=12345)
    pair.same("KV/Put", key=b"a", value=b"2")
    pair.same("KV/Txn", Txn(success=[get(b"a")]))
    pair.same("KV/Txn", Txn(success=[put(b"a")]))
    pair.same("KV/Txn", Txn(success=[get(b"a")], failure=[put(b"a")]))
    pair.same("KV/Txn", Txn(success=[delete(b"x")]))
    pair.same("KV/Range", key=b"a")
    pair.same("KV/DeleteRange", key=b"nothing")
    pair.same("Lease/LeaseGrant", ID=6, TTL=600)
    pair.same("Lease/LeaseTimeToLive", ID=5)
    pair.same("Maintenance/Status")
    pair.same("Maintenance/Alarm", action=2, memberID=12345, alarm=alarm)
    pair.same("Maintenance/Alarm", action=2, memberID=_member, alarm=alarm)
    pair.same("Maintenance/Alarm", action=2, memberID=_member, alarm=alarm)
    pair.same("KV/Put", key=b"a", value=b"3")


def test_maintenance_is_answered_alike(pair: Pair) -> None:
    pair.begin()
    pair.same("KV/Put", key=b"a", value=b"1")
    for method in ("Status", "Hash", "HashKV", "Defragment"):
        pair.same(f"Maintenance/{method}")
    for version in ("", "x", "3", "3.4", "3.4.0", "3.3.0", "3.5.0", "3.6.0", "3.4.0.1", "v3.4", "3.04"):
        pair.same("Maintenance/Downgrade", action=rpc_pb2.DowngradeRequest.VALIDATE, version=version)


def test_a_snapshot_has_the_form_that_etcdctl_checks(pair: Pair) -> None:
    for side in pair.sides:
        blobs = side.caller.call("Maintenance/Snapshot").answers
        content = b"".join(each.blob for each in blobs)  # type: ignore[attr-defined]
        assert len(content) % 512 == 32
        assert content[-32:] == hashlib.sha256(content[:-32]).digest()
        left = [each.remaining_bytes for each in blobs]  # type: ignore[attr-defined]
        assert left == sorted(left, reverse=True)
        assert left[-1] == 0


AUTH: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("AuthStatus", {}),
    ("AuthEnable", {}),
    ("AuthDisable", {}),
    ("Authenticate", {}),
    ("Authenticate", {"name": "root", "password": "secret"}),
    ("UserAdd", {}),
    ("UserGet", {}),
    ("UserGet", {"name": "nobody"}),
    ("UserList", {}),
    ("UserDelete", {"name": "nobody"}),
    ("UserChangePassword", {"name": "nobody", "password": "secret"}),
    ("UserGrantRole", {"user": "nobody", "role": "nothing"}),
    ("UserGrantRole", {}),
    ("UserRevokeRole", {"name": "nobody", "role": "nothing"}),
    ("RoleAdd", {}),
    ("RoleGet", {"role": "nothing"}),
    ("RoleGet", {"role": "root"}),
    ("RoleList", {}),
    ("RoleDelete", {"role": "nothing"}),
    ("RoleGrantPermission", {"name": "nothing"}),
    ("RoleGrantPermission", {"name": "nothing", "perm": {"key": b"k"}}),
    ("RoleRevokePermission", {"role": "nothing", "key": b"k"}),
)


@pytest.mark.parametrize(("method", "fields"), AUTH, ids=lambda value: str(value))
def test_with_authentication_off_is_answered_alike(pair: Pair, method: str, fields: dict[str, Any]) -> None:
    pair.begin()
    pair.same(f"Auth/{method}", **fields)


def test_health_is_answered_alike(pair: Pair) -> None:
    for service in ("", "etcdserverpb.KV", "nonsense"):
        pair.same("Health/Check", service=service)


def _raw(side: Side, path: str, content: bytes, **metadata: str) -> Outcome:
    try:
        call = grpc.insecure_channel(side.endpoint).unary_unary(path)
        call(content, 60, metadata=tuple(metadata.items()))
    except grpc.RpcError as error:
        return Outcome(error.code().value[0], named(error.details() or "", side.ids), [])
    return Outcome(0, "", [])


ODD_VERSION: Final = {"client-api-version": "x"}
BROKEN: Final[dict[str, Callable[[Side], Outcome]]] = {
    "unknown service": lambda side: _raw(side, "/nonsense.Nothing/Do", b""),
    "unknown method": lambda side: _raw(side, "/etcdserverpb.KV/Nothing", b""),
    "unknown field": lambda side: _raw(side, "/etcdserverpb.KV/Range", b"\x0a\x01a\xfa\x3f\x02hi"),
    "with a leader": lambda side: _raw(side, "/etcdserverpb.KV/Range", b"\x0a\x01a", hasleader="true"),
    "with an odd version": lambda side: _raw(
        side, "/etcdserverpb.KV/Range", b"\x0a\x01a", **{"client-api-version": "x"}
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_odd_calls_end_alike(pair: Pair, name: str) -> None:
    theirs, ours = (BROKEN[name](side) for side in pair.sides)
    assert ours == theirs


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.client_streaming])
def test_messages_that_are_none_end_alike(pair: Pair, method: str) -> None:
    if method in ("KV/RangeStream", "Election/Observe", "Health/Watch"):
        pytest.skip("a stream, or nothing that etcd 3.5 has")
    theirs, ours = (side.caller.call_raw(method, b"\xff\xff\xff").code for side in pair.sides)
    assert ours == theirs


def _member(side: Side) -> int:
    return side.member_id
