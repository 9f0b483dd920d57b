"""Walks the records of one segment, and decides whether what follows the last valid one is a torn write or damage.

The rule. A writer that dies leaves its unsynced bytes in any state: cut, zeroed, in part, the later without the
earlier. So a bad record may be what a crash left, but only if nothing after it says otherwise. Every record says up
to which offset the segment was synced when it was written (``durable``). Take a bad record at offset p of the last
segment:

    |..valid..| p: bad ...... | q: valid header, durable > p |     damage: p had reached the disk before q was written
    |..valid..| p: bad ...... | q: valid header, durable <= p |    torn: both were on their way, p did not arrive
    |..valid..| p: bad, nothing valid after it                |    torn: nobody can tell it from a write cut short

In an older segment every bad record is damage: the next segment is made only after the older one was synced to its end.
What cannot be told: damage to the last synced records, if nothing was written after them. A clean stop leaves a CLOSE
record, and thereby protects them too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from oarlock.storage.log.layout import (
    HEADER_BYTES,
    RECORD_MARK,
    Record,
    RecordKind,
    decode_record,
    decode_record_header,
)
from oarlock.wire.errors import DamageError


class TornTail(NamedTuple):
    """Bytes of a write that a crash cut short: the file, where they begin, and how many were cut off."""

    path: Path
    offset: int
    dropped_bytes: int


def records(data: bytes, salt: int) -> Iterator[Record]:
    """The valid records of a segment, in order, up to the first place where there is none."""
    offset = HEADER_BYTES
    while (record := decode_record(data, offset, salt)) is not None:
        yield record
        offset = record.end


def check_closed(path: Path, data: bytes, last: Record | None) -> None:
    """Checks the end of a segment that has a successor: a CLOSE record, and nothing after it.

    Args:
        path: the segment.
        data: its bytes.
        last: the last of its ``records``.

    Raises:
        DamageError: the segment is damaged, or does not end as its writer ended it.
    """
    end = last.end if last is not None else HEADER_BYTES
    if end < len(data):
        raise DamageError(path, end, "no valid record here, in a segment that was finished")
    if last is None or last.kind != RecordKind.CLOSE:
        raise DamageError(path, end, "the file ends here, before its closing record")


def torn_tail(path: Path, data: bytes, end: int, salt: int) -> TornTail | None:
    """Judges the bytes after the last valid record of the last segment.

    Args:
        path: the segment.
        data: its bytes.
        end: where its ``records`` end.
        salt: the segment's ``salt_of``.

    Returns:
        The torn write that stands there, or None if there is nothing but allocated zeroes.

    Raises:
        DamageError: they are the remains of a record that had been synced.
    """
    witness = _find_witness(data, end, salt)
    if witness is not None:
        problem = f"no valid record here, but the one at byte {witness} was written after this place was synced"
        raise DamageError(path, end, problem)
    dropped = len(data[end:].rstrip(b"\0"))
    return TornTail(path, end, dropped) if dropped else None


def _find_witness(data: bytes, end: int, salt: int) -> int | None:
    """The offset of a valid record header after ``end`` by which ``end`` was durable."""
    at = data.find(RECORD_MARK, end + 1)
    while at >= 0:
        header = decode_record_header(data, at, salt)
        if header is not None:
            _, _, durable, _ = header
            if durable > end:
                return at
        at = data.find(RECORD_MARK, at + 1)
    return None
