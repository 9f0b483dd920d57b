from __future__ import annotations

from contextlib import suppress

import pytest
from replica_cases import compact, delete, entry, put

from oarlock.storage.replica import Meta, Replica
from oarlock.wire.errors import (
    CompactedError,
    FutureRevisionError,
    LeaseExistsError,
    LeaseNotFoundError,
    RequestError,
)


def test_a_new_replica_has_revision_1_and_no_compaction(replica: Replica) -> None:
    assert replica.meta == Meta(0, 0, 1, -1, 0, bytes(16))


def test_a_put_counts_versions_and_a_delete_starts_them_anew(replica: Replica) -> None:
    put(replica, b"a", b"1")
    put(replica, b"a", b"2")
    with replica.read() as view:
        assert view.get(b"a") == (b"a", b"2", 2, 3, 2, 0)
    delete(replica, b"a")
    put(replica, b"a", b"3")
    with replica.read() as view:
        assert view.get(b"a") == (b"a", b"3", 5, 5, 1, 0)
        assert view.get(b"b") is None


def test_writes_return_the_key_as_it_was(replica: Replica) -> None:
    with entry(replica) as view:
        assert view.put(b"a", b"1", 0) is None
        assert view.put(b"a", b"2", 0) == (b"a", b"1", 2, 2, 1, 0)
        assert view.delete(b"a") == (b"a", b"2", 2, 2, 2, 0)
        assert view.delete(b"a") is None


def test_changes_of_one_operation_share_a_revision_and_are_told_in_order(replica: Replica) -> None:
    with replica.write() as view:
        view.put(b"a", b"1", 0)
        view.put(b"b", b"2", 0)
        assert view.finish_operation() == 2
        assert view.finish_operation() == 2
        view.delete(b"a")
        assert view.finish_operation() == 3
        view.end_entry(7, 2, 3)
    assert view.changes == [
        (0, (b"a", b"1", 2, 2, 1, 0), None),
        (0, (b"b", b"2", 2, 2, 1, 0), None),
        (1, (b"a", b"", 0, 3, 0, 0), (b"a", b"1", 2, 2, 1, 0)),
    ]
    assert (replica.meta.applied_index, replica.meta.applied_term, replica.meta.position) == (7, 2, 3)


def test_a_write_view_sees_its_own_writes_and_the_revisions_before(replica: Replica) -> None:
    put(replica, b"a", b"old")
    with entry(replica) as view:
        view.put(b"a", b"new", 0)
        view.put(b"b", b"", 0)
        assert view.get(b"a") == (b"a", b"new", 2, 3, 2, 0)
        assert view.get(b"a", 2) == (b"a", b"old", 2, 2, 1, 0)
        assert [kv[0] for kv in view.scan(b"", None)] == [b"a", b"b"]
        assert [kv[0] for kv in view.scan(b"", None, revision=2)] == [b"a"]
        assert view.count(b"a", b"c") == 2


def test_a_read_view_stays_at_its_revision(replica: Replica) -> None:
    put(replica, b"a", b"1")
    with replica.read() as view:
        put(replica, b"a", b"2")
        assert view.get(b"a") == (b"a", b"1", 2, 2, 1, 0)
        assert view.revision == 2


def test_ranges_are_cut_at_their_bounds_whatever_their_size(replica: Replica) -> None:
    names = [b"%05d" % i for i in range(3000)]
    with entry(replica) as view:
        for name in names:
            view.put(name, b"v" + name, 0)
    with replica.read() as view:
        for start, end in [(0, 0), (0, 1), (5, 16), (0, 17), (10, 1500), (2999, 3000), (1, 3000)]:
            last = names[end] if end < len(names) else None
            assert [kv[1] for kv in view.scan(names[start], last)] == [b"v" + name for name in names[start:end]]
            assert view.count(names[start], last) == end - start
            assert view.count(names[start], last, revision=2) == end - start
        assert list(view.scan(b"9", None)) == []
        assert view.count(b"b", b"a") == 0


def test_old_revisions_show_what_was_there(replica: Replica) -> None:
    put(replica, b"a", b"1")
    put(replica, b"b", b"2")
    delete(replica, b"a")
    put(replica, b"a", b"3")
    with replica.read() as view:
        assert [list(view.scan(b"", None, revision=r)) for r in (2, 3, 4)] == [
            [(b"a", b"1", 2, 2, 1, 0)],
            [(b"a", b"1", 2, 2, 1, 0), (b"b", b"2", 3, 3, 1, 0)],
            [(b"b", b"2", 3, 3, 1, 0)],
        ]
        assert list(view.scan(b"", None, revision=3, keys_only=True))[1] == (b"b", b"", 3, 3, 1, 0)
        assert [view.count(b"", None, revision=r) for r in (1, 2, 3, 4, 5)] == [0, 1, 2, 1, 2]
        assert view.get(b"a", 1) is None


def test_future_and_compacted_revisions_are_refused_at_once(replica: Replica) -> None:
    put(replica, b"a")
    compact(replica, put(replica, b"a"))
    put(replica, b"a")
    with replica.read() as view:
        with pytest.raises(FutureRevisionError):
            view.get(b"a", 5)
        with pytest.raises(CompactedError) as caught:
            view.scan(b"", None, revision=2)
        assert caught.value.compact_revision == 3
        with pytest.raises(CompactedError):
            view.count(b"", None, revision=-1)
        assert view.get(b"a", 3) is not None


def test_a_put_moves_a_key_between_leases_and_a_delete_detaches_it(replica: Replica) -> None:
    with entry(replica) as view:
        view.grant_lease(1, 10)
        view.grant_lease(-2, 20)
    put(replica, b"a", b"", 1)
    put(replica, b"b", b"", 1)
    put(replica, b"c", b"", 1)
    put(replica, b"a", b"", -2)
    put(replica, b"b", b"", 0)
    delete(replica, b"c")
    with replica.read() as view:
        assert (view.lease_keys(1), view.lease_keys(-2), view.lease_keys(3)) == ([], [b"a"], [])
        assert sorted(view.leases()) == [(-2, 20), (1, 10)]
        assert (view.lease(1), view.lease(3)) == (10, None)
        assert view.get(b"a") == (b"a", b"", 2, 5, 2, -2)


def test_a_revoke_deletes_the_keys_in_order_in_one_revision(replica: Replica) -> None:
    with entry(replica) as view:
        view.grant_lease(1, 10)
        for key in (b"c", b"a", b"b"):
            view.put(key, b"", 1)
    with entry(replica) as view:
        assert view.revoke_lease(1) == 3
    assert [(kind, kv[0], kv[3]) for kind, kv, _ in view.changes] == [(1, b"a", 3), (1, b"b", 3), (1, b"c", 3)]
    with replica.read() as view:
        assert view.lease(1) is None
        assert view.count(b"", None) == 0


def test_what_leases_refuse_changes_nothing(replica: Replica) -> None:
    with entry(replica) as view:
        view.grant_lease(1, 10)
        with pytest.raises(LeaseExistsError):
            view.grant_lease(1, 99)
        with pytest.raises(LeaseNotFoundError):
            view.put(b"a", b"", 2)
        with pytest.raises(LeaseNotFoundError):
            view.revoke_lease(2)
        assert view.lease(1) == 10
    assert (replica.meta.revision, view.changes) == (1, [])


def test_compaction_revisions_only_grow_and_stay_below_the_present(replica: Replica) -> None:
    put(replica, b"a")
    with entry(replica) as view:
        with pytest.raises(FutureRevisionError):
            view.set_compact_revision(3)
        view.set_compact_revision(2)
        with pytest.raises(CompactedError):
            view.set_compact_revision(2)
    assert replica.meta.compact_revision == 2


def test_records_are_kept_apart_by_table_and_listed_in_order(replica: Replica) -> None:
    with entry(replica) as view:
        for key in (b"3", b"1", b"2"):
            view.put_record("sessions", key, b"s" + key)
        view.put_record("members", b"1", b"m")
        assert view.delete_record("sessions", b"3")
        assert not view.delete_record("sessions", b"3")
        with pytest.raises(RequestError):
            view.put_record("members", b"k" * 512, b"")
    with replica.read() as view:
        assert list(view.scan_records("sessions")) == [(b"1", b"s1"), (b"2", b"s2")]
        assert list(view.scan_records("sessions", b"1", b"2")) == [(b"1", b"s1")]
        assert (view.get_record("members", b"1"), view.get_record("members", b"2")) == (b"m", None)


def test_alarms_are_raised_and_cleared(replica: Replica) -> None:
    with entry(replica) as view:
        view.set_alarm(7, 1, True)
        view.set_alarm(7, 1, True)
        view.set_alarm(8, 2, True)
        view.set_alarm(8, 2, False)
        view.set_alarm(9, 2, False)
        assert view.alarms() == [(7, 1)]


def test_an_exception_undoes_the_whole_transaction(replica: Replica) -> None:
    put(replica, b"a", b"1")
    before = replica.meta
    with suppress(RuntimeError), entry(replica) as view:
        view.put(b"a", b"2", 0)
        raise RuntimeError
    assert replica.meta is before
    with replica.read() as view:
        assert view.get(b"a") == (b"a", b"1", 2, 2, 1, 0)


def test_an_entry_that_was_not_ended_is_not_committed(replica: Replica) -> None:
    with pytest.raises(AssertionError), replica.write() as view:
        view.put(b"a", b"1", 0)
    assert put(replica, b"b") == 2


def test_applied_entries_never_go_back(replica: Replica) -> None:
    put(replica, b"a")
    with pytest.raises(AssertionError), replica.write() as view:
        view.end_entry(1, 1, 2)


def test_history_tells_the_events_of_a_range_or_of_one_key(replica: Replica) -> None:
    with entry(replica) as view:
        view.put(b"a", b"1", 0)
        view.put(b"b", b"2", 0)
    delete(replica, b"a")
    put(replica, b"a", b"3")
    with replica.read() as view:
        everything = list(view.history(b"", None, 2, 4))
        assert everything == [
            (0, (b"a", b"1", 2, 2, 1, 0), 0),
            (0, (b"b", b"2", 2, 2, 1, 0), 1),
            (1, (b"a", b"", 0, 3, 0, 0), 0),
            (0, (b"a", b"3", 4, 4, 1, 0), 0),
        ]
        assert list(view.history(b"a", b"a\0", 2, 3)) == [everything[0], everything[2]]
        assert list(view.history(b"a", b"b", 3, 9)) == everything[2:]
        assert list(view.history(b"x", b"x\0", 1, 9)) == []


def test_a_page_of_history_never_splits_a_revision_and_says_where_to_go_on(replica: Replica) -> None:
    for _ in range(3):
        with entry(replica) as view:
            view.put(b"a", b"x" * 10, 0)
            view.put(b"b", b"x" * 10, 0)
    with replica.read() as view:
        events, following = view.history_page(b"", None, 2, 4, max_bytes=1)
        assert ([event[1][3] for event in events], following) == ([2, 2], 3)
        events, following = view.history_page(b"", None, 3, 4, max_bytes=1000)
        assert ([event[1][3] for event in events], following) == ([3, 3, 4, 4], 5)
        assert view.history_page(b"x", None, 2, 4, max_bytes=1, max_events=1) == ([], 3)


def test_a_page_of_history_has_previous_kvs_where_they_are_not_compacted(replica: Replica) -> None:
    put(replica, b"a", b"1")
    put(replica, b"a", b"2")
    delete(replica, b"a")
    with replica.read() as view:
        events, _ = view.history_page(b"a", b"a\0", 2, 4, max_bytes=1000, previous=True)
        assert [event[2] and event[2][1] for event in events] == [None, b"1", b"2"]
    compact(replica, 3)
    with replica.read() as view:
        events, _ = view.history_page(b"", None, 3, 4, max_bytes=1000, previous=True)
        assert [event[2] and event[2][1] for event in events] == [None, b"2"]
        with pytest.raises(CompactedError):
            view.history_page(b"", None, 2, 4, max_bytes=1000)
