"""What a start need not read again, because nobody has written to it since it was finished."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from log_cases import DIRECTORY, IDENTITY, SMALL, entries, everything, reopen, segment_names

from oarlock.storage.disk import RealDisk
from oarlock.storage.log import HardState, Log
from oarlock.storage.log.layout import HEADER_BYTES
from oarlock.storage.log.summary import SUMMARY_NAME
from oarlock.storage.memory_disk import MemoryDisk, MemoryFile
from oarlock.wire.errors import DamageError

COUNT = 60


class CountingDisk(MemoryDisk):
    """Remembers the segments of which more than the header was read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: set[str] = set()

    def open(self, path: Path) -> MemoryFile:
        file = super().open(path)
        plain = file.read

        def read(offset: int, length: int) -> bytes:
            if offset + length > HEADER_BYTES:
                self.read.add(path.name)
            return plain(offset, length)

        file.read = read  # type: ignore[method-assign]
        return file

    def segments_read(self) -> list[str]:
        return sorted(self.read - {SUMMARY_NAME})


def filled(disk: MemoryDisk, *, close: bool = True) -> Log:
    """A log of several segments; terms change, and an end was replaced."""
    log = Log.create(DIRECTORY, disk, IDENTITY, SMALL)
    for first in range(1, COUNT, 3):
        log.append(entries(first, first + 3), HardState(1, 2))
    log.append(entries(COUNT - 4, COUNT + 1, term=3), HardState(3, 1), truncate_from=COUNT - 4)
    log.sync()
    if close:
        log.close()
    return log


def check(log: Log) -> None:
    """It is the log that ``filled`` made."""
    assert everything(log) == [*entries(1, COUNT - 4), *entries(COUNT - 4, COUNT + 1, term=3)]
    assert log.hard_state == HardState(3, 1)
    assert log.term(COUNT - 5) == 1


@pytest.fixture
def disk() -> CountingDisk:
    return CountingDisk()


def test_after_a_clean_stop_no_segment_is_read(disk: CountingDisk) -> None:
    filled(disk)
    log = reopen(disk)
    assert disk.segments_read() == []
    check(log)


def test_after_a_kill_the_last_segment_alone_is_read(disk: CountingDisk) -> None:
    filled(disk, close=False)
    log = reopen(disk)
    assert disk.segments_read() == segment_names(disk)[-1:]
    check(log)


def test_what_came_after_a_clean_stop_is_read_with_the_segment_that_it_is_in(disk: CountingDisk) -> None:
    filled(disk)
    log = reopen(disk)
    log.append(entries(COUNT + 1, COUNT + 2, term=4), HardState(4, 4))
    log.sync()
    disk.read.clear()
    again = reopen(disk)
    assert disk.segments_read() == segment_names(disk)[-1:]
    assert again.last_index() == COUNT + 1
    assert again.hard_state == HardState(4, 4)
    assert again.entries(COUNT, COUNT + 2, 1 << 20) == [
        *entries(COUNT, COUNT + 1, 3),
        *entries(COUNT + 1, COUNT + 2, 4),
    ]


def test_many_lives_leave_one_log(disk: CountingDisk) -> None:
    last = 0
    for life in range(12):
        log = reopen(disk) if life else Log.create(DIRECTORY, disk, IDENTITY, SMALL)
        for _ in range(life % 5):
            log.append(entries(last + 1, last + 4))
            last += 3
        log.sync()
        if life % 3 == 1 and last > 6:
            log.truncate_prefix(last - 5)
        if life % 2:
            log.close()
    log = reopen(disk)
    assert log.last_index() == last
    assert everything(log) == entries(log.first_index(), last + 1)


def test_after_a_prefix_was_dropped_the_rest_is_there(disk: CountingDisk) -> None:
    log = filled(disk, close=False)
    log.truncate_prefix(COUNT // 2)
    again = reopen(disk)
    assert again.first_index() == COUNT // 2 + 1
    assert everything(again) == everything(log)
    again.close()
    assert everything(reopen(disk)) == everything(log)


def test_a_reset_log_is_not_mistaken_for_the_one_before(disk: CountingDisk) -> None:
    log = filled(disk, close=False)
    log.reset(500, 9)
    again = reopen(disk)
    assert (again.first_index(), again.last_index(), again.term(500)) == (501, 500, 9)


@pytest.mark.parametrize("close", [True, False])
def test_damage_of_a_finished_segment_is_found_at_the_start(disk: CountingDisk, close: bool) -> None:
    filled(disk, close=close)
    name = segment_names(disk)[1]
    disk.flip_bit(DIRECTORY / name, 8 * (HEADER_BYTES + 30))
    with pytest.raises(DamageError, match=name):
        reopen(disk)


def test_a_finished_segment_that_is_missing_is_damage(disk: CountingDisk) -> None:
    filled(disk)
    disk.remove(DIRECTORY / segment_names(disk)[1])
    with pytest.raises(DamageError, match="missing"):
        reopen(disk)


def test_a_newest_segment_that_was_put_back_from_before_is_judged_by_its_records(disk: CountingDisk) -> None:
    log = filled(disk, close=False)
    path = log.segment_paths[-1]
    before = disk.contents(path)
    log.append(entries(COUNT + 1, COUNT + 2, term=3))
    log.close()
    disk.replace_contents(path, before)
    check(reopen(disk))


def summaries(whole: bytes) -> Iterator[bytes]:
    """Of no use, each in another way."""
    yield b""
    yield whole[:-1]
    yield whole + b"\0"
    for at in range(0, len(whole), 11):
        yield whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]


def test_a_summary_that_is_damaged_or_missing_costs_time_and_nothing_else(disk: CountingDisk) -> None:
    filled(disk)
    path = DIRECTORY / SUMMARY_NAME
    for bad in summaries(disk.contents(path)):
        disk.replace_contents(path, bad)
        disk.read.clear()
        check(reopen(disk))
        assert disk.segments_read() == segment_names(disk)
    disk.remove(path)
    check(reopen(disk))


def test_a_summary_that_cannot_be_written_stops_nothing(disk: CountingDisk) -> None:
    log = filled(disk, close=False)
    disk.capacity_bytes = sum(len(disk.contents(DIRECTORY / name)) for name in disk.list(DIRECTORY)) + 100
    log.close()
    check(reopen(disk))


def test_real_files_that_were_touched_right_after_the_stop_are_read(tmp_path: Path) -> None:
    log = Log.create(tmp_path, RealDisk(), IDENTITY, SMALL)
    for first in range(1, COUNT, 3):
        log.append(entries(first, first + 3))
    log.close()
    path = log.segment_paths[0]
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES + 30] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    with pytest.raises(DamageError, match=path.name):
        Log.open(tmp_path, RealDisk(), IDENTITY, SMALL)
