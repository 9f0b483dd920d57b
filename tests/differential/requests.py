"""Requests as hypothesis makes them: few keys, so that they meet, and every edge on purpose.

A revision near ``NOW`` stands for one near the store's own when the request is sent: see `at`.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message
from hypothesis import strategies as st

from oarlock.gateway.proto import rpc_pb2
from tests.differential.calls import request

NOW: Final = 1 << 40
"""The store's revision at the time of the request."""
_NEAR: Final = 1000
MOST_INT64: Final = (1 << 63) - 1
LEAST_INT64: Final = -1 << 63

LONG_KEY: Final = b"long" * 150
KEYS: Final = (b"a", b"a\0", b"aa", b"ab", b"b", b"b/1", b"b/2", b"\0", b"\xff", b"\xff\xff", LONG_KEY)
"""No more than 12: up to so many etcd sorts without changing the order of equals."""
LEASES: Final = (1, 2, 7, -1, MOST_INT64, LEAST_INT64)
TTLS_S: Final = (600, 5000, 9_000_000_000, 9_000_000_001, MOST_INT64)
"""None that ends during a test."""

keys = st.sampled_from(KEYS) | st.sampled_from((b"", b"a", b"b"))
"""With the empty key, which is refused, and often one of two."""
values = st.sampled_from((b"", b"1", b"2", b"10", b"\xff\0", b"v" * 100))
range_ends = st.sampled_from((b"", b"", b"\0", b"a", b"a\0", b"ac", b"c", b"\xff", b"\xff\xff", LONG_KEY + b"\0"))
revisions = st.sampled_from((0, 0, 0, 0, 1, -1, MOST_INT64, LEAST_INT64, NOW)) | st.integers(NOW - 12, NOW + 2)
bounds = st.sampled_from((0, 0, 0, 0, 0, -1, MOST_INT64)) | st.integers(NOW - 12, NOW + 1)
limits = st.sampled_from((0, 0, 0, 1, 2, 3, 100, -1, MOST_INT64, LEAST_INT64))
sort_orders = st.sampled_from((0, 0, 0, 1, 2))
sort_targets = st.sampled_from((0, 0, 1, 2, 3, 4))
"""None unknown: etcd 3.5.1 ends at those."""
rarely = st.integers(0, 4).map(lambda number: number == 0)
leases = st.sampled_from((0, 0, 0, *LEASES, 99))

ranges = st.builds(
    rpc_pb2.RangeRequest,
    key=keys,
    range_end=range_ends,
    limit=limits,
    revision=revisions,
    sort_order=sort_orders,  # type: ignore[arg-type]
    sort_target=sort_targets,  # type: ignore[arg-type]
    serializable=rarely,
    keys_only=rarely,
    count_only=rarely,
    min_mod_revision=bounds,
    max_mod_revision=bounds,
    min_create_revision=bounds,
    max_create_revision=bounds,
)
puts = st.builds(
    rpc_pb2.PutRequest,
    key=keys,
    value=values,
    lease=leases,
    prev_kv=st.booleans(),
    ignore_value=rarely,
    ignore_lease=rarely,
)
plain_puts = st.builds(rpc_pb2.PutRequest, key=st.sampled_from(KEYS), value=values, prev_kv=st.booleans())
deletions = st.builds(rpc_pb2.DeleteRangeRequest, key=keys, range_end=range_ends, prev_kv=st.booleans())


@st.composite
def compares(draw: st.DrawFn) -> rpc_pb2.Compare:
    """Comparisons, some with a target and a value that do not fit, or with none at all."""
    compare = rpc_pb2.Compare(key=draw(keys), range_end=draw(range_ends))
    compare.result = draw(st.sampled_from((0, 1, 2, 3)))  # type: ignore[assignment]
    names = ("version", "create_revision", "mod_revision", "value", "lease")
    target = draw(st.sampled_from(range(len(names))))
    compare.target = target  # type: ignore[assignment]
    given_name = names[target] if not draw(rarely) else draw(st.sampled_from((*names, "")))
    if given_name == "value":
        compare.value = draw(values)
    elif given_name in ("create_revision", "mod_revision"):
        setattr(compare, given_name, draw(st.integers(NOW - 10, NOW + 1) | st.sampled_from((0, -1, MOST_INT64))))
    elif given_name:
        setattr(compare, given_name, draw(st.integers(0, 3) | st.sampled_from((-1, MOST_INT64))))
    return compare


def _operations(inner: st.SearchStrategy[rpc_pb2.TxnRequest] | None) -> st.SearchStrategy[rpc_pb2.RequestOp]:
    one_of = [
        st.builds(rpc_pb2.RequestOp, request_range=ranges),
        st.builds(rpc_pb2.RequestOp, request_put=plain_puts),
        st.builds(rpc_pb2.RequestOp, request_put=puts),
        st.builds(rpc_pb2.RequestOp, request_delete_range=deletions),
    ]
    if inner is not None:
        one_of.append(st.builds(rpc_pb2.RequestOp, request_txn=inner))
    often = st.one_of(*one_of)
    return st.integers(0, 30).flatmap(lambda number: often if number else st.just(rpc_pb2.RequestOp()))


def _transactions(depth: int) -> st.SearchStrategy[rpc_pb2.TxnRequest]:
    operations = st.lists(_operations(_transactions(depth - 1) if depth else None), max_size=3)
    return st.builds(
        rpc_pb2.TxnRequest, compare=st.lists(compares(), max_size=2), success=operations, failure=operations
    )


transactions = _transactions(2)

Step = tuple[str, Message]
"""A method and its request."""

steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("KV/Range"), ranges),
    st.tuples(st.just("KV/Range"), ranges),
    st.tuples(st.just("KV/Put"), puts),
    st.tuples(st.just("KV/Put"), plain_puts),
    st.tuples(st.just("KV/DeleteRange"), deletions),
    st.tuples(st.just("KV/Txn"), transactions),
    st.tuples(st.just("KV/Txn"), transactions),
    st.tuples(
        st.just("KV/Compact"),
        st.builds(
            rpc_pb2.CompactionRequest,
            revision=st.integers(NOW - 6, NOW + 1) | st.sampled_from((0, -1, MOST_INT64)),
            physical=st.booleans(),
        ),
    ),
    st.tuples(
        st.just("Lease/LeaseGrant"),
        st.builds(rpc_pb2.LeaseGrantRequest, ID=st.sampled_from(LEASES), TTL=st.sampled_from(TTLS_S)),
    ),
    st.tuples(st.just("Lease/LeaseRevoke"), st.builds(rpc_pb2.LeaseRevokeRequest, ID=leases)),
    st.tuples(
        st.just("Lease/LeaseTimeToLive"),
        st.builds(rpc_pb2.LeaseTimeToLiveRequest, ID=leases, keys=st.booleans()),
    ),
    st.just(("Lease/LeaseLeases", request("Lease/LeaseLeases"))),
    st.tuples(
        st.just("Maintenance/HashKV"),
        st.builds(rpc_pb2.HashKVRequest, revision=st.sampled_from((0, NOW + 1, MOST_INT64))),
    ),
)


def at(message: Message, revision: int) -> Message:
    """A copy of ``message`` in which revisions near ``NOW`` are near ``revision``."""
    copy = type(message)()
    copy.CopyFrom(message)
    _settle(copy, revision)
    return copy


def _settle(message: Message, revision: int) -> None:
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                _settle(inner, revision)
        elif isinstance(value, int) and abs(value - NOW) < _NEAR:
            setattr(message, field.name, max(value - NOW + revision, 1))
