"""The disk in memory loses what a real one may lose, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from oarlock.storage.disk import DataDirectoryInUseError
from oarlock.storage.memory_disk import SECTOR_BYTES, MemoryDisk

DIRECTORY = Path("/d")
PATH = DIRECTORY / "x"
SEEDS = range(200)


def durable_file(disk: MemoryDisk, data: bytes) -> None:
    disk.create(PATH).write([data], 0)
    disk.open(PATH).sync()
    disk.sync_directory(DIRECTORY)


def outcomes(disk: MemoryDisk) -> set[bytes | None]:
    """What crashes with many seeds leave of the file; None: no file. The disk itself is used up by the first."""
    return {contents_after(disk, seed) for seed in SEEDS}


def contents_after(disk: MemoryDisk, seed: int) -> bytes | None:
    after = disk.crash(seed)
    return after.contents(PATH) if after.list(DIRECTORY) == [PATH.name] else None


def test_synced_content_survives_every_crash() -> None:
    disk = MemoryDisk()
    durable_file(disk, b"abc")
    assert outcomes(disk) == {b"abc"}


def test_unsynced_write_is_kept_lost_or_torn_between_sectors() -> None:
    disk = MemoryDisk()
    durable_file(disk, b"a" * 2 * SECTOR_BYTES)
    disk.open(PATH).write([b"b" * 2 * SECTOR_BYTES], 0)
    a, b = b"a" * SECTOR_BYTES, b"b" * SECTOR_BYTES
    assert outcomes(disk) == {a + a, a + b, b + a, b + b}


def test_unsynced_cut_is_kept_or_lost() -> None:
    disk = MemoryDisk()
    durable_file(disk, b"abc")
    disk.open(PATH).truncate(1)
    assert outcomes(disk) == {b"abc", b"a"}


def test_name_needs_a_sync_of_its_directory() -> None:
    seen = set()
    for seed in SEEDS:
        disk = MemoryDisk()
        file = disk.create(PATH)
        file.write([b"abc"], 0)
        file.sync()
        seen.add(contents_after(disk, seed))
    assert seen == {None, b"abc"}


def test_rename_happens_whole_or_not_at_all() -> None:
    seen = set()
    for seed in SEEDS:
        disk = MemoryDisk()
        durable_file(disk, b"abc")
        disk.rename(PATH, DIRECTORY / "y")
        assert disk.list(DIRECTORY) == ["y"]
        seen.add(tuple(disk.crash(seed).list(DIRECTORY)))
    assert seen == {("x",), ("y",)}


def test_same_seed_leaves_the_same() -> None:
    disk = MemoryDisk()
    durable_file(disk, b"a" * 5000)
    disk.open(PATH).write([b"b" * 5000], 0)
    assert contents_after(disk, 7) == contents_after(disk, 7)


def test_after_a_failed_sync_another_succeeds_and_saves_nothing() -> None:
    disk = MemoryDisk()
    durable_file(disk, b"abc")
    file = disk.open(PATH)
    file.write([b"xyz"], 0)
    disk.failing_syncs = 1
    with pytest.raises(OSError, match="sync failed"):
        file.sync()
    file.sync()
    assert file.read(0, 3) == b"xyz"
    assert outcomes(disk) == {b"abc"}


def test_full_disk_refuses_growth_but_not_overwriting() -> None:
    disk = MemoryDisk(capacity_bytes=10)
    file = disk.create(PATH)
    file.write([b"0123456789"], 0)
    file.write([b"abc"], 7)
    with pytest.raises(OSError, match="no space left"):
        file.write([b"abc"], 8)
    with pytest.raises(OSError, match="no space left"):
        file.allocate(11)
    assert disk.contents(PATH) == b"0123456abc"


def test_flipped_bit_is_durable() -> None:
    disk = MemoryDisk()
    durable_file(disk, b"\0\0")
    disk.flip_bit(PATH, 9)
    assert outcomes(disk) == {b"\0\2"}


def test_lock_has_one_owner_until_it_is_released_or_the_machine_crashes() -> None:
    disk = MemoryDisk()
    lock = disk.lock(DIRECTORY)
    with pytest.raises(DataDirectoryInUseError):
        disk.lock(DIRECTORY)
    lock.release()
    disk.lock(DIRECTORY)
    disk.crash(1).lock(DIRECTORY)
