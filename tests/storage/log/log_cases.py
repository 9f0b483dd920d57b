"""Logs in memory with small segments, so that a few entries make several."""

from __future__ import annotations

from pathlib import Path

from oarlock.storage.log import Identity, Log, LogOptions
from oarlock.storage.memory_disk import MemoryDisk
from oarlock.wire.entries import Entry, EntryKind

DIRECTORY = Path("/log")
IDENTITY = Identity(0xC1, 0xA1)
SMALL = LogOptions(segment_bytes=1000, preallocate_bytes=0, cache_bytes=0)
ROOMY = LogOptions(segment_bytes=1 << 20, preallocate_bytes=0, cache_bytes=1 << 20)


def entry(index: int, term: int = 1, payload: bytes | None = None) -> Entry:
    return Entry(index, term, EntryKind.BATCH, 7, index, b"payload %d" % index if payload is None else payload)


def entries(low: int, high: int, term: int = 1) -> list[Entry]:
    return [entry(index, term) for index in range(low, high)]


def everything(log: Log) -> list[Entry]:
    return log.entries(log.first_index(), log.last_index() + 1, 1 << 30)


def reopen(disk: MemoryDisk, options: LogOptions = SMALL) -> Log:
    return Log.open(DIRECTORY, disk, IDENTITY, options)


def segment_names(disk: MemoryDisk) -> list[str]:
    return [name for name in disk.list(DIRECTORY) if name.endswith(".log")]
