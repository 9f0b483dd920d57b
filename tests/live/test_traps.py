"""What etcd's clients stumble over: the contract's traps that the native door has, through the client library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import oarlock
from oarlock import lease_of, ops, value, version
from oarlock.wire.operations import FROM_KEY, Op
from tests.server import running

from .raw import RawClient


@pytest.fixture
def own_client(tmp_path: Path) -> Iterator[oarlock.Client]:
    """A client of a server of the test's own, which it may compact; one worker, so that no replica is behind."""
    with running(tmp_path, workers=1) as server, oarlock.connect(server.native_endpoint, timeout_s=20.0) as client:
        yield client


def test_a_delete_of_nothing_and_an_empty_transaction_keep_the_revision(own_client: oarlock.Client) -> None:
    before = own_client.put("there", "1").header.revision
    assert own_client.delete("not there").header.revision == before
    assert own_client.delete_range("b", "c").header.revision == before
    assert own_client.transaction().header.revision == before
    assert own_client.transaction([version("there") == 7], [ops.put("there", "2")]).header.revision == before
    assert own_client.put("there", "3").header.revision == before + 1


def test_a_read_of_the_past_names_the_present_revision(client: oarlock.Client, prefix: bytes) -> None:
    old = client.put(prefix, "old").header.revision
    new = client.put(prefix, "new").header.revision
    read = client.range(prefix, revision=old)
    assert (read.kvs[0].value, read.kvs[0].mod_revision) == (b"old", old)
    assert read.header.revision >= new


def test_what_a_compaction_leaves_begins_at_its_revision(own_client: oarlock.Client) -> None:
    revisions = [own_client.put("key", str(number)).header.revision for number in range(4)]
    own_client.compact(revisions[2])
    kept = own_client.get("key", revision=revisions[2])
    assert kept is not None
    assert kept.value == b"2"
    with pytest.raises(oarlock.CompactedError) as refused:
        own_client.get("key", revision=revisions[1])
    assert refused.value.message == "etcdserver: mvcc: required revision has been compacted"
    assert refused.value.detail == revisions[2]
    with pytest.raises(oarlock.FutureRevisionError, match="required revision is a future revision"):
        own_client.get("key", revision=revisions[3] + 1)


def test_a_watch_begins_at_the_compaction_and_not_before(own_client: oarlock.Client) -> None:
    revisions = [own_client.put("key", str(number)).header.revision for number in range(4)]
    own_client.compact(revisions[2])
    with own_client.watch("key", start_revision=revisions[2]) as watch:
        assert next(watch).value == b"2"
    with (
        own_client.watch("key", start_revision=revisions[1]) as watch,
        pytest.raises(oarlock.CompactedError) as refused,
    ):
        next(watch)
    assert refused.value.detail == revisions[2]


def test_a_compaction_cannot_be_repeated_or_foretold(own_client: oarlock.Client) -> None:
    revision = own_client.put("key", "1").header.revision
    own_client.compact(revision)
    with pytest.raises(oarlock.CompactedError):
        own_client.compact(revision)
    with pytest.raises(oarlock.FutureRevisionError):
        own_client.compact(revision + 1)


def test_the_count_knows_no_limit_and_no_bounds_but_more_does(client: oarlock.Client, prefix: bytes) -> None:
    revisions = [client.put(prefix + name, b"").header.revision for name in (b"a", b"b", b"c", b"d")]
    limited = client.get_prefix(prefix, limit=2)
    assert (len(limited), limited.more, limited.count) == (2, True, 4)
    bounded = client.get_prefix(prefix, limit=2, min_mod_revision=revisions[2])
    assert (len(bounded), bounded.more, bounded.count) == (2, False, 4)
    assert client.get_prefix(prefix, count_only=True, limit=1).count == 4


def test_a_sort_target_without_an_order_sorts_what_the_limit_has_left(client: oarlock.Client, prefix: bytes) -> None:
    for name, content in ((b"a", "3"), (b"b", "2"), (b"c", "1")):
        client.put(prefix + name, content)
    cut_first = client.get_prefix(prefix, sort_target="value", limit=1)
    assert [kv.value for kv in cut_first] == [b"2"]
    sorted_first = client.get_prefix(prefix, sort_target="value", sort_order="ascend", limit=1)
    assert [kv.value for kv in sorted_first] == [b"1"]


def test_the_value_of_an_absent_key_compares_false_and_its_numbers_are_zero(
    client: oarlock.Client, prefix: bytes
) -> None:
    absent = value(prefix)
    for compare in (absent == b"", absent != b"", absent < b"x", absent > b""):
        assert not client.transaction([compare])
    for holds in (version(prefix) == 0, oarlock.create_revision(prefix) == 0, oarlock.mod_revision(prefix) < 1):
        assert client.transaction([holds, lease_of(prefix) == 0])


def test_nested_compares_see_the_state_before_the_transaction(client: oarlock.Client, prefix: bytes) -> None:
    inner = ops.transaction([version(prefix) > 0], [ops.put(prefix + b"1", "")], [ops.put(prefix + b"2", "")])
    result = client.transaction([], [ops.put(prefix, ""), inner])
    assert result.responses[1].succeeded is False  # type: ignore[union-attr]
    assert client.get(prefix + b"1") is None
    assert client.get(prefix + b"2") is not None


def test_an_operation_with_nothing_in_it_is_a_key_not_found(raw: RawClient) -> None:
    reply = raw.ask_one(int(Op.TXN), [], [[]], [])
    assert reply[2] == "etcdserver: key not found"
    assert raw.ask_one(int(Op.TXN), [], [[int(Op.PUT), b"", b""]], [])[2] == "etcdserver: key is not provided"


def test_a_put_without_its_lease_detaches_the_key(client: oarlock.Client, prefix: bytes) -> None:
    lease = client.lease(60)
    client.put(prefix, "1", lease=lease.id)
    assert lease.time_to_live(keys=True).keys == [prefix]
    client.put(prefix, "2")
    assert lease.time_to_live(keys=True).keys == []
    lease.revoke()
    kept = client.get(prefix)
    assert kept is not None
    assert (kept.value, kept.lease) == (b"2", 0)


def test_a_put_may_keep_its_lease_or_its_value(client: oarlock.Client, prefix: bytes) -> None:
    with client.lease(60) as lease:
        client.put(prefix, "1", lease=lease.id)
        client.put(prefix, "2", ignore_lease=True)
        kept = client.get(prefix)
        assert kept is not None
        assert (kept.value, kept.lease, kept.version) == (b"2", lease.id, 2)
        client.put(prefix, ignore_value=True)
        kept = client.get(prefix)
        assert kept is not None
        assert (kept.value, kept.lease, kept.version) == (b"2", 0, 3)


def test_a_missing_lease_is_told_in_three_ways(client: oarlock.Client, raw: RawClient) -> None:
    missing = 0x7EADBEEF
    assert raw.ask_one(int(Op.LEASE_KEEPALIVE), missing)[2] == 0
    left = client.lease_time_to_live(missing)
    assert (left.ttl_s, left.granted_ttl_s, left.keys) == (-1, 0, [])
    with pytest.raises(oarlock.LeaseNotFoundError, match="requested lease not found"):
        client.revoke_lease(missing)
    with pytest.raises(oarlock.LeaseNotFoundError):
        client.put("key", "", lease=missing)


def test_a_keepalive_answers_the_granted_time(client: oarlock.Client) -> None:
    with client.lease(77) as lease:
        assert lease.refresh().ttl_s == 77


def test_a_lease_id_is_granted_once(client: oarlock.Client) -> None:
    with client.lease(60) as lease, pytest.raises(oarlock.LeaseExistsError, match="lease already exists"):
        client.lease(60, lease_id=lease.id)


@pytest.mark.parametrize(("asked_s", "granted_s"), [(-5, 2), (0, 2), (1, 2), (3, 3), (9_000_000_000, 9_000_000_000)])
def test_a_time_to_live_has_bounds(client: oarlock.Client, asked_s: int, granted_s: int) -> None:
    with client.lease(asked_s) as lease:
        assert lease.ttl_s == granted_s


def test_a_time_to_live_can_be_too_large(client: oarlock.Client) -> None:
    with pytest.raises(oarlock.LeaseTtlTooLargeError, match="too large lease TTL"):
        client.lease(9_000_000_001)


def test_events_have_a_previous_kv_only_where_there_was_one(own_client: oarlock.Client) -> None:
    with own_client.watch("key", prev_kv=True) as watch:
        own_client.put("key", "1")
        last = own_client.put("key", "2").header.revision
        gone = own_client.delete("key").header.revision
        created, changed, deleted = (next(watch) for _ in range(3))
    assert created.prev_kv is None
    assert changed.prev_kv is not None
    assert (changed.prev_kv.value, changed.prev_kv.version) == (b"1", 1)
    assert deleted.prev_kv is not None
    assert deleted.prev_kv.value == b"2"
    assert deleted.kv == (b"key", b"", 0, gone, 0, 0)
    own_client.compact(gone)  # the deletion itself can still be watched, what was before it is gone
    with own_client.watch("key", prev_kv=True, start_revision=gone) as watch:
        assert next(watch).prev_kv is None
    assert last == gone - 1


def test_results_within_a_transaction_have_a_revision_and_no_more(client: oarlock.Client, prefix: bytes) -> None:
    result = client.transaction([], [ops.put(prefix, "1"), ops.get(prefix), ops.delete(prefix + b"x")])
    for response in result.responses:
        assert response.header == (0, 0, result.header.revision, 0)
    assert result.header.cluster_id
    assert result.responses[1].kvs[0].value == b"1"  # type: ignore[union-attr]


def test_the_database_has_a_size(client: oarlock.Client) -> None:
    assert client.status().db_size > 0


def test_the_end_of_a_lease_is_one_revision_with_its_keys_in_order(client: oarlock.Client, prefix: bytes) -> None:
    lease = client.lease(60)
    names = [prefix + name for name in (b"c", b"a", b"b", b"\xff", b"\0")]
    for name in names:
        client.put(name, "", lease=lease.id)
    with client.watch_prefix(prefix) as watch:
        revision = lease.revoke().revision
        response = watch.next_response()
    assert response is not None
    assert [event.key for event in response.events] == sorted(names)
    assert {event.mod_revision for event in response.events} == {revision}
    assert all(event.is_delete for event in response.events)


def test_a_zero_byte_as_range_end_means_from_key_on_everywhere(own_client: oarlock.Client) -> None:
    for name in ("a", "m", "z"):
        own_client.put(name, "1")
    assert [kv.key for kv in own_client.range("m", FROM_KEY)] == [b"m", b"z"]
    assert not own_client.transaction([value("a", range_end=FROM_KEY) == "2"])
    assert own_client.transaction([value("a", range_end=FROM_KEY) == "1"])
    with own_client.watch("m", range_end=FROM_KEY) as watch:
        own_client.put("b", "not watched")
        assert own_client.delete_range("m", FROM_KEY).deleted == 2
        assert [next(watch).key for _ in range(2)] == [b"m", b"z"]


def test_one_key_is_written_once_in_a_transaction(client: oarlock.Client, prefix: bytes) -> None:
    for twice in (
        [ops.put(prefix, ""), ops.put(prefix, "")],
        [ops.delete(prefix, prefix=True), ops.put(prefix + b"x", "")],
        [ops.put(prefix, ""), ops.transaction([], [ops.put(prefix, "")])],
    ):
        with pytest.raises(oarlock.DuplicateKeyError, match="duplicate key given in txn request"):
            client.transaction([], twice)
    client.transaction([], [ops.put(prefix, "")], [ops.put(prefix, "")])


def test_a_watch_of_an_empty_range_is_refused(client: oarlock.Client) -> None:
    with pytest.raises(oarlock.WatcherRangeEmptyError), client.watch("b", range_end="a") as watch:
        next(watch)
