"""Damage in what a start did not read is found soon after it."""

from __future__ import annotations

import threading

import pytest
from log_cases import DIRECTORY, IDENTITY, SMALL, entries, entry, reopen, segment_names

from oarlock.storage.log import Log
from oarlock.storage.log.layout import HEADER_BYTES
from oarlock.storage.log.verification import SLICE_BYTES, Verification, check_unread
from oarlock.storage.memory_disk import MemoryDisk
from oarlock.wire.errors import DamageError

TIMEOUT_S = 60


def filled(disk: MemoryDisk) -> Log:
    """A log of several segments, one of them a single long record, as its next life finds it."""
    log = Log.create(DIRECTORY, disk, IDENTITY, SMALL)
    for first in range(1, 60, 3):
        log.append(entries(first, first + 3))
    log.append([entry(61, payload=b"x" * SLICE_BYTES * 2)])
    log.close()
    return reopen(disk)


def test_a_sound_log_passes(disk: MemoryDisk) -> None:
    log = filled(disk)
    assert len(log.unread) == len(segment_names(disk)) > 3
    assert len(list(check_unread(log, disk))) >= len(log.unread)


@pytest.mark.parametrize("bit", [0, 8 * 30 + 3, 8 * 100])
def test_a_flipped_bit_anywhere_is_found(disk: MemoryDisk, bit: int) -> None:
    log = filled(disk)
    for path in log.segment_paths:
        good = disk.contents(path)
        disk.flip_bit(path, 8 * (len(good) - HEADER_BYTES) // 2 // 8 * 8 + 8 * HEADER_BYTES - bit % 8)
        with pytest.raises(DamageError, match=path.name):
            list(check_unread(log, disk))
        disk.replace_contents(path, good)
    assert list(check_unread(log, disk))


def test_what_is_written_meanwhile_is_no_damage(disk: MemoryDisk) -> None:
    log = filled(disk)
    slices = check_unread(log, disk)
    next(slices)
    log.append(entries(62, 65))
    log.truncate_prefix(40)
    assert list(slices)


def test_a_log_that_was_read_leaves_nothing_to_check(disk: MemoryDisk) -> None:
    log = Log.create(DIRECTORY, disk, IDENTITY, SMALL)
    assert log.unread == []
    assert list(check_unread(log, disk)) == []


def test_the_owner_is_told_and_the_next_start_refuses(disk: MemoryDisk) -> None:
    log = filled(disk)
    path = log.segment_paths[1]
    disk.flip_bit(path, 8 * HEADER_BYTES + 8 * 30)
    found: list[DamageError] = []
    told = threading.Event()
    verification = Verification(log, disk, lambda damage: (found.append(damage), told.set())[1])
    verification.start()
    assert told.wait(TIMEOUT_S)
    verification.close()
    assert path.name in found[0].message
    log.close()
    with pytest.raises(DamageError, match=path.name):
        reopen(disk)


def test_an_end_before_the_end_is_no_damage(disk: MemoryDisk) -> None:
    log = filled(disk)
    verification = Verification(log, disk, lambda damage: pytest.fail(damage.message))
    verification.start()
    verification.close()
    log.close()
    assert reopen(disk).last_index() == 61
