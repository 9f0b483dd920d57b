"""What is appended can be read, and is there again after the log was opened anew."""

from __future__ import annotations

import pytest
from log_cases import DIRECTORY, IDENTITY, ROOMY, entries, entry, everything, reopen

from oarlock.storage.log import (
    HardState,
    Identity,
    Log,
    LogCompactedError,
    LogExistsError,
    LogIdentityError,
    LogMissingError,
    LogOptions,
    LogOrderError,
    LogUnavailableError,
    Position,
)
from oarlock.storage.memory_disk import MemoryDisk
from oarlock.wire.entries import Entry
from oarlock.wire.errors import ConfigurationError, StoppedError


def test_new_log_is_empty(log: Log) -> None:
    assert (log.first_index(), log.last_index(), log.start, log.hard_state) == (1, 0, Position(0, 0), HardState(0, 0))
    assert log.term(0) == 0
    assert everything(log) == []


def test_entries_are_read_back_as_they_were_appended(log: Log) -> None:
    log.append([Entry(1, 1, 0, 0, 0, b""), Entry(2, 1, 255, 2**64 - 1, 2**64 - 1, bytes(range(256)) * 9)])
    log.append([entry(3, term=4)], HardState(4, 9))
    assert [e.index for e in everything(log)] == [1, 2, 3]
    assert log.entries(2, 3, 1 << 20) == [Entry(2, 1, 255, 2**64 - 1, 2**64 - 1, bytes(range(256)) * 9)]
    assert [log.term(index) for index in range(4)] == [0, 1, 1, 4]


def test_reopened_log_holds_entries_hard_state_and_terms(disk: MemoryDisk, log: Log) -> None:
    log.append(entries(1, 30), HardState(1, 3))
    log.append(entries(30, 60, term=2), HardState(2, 5))
    before = everything(log)
    log.close()
    again = reopen(disk)
    assert everything(again) == before
    assert again.hard_state == HardState(2, 5)
    assert (again.term(29), again.term(30), again.torn_tail) == (1, 2, None)


def test_many_entries_in_one_record_survive(disk: MemoryDisk, log: Log) -> None:
    log.append(entries(1, 2000))
    log.close()
    assert everything(reopen(disk)) == entries(1, 2000)


def test_reopened_log_goes_on_after_a_clean_stop(disk: MemoryDisk, log: Log) -> None:
    for index in range(1, 40):
        log.append([entry(index)])
        log.close()
        log = reopen(disk)
    assert everything(log) == entries(1, 40)


def test_conflicting_suffix_is_replaced(disk: MemoryDisk, log: Log) -> None:
    log.append(entries(1, 10))
    log.append(entries(5, 7, term=2), HardState(2, 0), truncate_from=5)
    expected = entries(1, 5) + entries(5, 7, term=2)
    assert everything(log) == expected
    log.close()
    assert everything(reopen(disk)) == expected


def test_conflict_that_reaches_into_older_segments_is_replaced(disk: MemoryDisk, log: Log) -> None:
    for index in range(1, 60):
        log.append([entry(index)])
    assert len(log.segment_paths) > 2
    log.append([entry(3, term=2)], truncate_from=3)
    log.close()
    assert everything(reopen(disk)) == [*entries(1, 3), entry(3, term=2)]


def test_dropped_suffix_leaves_no_trace_of_its_term(log: Log) -> None:
    log.append([*entries(1, 4), entry(4, term=3)])
    log.append([], truncate_from=4)
    log.append([entry(4, term=2)])
    assert [log.term(index) for index in range(1, 5)] == [1, 1, 1, 2]


def test_suffix_can_be_dropped_without_new_entries(disk: MemoryDisk, log: Log) -> None:
    log.append(entries(1, 10))
    log.append([], truncate_from=8)
    log.close()
    assert reopen(disk).last_index() == 7


def test_segments_stay_within_their_size(disk: MemoryDisk, log: Log) -> None:
    for index in range(1, 100):
        log.append([entry(index)])
    assert len(log.segment_paths) > 5
    assert all(len(disk.contents(path)) <= 1100 for path in log.segment_paths)  # 1000, and a closing record


def test_record_longer_than_a_segment_gets_one_of_its_own(disk: MemoryDisk, log: Log) -> None:
    log.append([entry(1)])
    log.append([entry(2, payload=b"x" * 5000)])
    log.append([entry(3)])
    log.close()
    again = reopen(disk)
    assert [len(e.payload) for e in everything(again)] == [9, 5000, 9]
    assert len(again.segment_paths) == 3


def test_max_bytes_bounds_what_is_returned_but_for_the_first(log: Log) -> None:
    log.append([entry(index, payload=b"x" * 100) for index in range(1, 11)])
    assert [len(log.entries(1, 11, size)) for size in (0, 1, 100, 199, 200, 999, 1000)] == [1, 1, 1, 1, 2, 9, 10]


@pytest.mark.parametrize("cache_bytes", [0, 500, 3000, 1 << 20])
def test_entries_come_whole_from_disk_and_cache_together(disk: MemoryDisk, cache_bytes: int) -> None:
    log = Log.create(DIRECTORY, disk, IDENTITY, LogOptions(segment_bytes=1000, cache_bytes=cache_bytes))
    for index in range(1, 60, 2):
        log.append(entries(index, index + 2))
    for low in range(1, 61):
        for high in range(low, 62, 7):
            assert log.entries(low, high, 1 << 20) == entries(low, high)
            got = log.entries(low, high, 50)
            assert got == entries(low, high)[: len(got)]
            assert got or low == high


def test_recent_entries_do_not_touch_the_disk(disk: MemoryDisk) -> None:
    log = Log.create(DIRECTORY, disk, IDENTITY, ROOMY)
    log.append(entries(1, 10))
    disk.replace_contents(log.segment_paths[0], b"")
    assert everything(log) == entries(1, 10)


def test_reading_outside_the_log_is_refused(log: Log) -> None:
    log.append(entries(1, 10))
    log.truncate_prefix(4)
    with pytest.raises(LogCompactedError) as compacted:
        log.entries(4, 6, 1)
    assert compacted.value.detail == 5
    with pytest.raises(LogCompactedError):
        log.term(3)
    with pytest.raises(LogUnavailableError) as unavailable:
        log.entries(5, 11, 1)
    assert unavailable.value.detail == 9
    with pytest.raises(LogUnavailableError):
        log.term(10)


@pytest.mark.parametrize(
    ("new", "state", "truncate_from", "reason"),
    [
        ([entry(11, 2)], None, None, "entry 11 cannot follow entry 9"),
        ([entry(9, 2)], None, None, "entry 9 cannot follow entry 9"),
        ([entry(10, 2), entry(12, 2)], None, None, "entry 12 stands where 11 is due"),
        ([entry(10, 1)], None, None, "an entry of term 1 cannot follow one of term 2"),
        ([entry(5, 2)], None, 4, "entry 5 cannot follow entry 3"),
        ([], None, 2, "cannot drop the entries from index 2 on"),
        ([], None, 11, "cannot drop the entries from index 11 on"),
        ([], HardState(1, 0), None, "term 1 cannot follow term 2"),
        ([entry(10, 2)._replace(kind=256)], None, None, "does not fit its field"),
    ],
)
def test_append_that_does_not_continue_the_log_is_refused(
    log: Log, new: list[Entry], state: HardState | None, truncate_from: int | None, reason: str
) -> None:
    log.append(entries(1, 10, term=2), HardState(2, 1))
    log.truncate_prefix(2)
    with pytest.raises(LogOrderError, match=reason):
        log.append(new, state, truncate_from)
    assert everything(log) == entries(3, 10, term=2)
    log.append([entry(10, 2)])


def test_one_sync_covers_all_appends_before_it(disk: MemoryDisk, log: Log) -> None:
    before = disk.sync_count
    log.append([entry(1)])
    log.append([entry(2)])
    log.sync()
    log.sync()
    assert disk.sync_count == before + 1


def test_append_of_nothing_new_writes_nothing(disk: MemoryDisk, log: Log) -> None:
    log.append([entry(1)], HardState(1, 2))
    before = disk.write_count
    log.append([], HardState(1, 2))
    log.append([])
    assert disk.write_count == before
    log.append([], HardState(1, 3))
    assert disk.write_count == before + 1


def test_another_members_log_is_refused(disk: MemoryDisk, log: Log) -> None:
    log.close()
    with pytest.raises(LogIdentityError, match="member a1 of cluster c1, not to member a2 of cluster c1"):
        Log.open(DIRECTORY, disk, Identity(0xC1, 0xA2))


def test_missing_log_is_not_opened_and_an_existing_one_not_replaced(disk: MemoryDisk, log: Log) -> None:
    with pytest.raises(LogExistsError):
        Log.create(DIRECTORY, disk, IDENTITY)
    with pytest.raises(LogMissingError):
        Log.open(DIRECTORY / "elsewhere", disk, IDENTITY)


def test_closed_log_takes_and_reads_nothing(log: Log) -> None:
    log.append([entry(1)])
    log.close()
    log.close()
    with pytest.raises(StoppedError):
        log.append([entry(2)])
    with pytest.raises(StoppedError):
        log.entries(1, 2, 100)


@pytest.mark.parametrize("sizes", [{"segment_bytes": 96}, {"segment_bytes": 1 << 31}, {"cache_bytes": -1}])
def test_impossible_sizes_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        LogOptions(**sizes)
