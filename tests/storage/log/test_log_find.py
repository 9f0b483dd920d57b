"""Entries of a kind are found by what their records say of them first."""

from __future__ import annotations

import random

import pytest
from log_cases import DIRECTORY, IDENTITY, ROOMY, SMALL, everything, reopen

from oarlock.storage.log import Log, LogOptions
from oarlock.storage.log.errors import LogCompactedError, LogUnavailableError
from oarlock.storage.log.layout import HEADER_BYTES
from oarlock.storage.memory_disk import MemoryDisk
from oarlock.wire.entries import Entry, EntryKind
from oarlock.wire.errors import DamageError, StoppedError

SOUGHT = EntryKind.MEMBERSHIP


def appended(log: Log, seed: int, records: int) -> None:
    """Records of one to forty entries, some of which replace the end of the log."""
    rng = random.Random(seed)
    for term in range(1, records + 1):
        first = log.last_index() + 1
        replaced = rng.randint(0, min(3, log.last_index()))
        first -= replaced
        kinds = [rng.choice([EntryKind.BATCH, EntryKind.BATCH, SOUGHT]) for _ in range(rng.choice([1, 2, 40]))]
        made = [Entry(first + at, term, kind, 7, at, rng.randbytes(at % 5)) for at, kind in enumerate(kinds)]
        log.append(made, truncate_from=first if replaced else None)
    log.sync()


def found_by_reading(log: Log, low: int) -> list[int]:
    return [entry.index for entry in everything(log) if entry.kind == SOUGHT and entry.index >= low]


@pytest.mark.parametrize(
    "options", [SMALL, ROOMY, LogOptions(segment_bytes=2000, preallocate_bytes=0, cache_bytes=3000)]
)
@pytest.mark.parametrize("seed", range(5))
def test_what_is_found_is_what_reading_all_would_find(disk: MemoryDisk, options: LogOptions, seed: int) -> None:
    log = Log.create(DIRECTORY, disk, IDENTITY, options)
    appended(log, seed, 20)
    for each in (log, reopen(disk.crash(seed=seed), options)):
        assert each.find(SOUGHT, 1) == found_by_reading(each, 1) != []
        middle = each.last_index() // 2
        assert each.find(SOUGHT, middle) == found_by_reading(each, middle)
        assert each.find(SOUGHT, each.last_index() + 1) == []
        each.truncate_prefix(middle)
        assert each.find(SOUGHT, middle + 1) == found_by_reading(each, middle + 1)
        with pytest.raises(LogCompactedError):
            each.find(SOUGHT, middle)
        with pytest.raises(LogUnavailableError):
            each.find(SOUGHT, each.last_index() + 2)


def test_a_record_that_has_changed_is_reported_with_its_place(disk: MemoryDisk, log: Log) -> None:
    appended(log, 1, 3)
    log._segments[1].file.write([b"!"], HEADER_BYTES + 5)
    with pytest.raises(DamageError, match="has changed since it was written") as error:
        log.find(SOUGHT, 1)
    assert error.value.offset == HEADER_BYTES


def test_a_closed_log_finds_nothing(log: Log) -> None:
    appended(log, 1, 3)
    log.close()
    with pytest.raises(StoppedError):
        log.find(SOUGHT, 1)
