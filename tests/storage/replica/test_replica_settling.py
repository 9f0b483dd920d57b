from __future__ import annotations

from pathlib import Path

import pytest
from replica_cases import SMALL_MAP, open_replica, put, write_on

from oarlock.storage.replica import Compactor, Replica, ReplicaFailedError, ReplicaFullError

_BIG = b"x" * 100_000


def test_what_is_not_settled_counts_as_written_and_is_committed_by_whoever_reads(replica: Replica) -> None:
    write_on(replica, b"a")
    write_on(replica, b"b")
    assert (replica.meta.revision, replica.is_settled, len(replica.commits_s)) == (3, False, 0)
    with replica.read() as view:
        assert [kv[0] for kv in view.scan(b"", None)] == [b"a", b"b"]
    assert (replica.is_settled, len(replica.commits_s)) == (True, 1)


def test_nobody_reads_a_replica_that_has_lost_what_others_were_told_of(tmp_path: Path) -> None:
    replica = open_replica(tmp_path / "r")
    put(replica, b"a")
    with replica.write_on() as view:
        view.end_entry(view.applied_index + 1, 1, view.position + 1)
    view.transaction.abort()  # as the engine does where a disk refuses a commit
    for use in (replica.settle, replica.read, replica.write):
        with pytest.raises(ReplicaFailedError, match=str(replica.path)):
            use()
    replica.close(clean=False)


def test_a_view_that_is_open_does_not_see_what_is_written_on(replica: Replica) -> None:
    put(replica, b"a")
    with replica.read() as view:
        write_on(replica, b"b")
        assert view.count(b"", None) == 1
        with replica.read() as later:
            assert later.count(b"", None) == 2
        assert view.count(b"", None) == 1


def test_an_exception_undoes_all_since_the_last_commit(replica: Replica) -> None:
    put(replica, b"a")
    settled = replica.meta
    write_on(replica, b"b")
    with pytest.raises(AssertionError), replica.write_on() as view:
        view.put(b"c", b"", 0)  # and no end of the entry
    assert (replica.meta, replica.is_settled) == (settled, True)
    with replica.read() as view:
        assert view.count(b"", None) == 1


def test_changes_are_told_once(replica: Replica) -> None:
    write_on(replica, b"a")
    with replica.write_on() as view:
        view.put(b"b", b"", 0)
        view.finish_operation()
        view.end_entry(view.applied_index + 1, 1, view.position + 1)
        assert [kv[0] for _, kv, _ in view.changes] == [b"b"]


def test_a_transaction_of_its_own_begins_behind_what_was_written_on(replica: Replica) -> None:
    write_on(replica, b"a")
    assert put(replica, b"b") == 3
    assert len(replica.commits_s) == 2


def test_a_clean_close_keeps_what_is_not_settled_and_any_other_close_does_not(tmp_path: Path) -> None:
    for clean, revision in ((True, 2), (False, 1)):
        replica = open_replica(tmp_path / str(clean))
        write_on(replica, b"a")
        replica.close(clean=clean)
        replica = open_replica(tmp_path / str(clean))
        assert replica.meta.revision == revision
        replica.close()


def test_a_map_that_is_found_full_is_written_again_by_whoever_knows_what(tmp_path: Path) -> None:
    replica = open_replica(tmp_path / "r")
    values = [b"%d" % number for number in range(60)]

    def write_all() -> None:
        for key in values[replica.meta.applied_index :]:
            write_on(replica, key, _BIG)

    replica.write_again = write_all
    while replica.meta.applied_index < len(values):
        try:
            write_all()
        except ReplicaFullError:
            assert (replica.meta.revision, replica.is_settled) == (1, True)
    with replica.read() as view:
        assert view.count(b"", None) == 60
    assert replica.map_bytes > SMALL_MAP
    replica.close()


def test_a_copy_and_a_slice_of_compaction_have_all_that_was_written(replica: Replica, tmp_path: Path) -> None:
    for _ in range(3):
        write_on(replica, b"a")
    replica.settle()
    assert replica.copy_to(tmp_path / "copy").revision == 4
    with replica.write_on() as view:
        view.set_compact_revision(4)
        view.end_entry(view.applied_index + 1, 1, view.position + 1)
    compactor = Compactor()
    while not compactor.step(replica):
        pass
    with replica.read() as view:
        assert view.compact_revision == 4
        assert view.transaction.stat(view.tables.events)["entries"] == 1
