"""A replica of format 1, which had a line in ``history`` for every event and no forerunners, opens as one of today."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from zlib import crc32

import lmdb
import pytest
from replica_cases import AMPLE_MAP, compact, delete, entry, open_replica, put, scrub

from oarlock.storage.replica import Replica
from oarlock.storage.replica.keys import stored_key
from oarlock.storage.replica.layout import CHECKSUM, DELETE, EVENT_BODY_AT, event_kv
from oarlock.storage.replica.past import Change
from oarlock.wire.errors import DamageError
from oarlock.wire.operations import KeyValue

_KEYS = [b"a", b"b", b"c" * 600, b"c" * 601]


def _written(directory: Path, writes: int) -> Replica:
    """A replica with keys of many versions and many lives, of which a compaction removed the beginning."""
    replica, rng = open_replica(directory, map_bytes=AMPLE_MAP), Random(5)
    for number in range(writes):
        key = rng.choice(_KEYS)
        delete(replica, key) if rng.random() < 0.05 else put(replica, key, b"%d" % number * 50)
        if number == writes // 3:
            compact(replica, replica.meta.revision)
    put(replica, b"a")
    return replica


def _as_format_1(directory: Path) -> None:
    with lmdb.open(str(directory), max_dbs=32) as environment:
        tables = {name: environment.open_db(name.encode(), create=False) for name in ("meta", "events")}
        signposts = environment.open_db(b"signposts", create=False, dupsort=True)
        history = environment.open_db(b"history", dupsort=True)
        with environment.begin(write=True) as transaction:
            for event_id, record in list(transaction.cursor(tables["events"])):
                kind, kv = event_kv(event_id, record)
                stored = stored_key(kv[0])
                body = record[EVENT_BODY_AT:]
                transaction.put(event_id, CHECKSUM.pack(crc32(body)) + body, db=tables["events"])
                transaction.put(stored, event_id + (b"\1" if kind == DELETE else b"\0"), db=history)
            transaction.drop(signposts)
            transaction.put(b"format", b"oarlock replica 1", db=tables["meta"])


def _everything(replica: Replica) -> tuple[list[list[KeyValue]], list[Change], list[list[Change]], int]:
    """What was there at every revision, and what happened, by all ways to ask for it."""
    with replica.read() as view:
        first, last = view.compact_revision, view.revision
        states = [list(view.scan(b"", None, revision=revision)) for revision in range(first, last + 1)]
        events = list(view.history(b"", None, first, last))
        of_keys = [list(view.history(key, key + b"\0", first, last)) for key in _KEYS]
        return states, events, of_keys, view.hash_kv().run()


@pytest.fixture
def old(tmp_path: Path) -> Iterator[tuple[Path, Replica]]:
    """The directory of a replica of format 1, and the same replica as it would be today."""
    today = _written(tmp_path / "today", 400)
    today.settle()
    (tmp_path / "old").mkdir()
    today.copy_to(tmp_path / "old" / "data.mdb")
    _as_format_1(tmp_path / "old")
    Replica.adopt(tmp_path / "old", boot_id="boot-1")
    yield tmp_path / "old", today
    today.close()


def test_everything_is_found_after_an_upgrade_and_goes_on(old: tuple[Path, Replica]) -> None:
    directory, today = old
    upgraded = open_replica(directory)
    assert upgraded.meta == today.meta
    assert _everything(upgraded) == _everything(today)
    scrub(upgraded)
    for replica in (upgraded, today):
        with entry(replica) as view:
            view.put(b"b", b"new", 0)
        compact(replica, replica.meta.revision)
    upgraded.close()
    reopened = open_replica(directory)
    assert _everything(reopened) == _everything(today)
    scrub(reopened)
    reopened.close()


def test_an_upgrade_makes_the_map_as_large_as_it_needs(old: tuple[Path, Replica]) -> None:
    directory, today = old
    size = (directory / "data.mdb").stat().st_size
    upgraded = open_replica(directory, map_bytes=size)
    assert upgraded.map_bytes > size
    assert _everything(upgraded) == _everything(today)
    upgraded.close()


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(old: tuple[Path, Replica], tmp_path: Path) -> None:
    directory, _ = old
    with lmdb.open(str(directory), max_dbs=32) as environment:
        events = environment.open_db(b"events", create=False)
        with environment.begin(write=True) as transaction:
            newest, record = list(transaction.cursor(events))[-1]
            transaction.delete(newest, db=events)
    for _ in range(2):
        shutil.copytree(directory, tmp_path / "copy", dirs_exist_ok=True)
        with pytest.raises(DamageError, match=r"data\.mdb.*table events lacks"):
            open_replica(directory)
    with lmdb.open(str(tmp_path / "copy"), max_dbs=32) as environment:
        events = environment.open_db(b"events", create=False)
        with environment.begin(write=True) as transaction:
            transaction.put(newest, record, db=events)
    Replica.adopt(tmp_path / "copy", boot_id="boot-1")
    mended = open_replica(tmp_path / "copy")
    scrub(mended)
    mended.close()
