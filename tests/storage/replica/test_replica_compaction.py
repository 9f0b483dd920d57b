from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replica_cases import compact, delete, entry, event_revisions, open_replica, put

from oarlock.storage.replica import Compactor, Replica
from oarlock.wire.errors import CompactedError, FutureRevisionError


def _hash(replica: Replica, revision: int = 0, slice_events: int = 3) -> int:
    with replica.read() as view:
        hashing = view.hash_kv(revision)
        while not hashing.step(slice_events):
            pass
        return hashing.hash


def test_a_compaction_keeps_the_newest_version_of_each_key_and_all_above(replica: Replica) -> None:
    """The worked example of the module."""
    for key in (b"a", b"b"):
        put(replica, key)
    delete(replica, b"none")
    put(replica, b"c")
    with entry(replica) as view:
        view.delete(b"c")
        view.put(b"d", b"", 0)
    put(replica, b"a")
    put(replica, b"e")
    assert event_revisions(replica) == [2, 3, 4, 5, 5, 6, 7]
    compact(replica, 5)
    assert event_revisions(replica) == [2, 3, 5, 5, 6, 7]
    with entry(replica) as view:
        view.delete(b"d")
    delete(replica, b"e")
    put(replica, b"a")
    compact(replica, 9)
    assert event_revisions(replica) == [3, 6, 9, 10]
    with replica.read() as view:
        assert [kv[0] for kv in view.scan(b"", None, revision=9)] == [b"a", b"b"]
        assert [(kind, kv[0]) for kind, kv, _ in view.history(b"", None, 9, 10)] == [(1, b"e"), (0, b"a")]


def test_a_tombstone_exactly_at_the_compaction_stays_until_the_next(replica: Replica) -> None:
    put(replica, b"a")
    compact(replica, delete(replica, b"a"))
    assert event_revisions(replica) == [3]
    compact(replica, put(replica, b"b"))
    assert event_revisions(replica) == [4]


def test_a_compaction_goes_on_after_a_restart(tmp_path: Path) -> None:
    replica = open_replica(tmp_path / "r")
    for _ in range(10):
        put(replica, b"a")
    with entry(replica) as view:
        view.set_compact_revision(11)
    assert not Compactor().step(replica, max_events=4)
    assert 1 < len(event_revisions(replica)) < 10
    replica.close(clean=False)
    replica = open_replica(tmp_path / "r")
    while not Compactor().step(replica, max_events=4):
        pass
    assert event_revisions(replica) == [11]
    replica.close()


def test_a_second_compaction_waits_for_the_first_and_is_done_too(replica: Replica) -> None:
    for _ in range(10):
        put(replica, b"a")
    with entry(replica) as view:
        view.set_compact_revision(6)
    Compactor().step(replica, max_events=2)
    compact(replica, 9)
    assert event_revisions(replica) == [9, 10, 11]
    with replica.read() as view:
        assert Compactor().is_done(view)


def test_the_hash_counts_what_was_written_up_to_a_revision(replica: Replica) -> None:
    put(replica, b"a", b"1")
    first = _hash(replica)
    put(replica, b"b", b"2")
    assert _hash(replica) != first
    assert _hash(replica, 2) == first
    assert _hash(replica, 2, slice_events=100) == first
    with replica.read() as view:
        hashing = view.hash_kv(2)
        assert (hashing.run(), hashing.hash_revision, hashing.compact_revision) == (first, 2, -1)


def test_the_hash_refuses_what_it_cannot_know(replica: Replica) -> None:
    put(replica, b"a")
    compact(replica, put(replica, b"a"))
    with replica.read() as view:
        with pytest.raises(CompactedError):
            view.hash_kv(2)
        with pytest.raises(FutureRevisionError):
            view.hash_kv(4)


@given(
    st.lists(st.tuples(st.sampled_from([b"a", b"b", b"k" * 500]), st.booleans()), min_size=2, max_size=20), st.data()
)
def test_the_hash_does_not_depend_on_how_far_a_compaction_got(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[bytes, bool]], data: st.DataObject
) -> None:
    replica = open_replica(tmp_path_factory.mktemp("hash"))
    for key, is_put in writes:
        put(replica, key) if is_put else delete(replica, key)
    at = data.draw(st.integers(1, replica.meta.revision))
    revision = data.draw(st.integers(at, replica.meta.revision))
    with entry(replica) as view:
        view.set_compact_revision(at)
    hashes = {_hash(replica, revision)}
    while not Compactor().step(replica, max_events=1):
        hashes.add(_hash(replica, revision))
    hashes.add(_hash(replica, revision))
    replica.close(clean=False)
    assert len(hashes) == 1


def test_the_state_hash_is_the_same_for_the_same_effects_however_they_are_grouped(tmp_path: Path) -> None:
    one, other = open_replica(tmp_path / "1"), open_replica(tmp_path / "2")
    for key in (b"a", b"b", b"a"):
        put(one, key)
    with other.write() as view:
        for index, key in enumerate((b"a", b"b", b"a"), 1):
            view.put(key, b"v", 0)
            view.finish_operation()
            view.end_entry(index, 1, index)
    assert one.meta == other.meta
    one.close()
    other.close()


def test_the_state_hash_is_that_of_earlier_versions(replica: Replica) -> None:
    """Members of two versions compare their hashes while a cluster is upgraded, one after the other."""
    for number in range(50):
        with entry(replica) as view:
            view.put(b"a%d" % (number % 5), b"x" * number, 0)
            if number % 7 == 3:
                view.delete(b"a%d" % (number % 5))
    assert replica.meta.state_hash.hex() == "f331807898ac910d8f769ff665c25d68"


def test_the_state_hash_tells_all_replicated_effects_apart(tmp_path: Path) -> None:
    effects = [
        lambda view: None,
        lambda view: view.put(b"a", b"1", 0),
        lambda view: view.put(b"a", b"2", 0),
        lambda view: view.put(b"a1", b"", 0),
        lambda view: view.delete(b"x"),
        lambda view: view.grant_lease(1, 2),
        lambda view: view.grant_lease(2, 1),
        lambda view: view.revoke_lease(9),
        lambda view: view.set_compact_revision(2),
        lambda view: view.set_alarm(1, 1, True),
        lambda view: view.put_record("members", b"a", b"b"),
        lambda view: view.put_record("members", b"ab", b""),
        lambda view: view.put_record("users", b"a", b"b"),
        lambda view: view.delete_record("users", b"x"),
    ]
    hashes = set()
    for number, effect in enumerate(effects):
        replica = open_replica(tmp_path / str(number))
        with entry(replica) as view:
            view.put(b"x", b"", 0)
            view.grant_lease(9, 9)
            view.put_record("users", b"x", b"")
        with entry(replica) as view:
            effect(view)
        hashes.add(replica.meta.state_hash)
        replica.close(clean=False)
    assert len(hashes) == len(effects)
