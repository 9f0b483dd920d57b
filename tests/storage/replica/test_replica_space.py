from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from replica_cases import AMPLE_MAP, SMALL_MAP, compact, delete, entry, open_replica, put, scrub

from oarlock.storage.replica import ReadExpiredError, Replica, ReplicaFailedError, ReplicaFullError

_BIG = b"x" * 100_000


def _fill(replica: Replica, values: int) -> None:
    with entry(replica) as view:
        for i in range(values):
            view.put(b"%d" % i, _BIG, 0)


def test_the_map_grows_between_transactions_before_it_is_full(replica: Replica) -> None:
    for i in range(40):
        put(replica, b"%d" % i, _BIG)
    assert replica.map_bytes >= 4 * SMALL_MAP
    with replica.read() as view:
        assert view.count(b"", None) == 40


def test_a_full_map_undoes_the_transaction_grows_and_takes_the_same_entries_again(replica: Replica) -> None:
    before = replica.meta
    while True:
        try:
            _fill(replica, 60)
        except ReplicaFullError:
            assert replica.meta is before
        else:
            break
    assert (replica.meta.revision, replica.meta.applied_index) == (2, 1)
    assert replica.map_bytes >= 60 * len(_BIG)


def test_a_full_map_ends_the_reads_that_are_in_its_way(replica: Replica) -> None:
    put(replica, b"a")
    put(replica, b"b")
    view = replica.read()
    walk = view.scan(b"", None)
    next(walk)
    with pytest.raises(ReplicaFullError):
        _fill(replica, 60)
    with pytest.raises(ReadExpiredError):
        view.get(b"a")
    assert put(replica, b"c") == 4


def test_a_read_that_is_too_old_ends_with_an_error_whatever_it_does(tmp_path: Path) -> None:
    replica = open_replica(tmp_path / "r", max_read_age_s=0)
    with entry(replica) as write:
        write.grant_lease(1, 60)
        for i in range(2000):
            write.put(b"%04d" % i, b"", 1)
    view = replica.read()
    values, keys, events, leases = (
        view.scan(b"", None),
        view.scan(b"", None, keys_only=True),
        view.history(b"", None, 2, 2),
        view.leases(),
    )
    hashing = view.hash_kv()
    for begun in (values, keys, events):
        next(begun)
    put(replica, b"x")
    for use in (
        lambda: view.get(b"0001"),
        lambda: view.get(b"0001", 1),
        lambda: view.count(b"", b"x"),
        lambda: list(values),
        lambda: list(keys),
        lambda: list(events),
        lambda: list(leases),
        lambda: view.lease(1),
        lambda: view.lease_keys(1),
        lambda: view.get_record("members", b"1"),
        lambda: list(view.scan_records("members")),
        lambda: view.history_page(b"", None, 2, 2, max_bytes=1),
        hashing.step,
    ):
        with pytest.raises(ReadExpiredError):
            use()
    replica.close()


def test_young_reads_go_on_while_old_ones_end(replica: Replica) -> None:
    put(replica, b"a")
    with replica.read() as view:
        assert replica.expire_reads(view.opened_at_s + 59) == 0
        assert view.get(b"a") is not None
        assert replica.expire_reads(view.opened_at_s + 61) == 1


def test_finished_reads_free_their_places(replica: Replica) -> None:
    for _ in range(1000):
        with replica.read() as view:
            view.get(b"a")


def test_compaction_makes_space_that_is_used_again(replica: Replica) -> None:
    for _ in range(10):
        put(replica, b"a", _BIG)
    compact(replica, replica.meta.revision)
    in_use, size = replica.in_use_bytes(), replica.size_bytes()
    assert in_use < 4 * len(_BIG) < size
    for _ in range(5):
        put(replica, b"a", _BIG)
    assert replica.size_bytes() == size


def test_a_copy_made_while_others_write_is_one_state_and_opens_in_another_boot(tmp_path: Path) -> None:
    source = open_replica(tmp_path / "source", map_bytes=AMPLE_MAP)
    with entry(source) as view:
        view.grant_lease(9, 60)
        for i in range(500):
            view.put(b"%03d" % i, b"v" * 500, 9)
    target = tmp_path / "copy"
    target.mkdir()
    metas = []
    copying = threading.Thread(target=lambda: metas.append(source.copy_to(target / "data.mdb")))
    copying.start()
    while copying.is_alive():
        with entry(source) as view:
            view.put(b"a", b"", 0)
            view.put(b"b", b"", 0)
    copying.join()
    Replica.adopt(target, boot_id="boot-2")
    copy = open_replica(target, boot_id="boot-3")
    assert copy.meta == metas[0]
    with copy.read() as view:
        assert view.count(b"", None) in (500, 502)
        assert len(view.lease_keys(9)) == 500
    scrub(copy)
    assert put(copy, b"more") == metas[0].revision + 1
    copy.close()
    source.close()


def test_all_shapes_of_pages_survive_a_copy(tmp_path: Path) -> None:
    """Many versions of one key and many keys of one lease have trees of their own, large values pages of their own."""
    source = open_replica(tmp_path / "source", map_bytes=AMPLE_MAP)
    with entry(source) as view:
        view.grant_lease(9, 60)
        for i in range(1000):
            view.put(b"hot", b"%d" % i, 9)
            view.put(b"%d" % i * 100, b"v" * (i * 10), 9)
    source.copy_to(tmp_path / "data.mdb")
    Replica.adopt(tmp_path, boot_id="boot-2")
    copy = open_replica(tmp_path)
    scrub(copy, max_rows=1000)
    with source.read() as before, copy.read() as after:
        assert list(before.scan(b"", None)) == list(after.scan(b"", None))
        assert before.hash_kv().run() == after.hash_kv().run()
    copy.close()
    source.close()


def test_a_copy_is_smaller_than_a_file_full_of_free_pages(replica: Replica, tmp_path: Path) -> None:
    for i in range(10):
        put(replica, b"%d" % i, _BIG)
        delete(replica, b"%d" % i)
    compact(replica, put(replica, b"last"))
    replica.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_size * 4 < replica.size_bytes()


def test_a_copy_that_cannot_be_written_is_an_error(replica: Replica, tmp_path: Path) -> None:
    with pytest.raises(ReplicaFailedError, match="nowhere"):
        replica.copy_to(tmp_path / "nowhere" / "copy")
    with pytest.raises(ReplicaFailedError):
        replica.copy_to(Path("/dev/full"))
    assert put(replica, b"a") == 2


def test_a_closed_replica_is_not_copied(tmp_path: Path) -> None:
    replica = open_replica(tmp_path / "r")
    replica.close()
    replica.close()
    with pytest.raises(ReplicaFailedError, match="closed"):
        replica.copy_to(tmp_path / "copy")


def test_a_full_disk_undoes_the_transaction_and_is_no_end(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    command = (
        "import pathlib, resource, sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from replica_cases import AMPLE_MAP, open_replica, put, scrub\n"
        "from oarlock.storage.replica import ReplicaFailedError\n"
        "replica = open_replica(pathlib.Path(sys.argv[1]), map_bytes=AMPLE_MAP)\n"
        "put(replica, b'a', b'old')\n"
        "free = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (replica.size_bytes() + 8192, free[1]))\n"
        "try:\n"
        "    put(replica, b'a', b'x' * 1000000)\n"
        "except ReplicaFailedError as error:\n"
        "    print('refused', replica.meta.revision)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, free)\n"
        "with replica.read() as view:\n"
        "    print(view.get(b'a')[1])\n"
        "print(put(replica, b'a', b'x' * 1000000))\n"
        "scrub(replica)\n"
        "replica.close()\n"
    )
    arguments = [sys.executable, "-c", command, str(tmp_path / "r"), str(Path(__file__).parent)]
    done = subprocess.run(arguments, timeout=60, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["refused 2", "b'old'", "3"]
