"""The log's start moves behind a snapshot, whatever of it a crash leaves undone."""

from __future__ import annotations

import pytest
from log_cases import DIRECTORY, entries, entry, everything, reopen, segment_names

from oarlock.storage.log import HardState, Log, LogOrderError, LogUnavailableError, Position
from oarlock.storage.memory_disk import MemoryDisk
from oarlock.wire.errors import DamageError


@pytest.fixture
def long_log(log: Log) -> Log:
    """Entries 1 to 99 in several segments, synced."""
    for index in range(1, 100):
        log.append([entry(index, term=1 + index // 50)], HardState(1 + index // 50, 3))
    log.sync()
    return log


def expected(low: int) -> list[object]:
    return [entry(index, term=1 + index // 50) for index in range(low, 100)]


@pytest.mark.parametrize("index", [1, 10, 49, 50, 51, 98, 99])
def test_prefix_is_dropped_and_stays_dropped(disk: MemoryDisk, long_log: Log, index: int) -> None:
    long_log.truncate_prefix(index)
    assert everything(long_log) == expected(index + 1)
    again = reopen(disk.crash(seed=1))
    assert again.start == Position(index, 1 + index // 50)
    assert again.term(index) == 1 + index // 50
    assert everything(again) == expected(index + 1)
    assert again.hard_state == HardState(2, 3)


def test_segments_below_the_start_are_removed(disk: MemoryDisk, long_log: Log) -> None:
    count = len(long_log.segment_paths)
    long_log.truncate_prefix(98)
    assert len(long_log.segment_paths) < count / 2
    assert segment_names(disk) == [path.name for path in long_log.segment_paths]


def test_dropping_again_or_less_changes_nothing(disk: MemoryDisk, long_log: Log) -> None:
    long_log.truncate_prefix(50)
    writes = disk.write_count
    long_log.truncate_prefix(50)
    long_log.truncate_prefix(3)
    assert (disk.write_count, long_log.first_index()) == (writes, 51)


def test_prefix_beyond_the_log_is_refused(long_log: Log) -> None:
    with pytest.raises(LogUnavailableError):
        long_log.truncate_prefix(100)


def test_log_goes_on_after_its_whole_content_was_dropped(disk: MemoryDisk, long_log: Log) -> None:
    long_log.truncate_prefix(99)
    assert everything(long_log) == []
    long_log.append([entry(100, 2)])
    long_log.close()
    assert everything(reopen(disk)) == [entry(100, 2)]


def test_segments_that_a_crash_brought_back_in_any_order_are_removed(disk: MemoryDisk, long_log: Log) -> None:
    paths = long_log.segment_paths
    kept = {path: disk.contents(path) for path in paths}
    long_log.truncate_prefix(98)
    long_log.close()
    for path in paths[0:4:2]:
        disk.replace_contents(path, kept[path][:50])
    again = reopen(disk)
    assert everything(again) == expected(99)
    assert segment_names(disk) == [path.name for path in again.segment_paths]


def test_missing_segment_is_damage(disk: MemoryDisk, long_log: Log) -> None:
    paths = long_log.segment_paths
    long_log.close()
    disk.remove(paths[3])
    with pytest.raises(DamageError, match="is missing") as error:
        reopen(disk)
    assert (error.value.path, error.value.offset) == (str(paths[4]), 0)


def test_prefix_after_a_conflict_that_reached_back_keeps_what_is_live(disk: MemoryDisk, long_log: Log) -> None:
    long_log.append([entry(20, 3)], HardState(3, 0), truncate_from=20)
    for index in range(21, 40):
        long_log.append([entry(index, 3)])
    for start in (10, 19, 20, 25, 39):
        long_log.truncate_prefix(start)
        long_log.sync()
        again = reopen(disk.crash(seed=start))
        assert again.start == Position(start, 1 if start < 20 else 3)
        assert again.last_index() == 39
        assert everything(again) == everything(long_log)


@pytest.mark.parametrize("index", [50, 99, 5000])
def test_reset_empties_the_log_and_keeps_the_hard_state(disk: MemoryDisk, long_log: Log, index: int) -> None:
    long_log.reset(index, 9)
    for log in (long_log, reopen(disk.crash(seed=3))):
        assert (log.first_index(), log.last_index(), log.start) == (index + 1, index, Position(index, 9))
        assert (log.hard_state, everything(log)) == (HardState(2, 3), [])
    long_log.append([entry(index + 1, 9)])
    long_log.close()
    assert everything(reopen(disk)) == [entry(index + 1, 9)]


def test_reset_below_the_start_is_refused(long_log: Log) -> None:
    long_log.truncate_prefix(50)
    with pytest.raises(LogOrderError, match="starts after 50"):
        long_log.reset(49, 1)


def test_unfinished_segment_is_removed(disk: MemoryDisk, log: Log) -> None:
    log.append(entries(1, 3))
    log.close()
    part = log.segment_paths[0].with_name("x.log.part")
    disk.replace_contents(part, b"half")
    assert everything(reopen(disk)) == entries(1, 3)
    assert part.name not in disk.list(DIRECTORY)
