"""The same watches at etcd and at Oarlock, with generated ranges, filters, starts and writes: the same events."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.gateway.proto import rpc_pb2
from tests.differential.calls import request
from tests.differential.pair import Pair
from tests.differential.requests import KEYS, NOW, Step, at, deletions, keys, plain_puts, range_ends
from tests.differential.test_raw_kv import CHECKS
from tests.differential.watching import WatchPair

SHORT = settings(derandomize=True, max_examples=25, database=None, suppress_health_check=CHECKS)
LONG = settings(max_examples=1000, suppress_health_check=CHECKS)
WATCH_IDS: Final = (0, 0, 0, 1, 2, 5)

creations = st.fixed_dictionaries(
    {},
    optional={
        "key": keys,
        "range_end": range_ends,
        "start_revision": st.integers(NOW - 12, NOW + 4) | st.sampled_from((0, 1)),
        "prev_kv": st.booleans(),
        "progress_notify": st.booleans(),
        "fragment": st.booleans(),
        "filters": st.lists(st.sampled_from((0, 1)), max_size=2),
        "watch_id": st.sampled_from(WATCH_IDS),
    },
).map(lambda fields: ("create", rpc_pb2.WatchCreateRequest(**fields)))
cancellations = st.sampled_from(WATCH_IDS).map(lambda watch_id: ("cancel", watch_id))


@st.composite
def several_writes(draw: st.DrawFn) -> rpc_pb2.TxnRequest:
    """Puts and deletions of one revision."""
    put = draw(st.lists(plain_puts, max_size=2, unique_by=_key))
    others = sorted({*KEYS} - {each.key for each in put})
    deleted = rpc_pb2.DeleteRangeRequest(key=draw(st.sampled_from(others)))
    operations = [rpc_pb2.RequestOp(request_put=each) for each in put]
    return rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_delete_range=deleted), *operations])


def _key(put: rpc_pb2.PutRequest) -> bytes:
    return put.key


writes: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("KV/Put"), plain_puts),
    st.tuples(st.just("KV/DeleteRange"), deletions),
    st.tuples(st.just("KV/Txn"), several_writes()),
)
HISTORY = st.lists(writes, max_size=8)
COMPACTION = st.none() | st.integers(NOW - 8, NOW)
STEPS = st.lists(writes | writes | creations | cancellations, max_size=12)


@SHORT
@given(history=HISTORY, compaction=COMPACTION, steps=STEPS)
def test_watches_deliver_alike(pair: Pair, history: list[Step], compaction: int | None, steps: list[Any]) -> None:
    run(pair, history, compaction, steps)


@pytest.mark.soak
@LONG
@given(history=HISTORY, compaction=COMPACTION, steps=STEPS)
def test_many_watches_deliver_alike(pair: Pair, history: list[Step], compaction: int | None, steps: list[Any]) -> None:
    run(pair, history, compaction, steps)


def run(pair: Pair, history: list[Step], compaction: int | None, steps: list[Any]) -> None:
    """Writes a history, perhaps compacts it, and then writes on among watches that come and go."""
    revision = first = pair.begin()
    with contextlib.closing(WatchPair(pair)) as watches:
        for method, message in history:
            revision = _write(pair, method, message, revision)
        if compaction is not None:
            pair.same("KV/Compact", at(request("KV/Compact", revision=compaction), revision))
        compacted = pair.etcd.caller.call("Maintenance/HashKV").answers[0].compact_revision  # type: ignore[attr-defined]
        ended: set[int] = set()
        for step, argument in steps:
            if step == "create" and argument.watch_id not in ended - {0}:
                create = at(argument, revision)
                if 0 < create.start_revision < compacted:
                    create.watch_id = 0  # one that etcd never gives out again
                elif 0 < create.start_revision <= max(compacted, first):
                    # The recorder has not heard what is older, and where it is compacted etcd 3.5.1 drops a deletion.
                    create.start_revision = max(compacted, first) + 1
                watch_id = watches.create(**{field.name: value for field, value in create.ListFields()})
                if watch_id >= 0 and 0 < create.start_revision < compacted:
                    watches.wait_canceled(watch_id)
                    ended.add(watch_id)
            elif step == "cancel" and argument not in ended:
                watches.cancel(argument)
                revision += 1
            elif step not in ("create", "cancel"):
                revision = _write(pair, step, argument, revision)
        watches.catch_up()


def _write(pair: Pair, method: str, message: Message, revision: int) -> int:
    result = pair.same(method, message)
    return max(revision, *(answer.header.revision for answer in result.answers)) if result.answers else revision
