"""A torn tail is cut off, and damage before it is refused by file and offset."""

from __future__ import annotations

from pathlib import Path

import pytest
from log_cases import DIRECTORY, IDENTITY, SMALL, entries, entry, everything, reopen, segment_names

from oarlock.storage.log import HardState, Log, LogOptions, TornTail
from oarlock.storage.log.layout import HEADER_BYTES
from oarlock.storage.memory_disk import MemoryDisk
from oarlock.wire.errors import DamageError


class Written:
    """A disk with a log of one segment that stopped without a clean end, and where its records begin."""

    def __init__(self, count: int, *, sync_each: bool = True) -> None:
        self.disk = MemoryDisk()
        log = Log.create(DIRECTORY, self.disk, IDENTITY, SMALL)
        self.path = log.segment_paths[0]
        self.ends = [HEADER_BYTES]
        for index in range(1, count + 1):
            log.append([entry(index)], HardState(1, 2))
            self.ends.append(len(self.disk.contents(self.path)))
            if sync_each:
                log.sync()
        log.sync()
        self.data = self.disk.contents(self.path)


def open_bytes(path: Path, data: bytes) -> tuple[MemoryDisk, Log]:
    disk = MemoryDisk()
    disk.replace_contents(path, data)
    return disk, reopen(disk)


def test_log_cut_at_every_byte_opens_with_the_whole_records_before() -> None:
    written = Written(4)
    for cut in range(HEADER_BYTES, len(written.data) + 1):
        disk, log = open_bytes(written.path, written.data[:cut])
        whole = sum(end <= cut for end in written.ends) - 1
        end = written.ends[whole]
        assert everything(log) == entries(1, whole + 1)
        dropped = len(written.data[end:cut].rstrip(b"\0"))
        assert log.torn_tail == (TornTail(written.path, end, dropped) if dropped else None)
        assert disk.contents(written.path) == written.data[:end]


def test_log_whose_tail_did_not_arrive_opens_at_every_byte() -> None:
    written = Written(4)
    for cut in range(HEADER_BYTES, len(written.data)):
        _, log = open_bytes(written.path, written.data[:cut] + bytes(len(written.data) - cut + 700))
        whole = sum(end <= cut for end in written.ends) - 1
        # A record whose own last bytes are zeroes is whole without them.
        assert everything(log)[:whole] == entries(1, whole + 1)
        assert log.last_index() <= whole + 1


def test_log_goes_on_after_a_torn_tail(tmp_path: Path) -> None:
    written = Written(4)
    disk, log = open_bytes(written.path, written.data[:-5])
    log.append([entry(4, 2)])
    log.sync()
    assert everything(reopen(disk)) == [*entries(1, 4), entry(4, 2)]


def test_every_flipped_bit_before_the_last_record_is_refused_by_file_and_offset() -> None:
    written = Written(4)
    for bit in range(written.ends[-2] * 8):
        disk = MemoryDisk()
        disk.replace_contents(written.path, written.data)
        disk.flip_bit(written.path, bit)
        with pytest.raises(DamageError) as error:
            reopen(disk)
        expected = max((end for end in written.ends[:-1] if end <= bit // 8), default=0)
        assert (error.value.path, error.value.offset) == (str(written.path), expected)
        assert disk.contents(written.path) != written.data[: written.ends[-2]]


def test_every_flipped_bit_of_the_last_record_drops_no_other() -> None:
    written = Written(3)
    for bit in range(written.ends[-2] * 8, written.ends[-1] * 8):
        disk = MemoryDisk()
        disk.replace_contents(written.path, written.data)
        disk.flip_bit(written.path, bit)
        assert everything(reopen(disk)) == entries(1, 3)


def test_clean_stop_protects_the_last_record_too() -> None:
    written = Written(3)
    log = reopen(written.disk)
    log.close()
    for bit in range(written.ends[-2] * 8, written.ends[-1] * 8):
        disk = MemoryDisk()
        disk.replace_contents(written.path, written.disk.contents(written.path))
        disk.flip_bit(written.path, bit)
        with pytest.raises(DamageError) as error:
            reopen(disk)
        assert error.value.offset == written.ends[-2]


def test_clean_stop_protects_what_was_not_synced_before_it(disk: MemoryDisk, log: Log) -> None:
    log.append([entry(1)])
    log.append([entry(2)])
    log.close()
    disk.flip_bit(log.segment_paths[0], 8 * (HEADER_BYTES + 30))
    with pytest.raises(DamageError) as error:
        reopen(disk)
    assert error.value.offset == HEADER_BYTES


@pytest.mark.parametrize("size", [1, 60, 512])
def test_zeroed_range_in_the_middle_is_refused(size: int) -> None:
    written = Written(9)
    for offset in range(0, written.ends[-2] - size, 13):
        data = written.data[:offset] + bytes(size) + written.data[offset + size :]
        if data != written.data:
            with pytest.raises(DamageError):
                open_bytes(written.path, data)


def test_write_that_arrived_before_an_earlier_unsynced_one_is_torn_with_it() -> None:
    written = Written(4, sync_each=False)
    second = written.ends[1]
    _, log = open_bytes(written.path, written.data[: second + 30] + b"\xff" * 10 + written.data[second + 40 :])
    assert everything(log) == entries(1, 2)
    assert log.torn_tail == TornTail(written.path, second, len(written.data) - second)


def test_payload_that_holds_a_log_is_not_taken_for_records() -> None:
    inner = Written(6).data
    disk = MemoryDisk()
    log = Log.create(DIRECTORY, disk, IDENTITY, LogOptions(segment_bytes=100_000))
    path = log.segment_paths[0]
    log.append([entry(1, payload=inner * 3)])
    end = len(disk.contents(path).rstrip(b"\0"))
    _, again = open_bytes(path, disk.contents(path)[: end - 1])
    assert everything(again) == []


def several_segments() -> tuple[MemoryDisk, list[Path]]:
    disk = MemoryDisk()
    log = Log.create(DIRECTORY, disk, IDENTITY, SMALL)
    for index in range(1, 40):
        log.append([entry(index)])
    log.close()
    return disk, log.segment_paths


def test_every_cut_of_an_older_segment_is_refused() -> None:
    disk, paths = several_segments()
    data = disk.contents(paths[0])
    for cut in range(len(data)):
        disk.replace_contents(paths[0], data[:cut])
        with pytest.raises(DamageError) as error:
            reopen(disk)
        assert error.value.path == str(paths[0])
        assert error.value.offset <= cut


def test_bytes_after_the_end_of_an_older_segment_are_refused() -> None:
    disk, paths = several_segments()
    data = disk.contents(paths[0])
    disk.replace_contents(paths[0], data + b"\0")
    with pytest.raises(DamageError) as error:
        reopen(disk)
    assert error.value.offset == len(data)


def test_segments_with_changed_names_are_refused() -> None:
    disk, paths = several_segments()
    first, second = disk.contents(paths[0]), disk.contents(paths[1])
    disk.replace_contents(paths[0], second)
    disk.replace_contents(paths[1], first)
    with pytest.raises(DamageError, match="the header is that of"):
        reopen(disk)


def test_refused_log_is_left_as_it_is() -> None:
    disk, paths = several_segments()
    disk.flip_bit(paths[0], 8 * 150)
    before = {path: disk.contents(path) for path in paths}
    with pytest.raises(DamageError):
        reopen(disk)
    assert before == {path: disk.contents(path) for path in paths}
    assert segment_names(disk) == [path.name for path in paths]


def test_damage_after_opening_is_noticed_when_it_is_read(disk: MemoryDisk, log: Log) -> None:
    log.append([entry(1)])
    log.append([entry(2)])
    log.append([entry(3)])
    position = disk.contents(log.segment_paths[0]).index(b"payload 2")
    log._segments[1].file.write([b"!"], position)
    assert log.entries(1, 2, 100) == [entry(1)]
    with pytest.raises(DamageError, match="has changed since it was written"):
        log.entries(2, 4, 100)
