"""A disk that fails ends the log: nothing is tried again, and nothing that was synced is lost."""

from __future__ import annotations

import pytest
from log_cases import DIRECTORY, IDENTITY, SMALL, entries, entry, everything, reopen

from oarlock.storage.log import HardState, Log, LogFailedError, has_log
from oarlock.storage.memory_disk import MemoryDisk


def assert_failed_for_good(log: Log) -> None:
    for attempt in (
        lambda: log.append([entry(log.last_index() + 1)]),
        log.sync,
        lambda: log.truncate_prefix(2),
        lambda: log.reset(9, 9),
    ):
        with pytest.raises(LogFailedError):
            attempt()
    log.close()


def test_failed_sync_is_never_retried(disk: MemoryDisk, log: Log) -> None:
    log.append(entries(1, 4))
    log.sync()
    log.append([entry(4)])
    disk.failing_syncs = 1
    with pytest.raises(LogFailedError, match="could not sync"):
        log.sync()
    asked = disk.sync_count, disk.write_count
    assert_failed_for_good(log)
    assert (disk.sync_count, disk.write_count) == asked
    assert everything(reopen(disk.crash(seed=1))) == entries(1, 4)


def test_failed_write_is_never_retried(disk: MemoryDisk, log: Log) -> None:
    log.append(entries(1, 4))
    log.sync()
    disk.failing_writes = 1
    with pytest.raises(LogFailedError, match="could not write"):
        log.append([entry(4)])
    assert everything(log) == entries(1, 4)
    assert_failed_for_good(log)


def test_what_a_failed_sync_left_in_the_page_cache_is_durable_after_the_next_start(disk: MemoryDisk, log: Log) -> None:
    log.append(entries(1, 3), HardState(1, 1))
    disk.failing_syncs = 1
    with pytest.raises(LogFailedError):
        log.sync()
    disk.failing_syncs = 0
    assert everything(reopen(disk)) == entries(1, 3)
    assert everything(reopen(disk.crash(1))) == entries(1, 3)


def append_until_it_fails(log: Log) -> int:
    """Appends and syncs one entry after another; returns the index of the last that was synced."""
    while True:
        synced = log.last_index()
        try:
            log.append([entry(synced + 1)], HardState(synced + 1, 1))
            log.sync()
        except LogFailedError:
            return synced


def test_full_disk_keeps_what_was_synced(disk: MemoryDisk, log: Log) -> None:
    disk.capacity_bytes = 5000
    synced = append_until_it_fails(log)
    assert synced > 10
    assert_failed_for_good(log)
    after = disk.crash(seed=5)
    after.capacity_bytes = None
    assert everything(reopen(after)) == entries(1, synced + 1)


@pytest.mark.parametrize("passing", range(40))
def test_any_sync_may_fail_rotation_included(disk: MemoryDisk, log: Log, passing: int) -> None:
    disk.passing_syncs, disk.failing_syncs = passing, 1
    synced = append_until_it_fails(log)
    assert_failed_for_good(log)
    for seed in range(5):
        again = reopen(disk.crash(seed))
        assert everything(again)[:synced] == entries(1, synced + 1)
        assert again.last_index() <= synced + 1
        assert again.hard_state.term >= synced


@pytest.mark.parametrize("passing", range(2))
def test_failed_creation_leaves_no_log_or_an_empty_one(disk: MemoryDisk, passing: int) -> None:
    disk.passing_syncs, disk.failing_syncs = passing, 1
    with pytest.raises(OSError, match="sync failed"):
        Log.create(DIRECTORY, disk, IDENTITY, SMALL)
    for seed in range(10):
        after = disk.crash(seed)
        assert not has_log(after, DIRECTORY) or everything(reopen(after)) == []
