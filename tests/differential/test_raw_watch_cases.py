"""Watches at their edges, at etcd and at Oarlock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from oarlock.gateway.proto import rpc_pb2
from tests.differential.alike import message
from tests.differential.calls import ANSWER_S, request
from tests.differential.pair import FROM_FIRST_KEY, Pair
from tests.differential.requests import MOST_INT64
from tests.differential.servers import Side
from tests.differential.watching import RECORDER, WatchPair
from tests.server import wait_until

LONG_BYTES = 700_000
"""Of a value: two fit in a request, but not what they are and were in a message of a watch."""


@pytest.fixture
def revision(pair: Pair) -> int:
    """Of the empty stores, from which a test counts."""
    return pair.begin()


@pytest.fixture
def watches(pair: Pair, revision: int) -> Iterator[WatchPair]:
    with contextlib.closing(WatchPair(pair)) as both:
        yield both


def test_what_cannot_be_watched_is_refused_alike(watches: WatchPair) -> None:
    assert watches.create(key=b"b", range_end=b"a") == -1
    assert watches.create(key=b"b", range_end=b"b") == -1
    assert watches.create(key=b"a", watch_id=RECORDER) == -1
    watches.catch_up()


def test_ids_are_given_out_alike(watches: WatchPair) -> None:
    assert [watches.create(key=b"a") for _ in range(3)] == [0, 1, 2]
    watches.create(key=b"a", watch_id=4)
    assert [watches.create(key=b"a") for _ in range(2)] == [3, 5]
    watches.cancel(1)
    watches.cancel(77)
    watches.create(key=b"a", watch_id=1)
    for watch_id in (MOST_INT64, -5):
        watches.create(key=b"a", watch_id=watch_id)
    watches.catch_up()


def test_requests_that_ask_for_nothing_are_passed_over_alike(watches: WatchPair) -> None:
    watches.send(rpc_pb2.WatchRequest())
    watches.send(rpc_pb2.WatchRequest(cancel_request=rpc_pb2.WatchCancelRequest()))
    watches.create(key=b"a")
    watches.catch_up()


def test_watching_goes_on_behind_the_last_request(pair: Pair, watches: WatchPair) -> None:
    watches.create(key=b"a", prev_kv=True)
    for stream in watches.streams:
        stream.end_requests()
    pair.same("KV/Put", key=b"a", value=b"1")
    pair.same("KV/Put", key=b"a", value=b"2")
    watches.catch_up()


def test_a_compaction_ends_only_watches_that_are_behind(pair: Pair, revision: int, watches: WatchPair) -> None:
    live = watches.create(key=b"a")
    for value in (b"1", b"2", b"3", b"4"):
        pair.same("KV/Put", key=b"a", value=value)
    watches.catch_up()
    pair.same("KV/Compact", revision=revision + 3)
    watches.create(key=b"a", start_revision=revision + 3, prev_kv=True)
    behind = watches.create(key=b"a", start_revision=revision + 2)
    watches.wait_canceled(behind)
    pair.same("KV/Put", key=b"a", value=b"5")
    watches.catch_up()
    watches.cancel(live)


def test_the_end_of_a_lease_is_one_revision(pair: Pair, watches: WatchPair) -> None:
    watches.create(key=b"l", range_end=b"m", prev_kv=True)
    pair.same("Lease/LeaseGrant", ID=5, TTL=6)
    keys = [rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"l%d" % n, lease=5)) for n in (2, 1, 3)]
    pair.same("KV/Txn", rpc_pb2.TxnRequest(success=keys))
    wait_until(lambda: all(map(_is_empty, pair.sides)), ANSWER_S, "the end of the lease")
    watches.catch_up()
    pair.same("Lease/LeaseTimeToLive", ID=5, keys=True)


def test_a_revision_too_long_for_a_message_is_sent_in_pieces_alike(pair: Pair, revision: int) -> None:
    keys = [rpc_pb2.PutRequest(key=key, value=b"v" * LONG_BYTES) for key in (b"a", b"b")]
    for _ in range(2):
        pair.same("KV/Txn", rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=each) for each in keys]))
    created = rpc_pb2.WatchCreateRequest(**FROM_FIRST_KEY, start_revision=revision + 2, prev_kv=True, fragment=True)
    heard = [_pieces(side, created) for side in pair.sides]
    assert heard[0] == heard[1]
    assert [len(piece["events"]) for piece in heard[0]] == [1, 1]


def _is_empty(side: Side) -> bool:
    answer = side.caller.call("KV/Range", request("KV/Range", key=b"l", range_end=b"m", count_only=True)).answers[0]
    return bool(answer.count == 0)  # type: ignore[attr-defined]


def _pieces(side: Side, create: rpc_pb2.WatchCreateRequest) -> list[dict[str, Any]]:
    """The messages in which the first events arrive, up to the one that is the last of its batch."""
    stream = side.caller.open("Watch/Watch")
    try:
        stream.send(rpc_pb2.WatchRequest(create_request=create))
        stream.receive()
        pieces = [stream.receive()]
        while pieces[-1].fragment:  # type: ignore[attr-defined]
            pieces.append(stream.receive())
        return [message(piece, side.ids) for piece in pieces]
    finally:
        stream.cancel()
