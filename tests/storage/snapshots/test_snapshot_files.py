"""A snapshot file has its name only when it is whole, and is used only when it is right."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.storage import snapshots
from oarlock.storage.snapshots import (
    SnapshotFile,
    SnapshotMetadata,
    adopt_snapshot,
    extract_body,
    list_snapshots,
    part_path,
    prune,
    read_metadata,
    remove_parts,
    seal_snapshot,
    snapshot_name,
    verify,
    write_snapshot,
)
from oarlock.wire.errors import ConfigurationError, DamageError

METADATA = SnapshotMetadata(
    index=70_000,
    term=5,
    cluster_id=2**64 - 1,
    members=[[1, "tcp://a:2380", True]],
    revision=12_345,
    compact_revision=99,
    state_hash=b"\x01" * 16,
    leases={7: [60, [b"key"]]},
    ledger={2**63: 41},
    created_ms=1_700_000_000_000,
)
BODY = bytes(range(256)) * 5


@pytest.fixture
def body(tmp_path: Path) -> Path:
    path = tmp_path / "body"
    path.write_bytes(BODY)
    return path


@pytest.fixture
def snapshot(tmp_path: Path, body: Path) -> Path:
    path = tmp_path / snapshot_name(METADATA.index, METADATA.term)
    write_snapshot(path, METADATA, body)
    return path


def test_metadata_and_body_come_back_as_they_were(tmp_path: Path, snapshot: Path) -> None:
    assert read_metadata(snapshot) == METADATA
    assert verify(snapshot) == METADATA
    assert extract_body(snapshot, tmp_path / "out") == METADATA
    assert (tmp_path / "out").read_bytes() == BODY
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["body", "out", snapshot.name])


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 21) + 7])
def test_body_of_any_length_comes_back(tmp_path: Path, size: int) -> None:
    (tmp_path / "body").write_bytes(os.urandom(size))
    write_snapshot(tmp_path / "s", METADATA, tmp_path / "body")
    extract_body(tmp_path / "s", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "body").read_bytes()


def test_sealed_part_equals_a_written_snapshot(tmp_path: Path, snapshot: Path) -> None:
    sealed = tmp_path / "sealed"
    part_path(sealed).write_bytes(BODY)
    seal_snapshot(sealed, METADATA)
    assert sealed.read_bytes() == snapshot.read_bytes()
    assert not part_path(sealed).exists()


def test_lmdb_writes_its_copy_into_the_part_file(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with lmdb.open(str(tmp_path / "a.mdb"), subdir=False) as source:
        with source.begin(write=True) as transaction:
            transaction.put(b"key", b"value" * 100)
        with open(part_path(path), "wb") as part:
            source.copyfd(part.fileno(), compact=True)
    seal_snapshot(path, METADATA)
    extract_body(path, tmp_path / "b.mdb")
    with lmdb.open(str(tmp_path / "b.mdb"), subdir=False) as copy, copy.begin() as transaction:
        assert transaction.get(b"key") == b"value" * 100


def test_received_snapshot_is_adopted(tmp_path: Path, snapshot: Path) -> None:
    target = tmp_path / "received"
    part_path(target).write_bytes(snapshot.read_bytes())
    assert adopt_snapshot(target) == METADATA
    assert target.read_bytes() == snapshot.read_bytes()


def test_received_snapshot_that_is_damaged_is_removed(tmp_path: Path, snapshot: Path) -> None:
    target = tmp_path / "received"
    part_path(target).write_bytes(b"\0" + snapshot.read_bytes()[1:-1] + b"!")
    with pytest.raises(DamageError):
        adopt_snapshot(target)
    assert not target.exists()
    assert not part_path(target).exists()


def test_every_cut_is_noticed(tmp_path: Path, snapshot: Path) -> None:
    data = snapshot.read_bytes()
    for cut in [*range(0, len(BODY), 97), *range(len(BODY), len(data))]:
        snapshot.write_bytes(data[:cut])
        for use in (read_metadata, verify):
            with pytest.raises(DamageError) as error:
                use(snapshot)
            assert error.value.path == str(snapshot)
            assert error.value.offset <= cut


def test_every_changed_byte_is_noticed_and_none_of_it_used(tmp_path: Path, snapshot: Path) -> None:
    data = snapshot.read_bytes()
    out = tmp_path / "out"
    for at in [*range(0, len(BODY), 97), *range(len(BODY), len(data))]:
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        snapshot.write_bytes(changed)
        with pytest.raises((DamageError, ConfigurationError)) as error:
            extract_body(snapshot, out)
        assert str(snapshot) in str(error.value)
        assert not out.exists()
        assert not part_path(out).exists()


def test_changed_metadata_is_noticed_without_reading_the_body(snapshot: Path) -> None:
    data = bytearray(snapshot.read_bytes())
    data[0] ^= 1
    snapshot.write_bytes(data)
    assert read_metadata(snapshot) == METADATA
    data[len(BODY) + 3] ^= 1
    snapshot.write_bytes(data)
    with pytest.raises(DamageError, match=f"damaged at byte {len(BODY)}: the metadata fails its checksum"):
        read_metadata(snapshot)


def fail_with(number: int) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_failure_halfway_leaves_the_old_snapshot(
    tmp_path: Path, snapshot: Path, body: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot.read_bytes()
    part_path(snapshot).write_bytes(b"body")
    monkeypatch.setattr(snapshots.os, step, fail_with(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        write_snapshot(snapshot, replace(METADATA, term=6), body)
    part_path(snapshot).write_bytes(b"body")
    with pytest.raises(OSError, match="No space left"):
        seal_snapshot(snapshot, replace(METADATA, term=6))
    monkeypatch.undo()
    assert snapshot.read_bytes() == before
    assert not part_path(snapshot).exists()


def test_snapshots_are_listed_newest_first_and_pruned_from_the_oldest(tmp_path: Path, body: Path) -> None:
    for index, term in [(9, 1), (255, 2), (256, 2), (10**6, 3), (10**6, 2)]:
        write_snapshot(tmp_path / snapshot_name(index, term), METADATA, body)
    part_path(tmp_path / snapshot_name(2**40, 1)).write_bytes(b"half")
    listed = list_snapshots(tmp_path)
    assert [(each.last_index, each.term) for each in listed] == [(10**6, 3), (10**6, 2), (256, 2), (255, 2), (9, 1)]
    assert listed[-1] == SnapshotFile(tmp_path / snapshot_name(9, 1), 9, 1)
    assert [path.name for path in prune(tmp_path, 2)] == [snapshot_name(*at) for at in [(256, 2), (255, 2), (9, 1)]]
    assert list_snapshots(tmp_path) == listed[:2]
    assert prune(tmp_path, 2) == []


def test_parts_are_removed_and_nothing_else(tmp_path: Path, snapshot: Path, body: Path) -> None:
    part = part_path(snapshot)
    part.write_bytes(b"half")
    assert remove_parts(tmp_path) == [part]
    assert sorted(tmp_path.iterdir()) == sorted([body, snapshot])


def test_missing_directory_has_no_snapshots(tmp_path: Path) -> None:
    assert list_snapshots(tmp_path / "no") == []
    assert remove_parts(tmp_path / "no") == []


def test_newest_snapshot_cannot_be_pruned(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot keep 0 snapshots"):
        prune(tmp_path, 0)


@pytest.mark.parametrize("wrong", [{"index": -1}, {"term": 2**64}, {"revision": True}, {"state_hash": "x"}])
def test_wrong_metadata_is_refused_by_name(tmp_path: Path, body: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))} is"):
        write_snapshot(tmp_path / "s", replace(METADATA, **wrong), body)
    assert list(tmp_path.iterdir()) == [body]


@given(data=st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_other_file_is_refused_as_damage(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz-{len(data)}"
    path.write_bytes(data)
    with pytest.raises(DamageError):
        verify(path)
