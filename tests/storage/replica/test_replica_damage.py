from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import lmdb
import pytest
from replica_cases import AMPLE_MAP, BOOT, SMALL_MAP, compact, delete, entry, open_replica, put, scrub

from oarlock.storage.replica import Replica, ReplicaFailedError, ReplicaUntrustedError, Scrubber
from oarlock.storage.replica.layout import (
    EVENT_BODY_AT,
    EVENT_ID,
    EVENT_ID_BYTES,
    NO_EVENT,
    SIGNPOST_VERSIONS,
    event_record,
)
from oarlock.storage.replica.pages import check_pages
from oarlock.wire.errors import DamageError

_PAGE = 4096


def _filled(directory: Path) -> Path:
    """A replica with all shapes of pages: deep trees, large values, few and many duplicates, free pages."""
    replica = open_replica(directory, map_bytes=AMPLE_MAP)
    with entry(replica) as view:
        view.grant_lease(1, 60)
        for i in range(600):
            view.put(b"%d" % i * (1 + i % 3 * 90), b"v" * (i % 7 * 400), i % 2)
    for i in range(300):
        put(replica, b"hot", b"%d" % i)
        if i % 3 == 0:
            delete(replica, b"%d" % i)
    replica.close()
    return directory / "data.mdb"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return _filled(tmp_path / "r")


def _overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("rb+") as file:
        file.seek(offset)
        file.write(data)


def test_a_sound_file_passes_and_opens_again(data: Path) -> None:
    header = check_pages(data)
    assert (header.last_page + 1) * _PAGE <= data.stat().st_size
    replica = open_replica(data.parent)
    with replica.read() as view:
        assert view.get(b"hot") is not None
    scrub(replica)
    replica.close()


def test_a_stop_without_close_is_trusted_in_the_same_boot_only(tmp_path: Path) -> None:
    command = (
        "import os, pathlib, sys\n"
        "from oarlock.storage.replica import Replica\n"
        "replica = Replica.open(pathlib.Path(sys.argv[1]), boot_id='boot-1')\n"
        "with replica.write() as view:\n"
        "    view.put(b'a', b'1', 0)\n"
        "    view.finish_operation()\n"
        "    view.end_entry(1, 1, 1)\n"
        "view = replica.write().__enter__()\n"
        "view.put(b'b', b'2', 0)\n"
        "os._exit(9)\n"
    )
    directory = tmp_path / "r"
    assert subprocess.run([sys.executable, "-c", command, str(directory)], timeout=60, check=False).returncode == 9
    with pytest.raises(ReplicaUntrustedError, match="machine went down"):
        open_replica(directory, boot_id="boot-2")
    replica = open_replica(directory)
    assert replica.meta.revision == 2
    with replica.read() as view:
        assert [kv[0] for kv in view.scan(b"", None)] == [b"a"]
    replica.close()
    open_replica(directory, boot_id="boot-2").close()


def test_a_close_that_is_not_clean_is_not_trusted_in_another_boot(tmp_path: Path) -> None:
    open_replica(tmp_path / "r").close(clean=False)
    with pytest.raises(ReplicaUntrustedError):
        open_replica(tmp_path / "r", boot_id="boot-2")


def test_a_replica_that_is_known_to_be_wrong_is_not_trusted_whatever_becomes_of_its_process(tmp_path: Path) -> None:
    replica = Replica.open(tmp_path, boot_id="boot-1")
    replica.distrust()
    replica.close(clean=False)
    with pytest.raises(ReplicaUntrustedError, match=r"mark\.json"):
        Replica.open(tmp_path, boot_id="boot-1")


@pytest.mark.parametrize("mark", [None, b"", b"[]", b"\xff", b'{"format": 9, "boot_id": "boot-1", "clean": true}'])
def test_a_mark_that_is_missing_or_strange_is_not_trusted(data: Path, mark: bytes | None) -> None:
    path = data.parent / "mark.json"
    path.unlink() if mark is None else path.write_bytes(mark)
    with pytest.raises(ReplicaUntrustedError, match=r"mark\.json"):
        open_replica(data.parent)


def test_a_missing_file_is_damage(data: Path) -> None:
    data.unlink()
    with pytest.raises(DamageError, match=r"data\.mdb"):
        open_replica(data.parent)


@pytest.mark.parametrize("size", [0, 1, 100, _PAGE, 2 * _PAGE - 1, 2 * _PAGE, 10 * _PAGE + 5])
def test_a_file_that_is_cut_off_is_damage(data: Path, size: int) -> None:
    with data.open("rb+") as file:
        file.truncate(size)
    with pytest.raises(DamageError):
        open_replica(data.parent)


@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"oarlock"])
def test_a_file_of_something_else_is_damage(data: Path, filling: bytes) -> None:
    data.write_bytes(filling * (data.stat().st_size // len(filling)))
    with pytest.raises(DamageError, match="no LMDB file"):
        open_replica(data.parent)


def test_another_version_of_lmdb_is_damage(data: Path) -> None:
    _overwrite(data, 16 + 4, b"\x03")
    with pytest.raises(DamageError, match="version 3"):
        open_replica(data.parent)


def test_an_lmdb_file_that_is_no_replica_is_damage(data: Path) -> None:
    data.unlink()
    with lmdb.open(str(data.parent), max_dbs=2) as environment:
        environment.open_db(b"something")
    with pytest.raises(DamageError):
        open_replica(data.parent)


def test_a_replica_of_another_format_is_damage(data: Path) -> None:
    with lmdb.open(str(data.parent), max_dbs=20) as environment:
        meta = environment.open_db(b"meta", create=False)
        with environment.begin(write=True, db=meta) as transaction:
            transaction.put(b"format", b"oarlock replica 3")
    with pytest.raises(DamageError, match="replica 3"):
        open_replica(data.parent)


def _garbage(rng: random.Random, good: bytes) -> tuple[int, bytes]:
    """An offset, and what to write there."""
    run = rng.choice((1, 8, 200, _PAGE, 5 * _PAGE))
    return rng.randrange(len(good) - run), rng.choice((rng.randbytes(run), bytes(run)))


def _passes(data: Path, good: bytes, garbage: tuple[int, bytes]) -> bool:
    at, run = garbage
    data.write_bytes(good[:at] + run + good[at + len(run) :])
    try:
        check_pages(data)
    except DamageError:
        return False
    return True


def test_pages_overwritten_with_garbage_are_found_before_lmdb_sees_them(data: Path) -> None:
    """Each round overwrites a run of bytes anywhere; whatever the check lets pass is safe for LMDB to read.

    The reading is done by a process of its own: a crash would be its end and not pytest's.
    """
    good = data.read_bytes()
    rng = random.Random(8)
    passed = [run for run in (_garbage(rng, good) for _ in range(90)) if _passes(data, good, run)]
    assert 0 < len(passed) < 70
    data.write_bytes(good)
    script = (
        "import ast, pathlib, sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from replica_cases import open_replica, scrub\n"
        "from oarlock.wire.errors import OarlockError\n"
        "data = pathlib.Path(sys.argv[1])\n"
        "good = data.read_bytes()\n"
        "mark = (data.parent / 'mark.json').read_bytes()\n"
        "for at, run in ast.literal_eval(sys.stdin.read()):\n"
        "    data.write_bytes(good[:at] + run + good[at + len(run):])\n"
        "    (data.parent / 'mark.json').write_bytes(mark)\n"
        "    try:\n"
        "        replica = open_replica(data.parent)\n"
        "    except OarlockError:\n"
        "        continue\n"
        "    try:\n"
        "        scrub(replica, max_rows=1000)\n"
        "        with replica.read() as view:\n"
        "            list(view.scan(b'', None))\n"
        "    except OarlockError:\n"
        "        pass\n"
        "    replica.close(clean=False)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(data), str(Path(__file__).parent)],
        input=repr(passed).encode(),
        timeout=100,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_discarded_replica_begins_anew(data: Path) -> None:
    data.write_bytes(b"")
    Replica.discard(data.parent)
    Replica.discard(data.parent)
    replica = open_replica(data.parent)
    assert replica.meta.revision == 1
    replica.close()


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ReplicaFailedError):
        Replica.open(tmp_path / "file" / "r", boot_id=BOOT, map_bytes=SMALL_MAP)
    with pytest.raises(ReplicaFailedError):
        Replica.adopt(tmp_path, boot_id=BOOT)


def _damaged(replica: Replica, table: str, change: str) -> None:
    """Changes the first row of a table behind the replica's back."""
    with replica.write() as view:
        handle = getattr(view.tables, table)
        key, value = next(iter(view.transaction.cursor(handle)))
        view.transaction.delete(key, value if table in ("signposts", "lease_keys") else b"", handle)
        if change == "flip":
            view.transaction.put(key, value[:-1] + bytes((value[-1] ^ 1,)), db=handle)


_DAMAGES = [
    (table, change)
    for table in ("events", "current", "signposts", "leases", "lease_keys", "long_keys")
    for change in ("flip", "delete")
    if (table, change) != ("leases", "flip")  # nothing else says what a lease's TTL is
]


@pytest.mark.parametrize(("table", "change"), _DAMAGES)
def test_a_scrub_finds_a_row_that_is_wrong_or_missing(tmp_path: Path, table: str, change: str) -> None:
    replica = open_replica(tmp_path / "r")
    with entry(replica) as view:
        view.grant_lease(1, 60)
        view.put(b"a", b"value", 1)
        view.put(b"k" * 600, b"value", 1)
    for _ in range(SIGNPOST_VERSIONS):
        put(replica, b"hot")
    scrub(replica)
    _damaged(replica, table, change)
    with pytest.raises(DamageError, match=r"data\.mdb"):
        scrub(replica)
    replica.close()


@pytest.mark.parametrize("forerunner", [NO_EVENT, EVENT_ID.pack(2, 0), EVENT_ID.pack(3, 0), EVENT_ID.pack(9, 9)])
def test_a_scrub_finds_a_forerunner_that_is_wrong(tmp_path: Path, forerunner: bytes) -> None:
    replica = open_replica(tmp_path / "r")
    put(replica, b"a")
    put(replica, b"b")
    put(replica, b"a")
    put(replica, b"a")
    _with_the_newest_event(replica, lambda r: event_record(forerunner, r[EVENT_BODY_AT:], crc32(r[EVENT_BODY_AT:])))
    with pytest.raises(DamageError, match=r"the event 5\.0 has the forerunner"):
        scrub(replica)
    replica.close()


def test_a_forerunner_that_is_wrong_ends_a_search_and_a_compaction(replica: Replica) -> None:
    put(replica, b"a")
    put(replica, b"a")
    good = _with_the_newest_event(replica, lambda record: EVENT_ID.pack(3, 0) + record[EVENT_ID_BYTES:])
    with replica.read() as view:
        with pytest.raises(DamageError, match="wrong forerunner"):
            view.get(b"a", 2)
        with pytest.raises(DamageError, match="wrong forerunner"):
            list(view.history(b"a", b"a\0", 2, 3))
    with pytest.raises(DamageError, match="checksum"):
        compact(replica, 3)
    _with_the_newest_event(replica, lambda _: good)


def _with_the_newest_event(replica: Replica, change: Callable[[bytes], bytes]) -> bytes:
    """Changes the record of the newest event behind the replica's back; returns what it was."""
    with replica.write() as view:
        newest, record = list(view.transaction.cursor(view.tables.events))[-1]
        view.transaction.put(newest, change(record), db=view.tables.events)
    return record


@pytest.mark.parametrize("versions", [SIGNPOST_VERSIONS - 1, SIGNPOST_VERSIONS, SIGNPOST_VERSIONS + 1])
def test_a_scrub_finds_that_the_row_of_a_key_is_missing_whatever_its_version(tmp_path: Path, versions: int) -> None:
    replica = open_replica(tmp_path / "r")
    for _ in range(versions):
        put(replica, b"a")
    _damaged(replica, "current", "delete")
    with pytest.raises(DamageError, match="table current contradicts the event"):
        scrub(replica)
    replica.close()


def test_a_scrub_goes_on_while_rows_come_and_go(replica: Replica) -> None:
    scrubber, steps = Scrubber(), 0
    with entry(replica) as view:
        for i in range(50):
            view.put(b"%02d" % i, b"", 0)
    while not scrubber.step(replica, max_rows=5):
        delete(replica, b"%02d" % (steps % 50))
        put(replica, b"%02d" % (steps * 7 % 50))
        steps += 1
    assert steps > 20
