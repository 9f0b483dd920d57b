"""Reads entries that are no longer in memory back from their segments, checking them once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from oarlock.storage.log.index import Place
from oarlock.storage.log.layout import (
    RECORD_HEADER_BYTES,
    WRITE_BYTES,
    RecordKind,
    decode_kinds,
    decode_record,
    decode_record_header,
    decode_write,
    read_entries,
    table_bytes,
)
from oarlock.storage.log.segment import Segment
from oarlock.wire.entries import Entry
from oarlock.wire.errors import DamageError

_HEAD_BYTES: Final = 512
"""Of a record: what comes before the payloads of fifteen entries. More are read once more."""


def read_places(segments: Mapping[int, Segment], places: Sequence[Place], low: int, high: int) -> list[Entry]:
    """The entries from ``low`` up to, without, ``high`` that the records at ``places`` hold.

    Records that stand one behind the other are read by one call.

    Raises:
        DamageError: a record is not what was written, or cannot be read.
    """
    entries: list[Entry] = []
    for run in _runs(places):
        segment = segments[run[0].segment]
        data = _read(segment, run[0].offset, run[-1].end)
        for place in run:
            entries += _entries_at(segment, place, data, run[0].offset, low, high)
    return entries


def find_at(segments: Mapping[int, Segment], places: Sequence[Place], kind: int, low: int, high: int) -> list[int]:
    """The indexes of the entries of ``kind`` from ``low`` up to, without, ``high`` that the records at ``places`` hold.

    The payloads are not read, so that this takes microseconds a record; nor are they checked, nor what stands before
    them but for the record's header.

    Raises:
        DamageError: a record is not what was written, or cannot be read.
    """
    found: list[int] = []
    for place in places:
        kinds = enumerate(_kinds_at(segments[place.segment], place), place.first_index)
        found += [index for index, each in kinds if each == kind and low <= index < min(high, place.until_index)]
    return found


def _kinds_at(segment: Segment, place: Place) -> list[int]:
    begin, size = place.offset, place.end - place.offset
    head = _read(segment, begin, begin + min(size, _HEAD_BYTES))
    header = decode_record_header(head, 0, segment.salt + begin)
    body_bytes = size - RECORD_HEADER_BYTES
    if header is not None and header[:2] == (RecordKind.WRITE, body_bytes) and body_bytes >= WRITE_BYTES:
        end = RECORD_HEADER_BYTES + table_bytes(head[RECORD_HEADER_BYTES:])
        if end <= size:
            table = head[:end] if end <= len(head) else _read(segment, begin, begin + end)
            return decode_kinds(table[RECORD_HEADER_BYTES:])
    raise DamageError(segment.path, begin, "the record here has changed since it was written")


def _runs(places: Sequence[Place]) -> list[list[Place]]:
    runs: list[list[Place]] = []
    for place in places:
        before = runs[-1][-1] if runs else None
        if before is not None and (before.segment, before.end) == (place.segment, place.offset):
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def _read(segment: Segment, offset: int, end: int) -> bytes:
    try:
        return segment.file.read(offset, end - offset)
    except OSError as error:
        raise DamageError(segment.path, offset, f"cannot be read: {error.strerror or error}") from error


def _entries_at(segment: Segment, place: Place, data: bytes, base: int, low: int, high: int) -> list[Entry]:
    record = decode_record(data, place.offset, segment.salt, base)
    if record is None or record.kind != RecordKind.WRITE or record.end != place.end:
        raise DamageError(segment.path, place.offset, "the record here has changed since it was written")
    write = decode_write(record.body, segment.path, place.offset + RECORD_HEADER_BYTES)
    first = max(low, place.first_index) - place.first_index
    until = min(high, place.until_index) - place.first_index
    return read_entries(record.body, write)[first:until]
