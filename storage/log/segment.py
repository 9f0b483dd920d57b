"""Segment files: their names, how one is made, and the writer of the last one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from oarlock.storage.disk import Disk, DiskFile
from oarlock.storage.log.layout import (
    HEADER_BYTES,
    RECORD_HEADER_BYTES,
    RecordKind,
    SegmentHeader,
    encode_record,
    encode_segment_header,
    salt_of,
)

PART_SUFFIX = ".part"
"""Ends the name of a segment that is being made; what a crash leaves under such a name is removed."""

_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.log")


class Segment(NamedTuple):
    """An open segment file."""

    path: Path
    file: DiskFile
    header: SegmentHeader
    salt: int


def segment_name(sequence: int, first_index: int) -> str:
    """The file name of a segment: both numbers in hexadecimal, so that names sort as the segments do."""
    return f"{sequence:016x}-{first_index:016x}.log"


def segment_sequence(name: str) -> int | None:
    """The number of the segment with this file name, or None if it is not a segment's name."""
    match = _NAME.fullmatch(name)
    return int(match[1], 16) if match else None


def create_segment(disk: Disk, directory: Path, header: SegmentHeader) -> Segment:
    """Makes an empty segment that is there after a crash whole or not at all: a final name never has half a header.

    Raises:
        OSError: the disk refused; what was made has a temporary name, or is an empty segment.
    """
    path = directory / segment_name(header.sequence, header.first_index)
    part = path.with_name(path.name + PART_SUFFIX)
    data = encode_segment_header(header)
    file = disk.create(part)
    try:
        file.write([data], 0)
        file.sync()
        disk.rename(part, path)
        disk.sync_directory(directory)
    except BaseException:
        file.close()
        raise
    return Segment(path, file, header, salt_of(data))


def count_unneeded(first_indexes: Sequence[int], start_index: int) -> int:
    """How many of the oldest segments hold no entry after ``start_index``.

    A segment's first index is that of the log's next entry when it was made. Everything from there on is in it or later
    ones, so the newest segment with a first index of at most ``start_index + 1`` is the oldest that is needed. First
    indexes may fall from one segment to the next, where a new leader replaced entries.
    """
    for at in range(len(first_indexes) - 1, -1, -1):
        if first_indexes[at] <= start_index + 1:
            return at
    return 0


class SegmentWriter:
    """Appends records to the last segment.

    Invariant: ``durable`` <= ``size`` <= ``allocated``: synced, written, and the file's length, in bytes.
    """

    def __init__(self, segment: Segment, size: int, preallocate_bytes: int) -> None:
        self.segment = segment
        self.size = size
        self._durable = size
        self._allocated = segment.file.size()
        self._preallocate_bytes = preallocate_bytes

    def has_room(self, length: int, segment_bytes: int) -> bool:
        """Whether a body of ``length`` bytes belongs here: it fits, or is the segment's first and too long for any."""
        return self.size + RECORD_HEADER_BYTES + length <= segment_bytes or self.size == HEADER_BYTES

    def write(self, kind: RecordKind, parts: Sequence[bytes], length: int) -> tuple[int, int]:
        """Writes a record by one call of the operating system, not yet durable.

        Returns:
            Where in the segment the record begins and ends.

        Raises:
            OSError: the disk refused; the writer must not be used again.
        """
        offset = self.size
        end = offset + RECORD_HEADER_BYTES + length
        if end > self._allocated:
            self._allocate(end)
        salt = self.segment.salt
        self.segment.file.write(
            encode_record(kind, parts, length, durable=self._durable, offset=offset, salt=salt), offset
        )
        self.size = end
        return offset, end

    def _allocate(self, end: int) -> None:
        # In steps ahead of the writes, because a sync of a file whose length has changed writes the file's inode too.
        self._allocated = end
        if self._preallocate_bytes:
            self._allocated += self._preallocate_bytes
            self.segment.file.allocate(self._allocated)

    def sync(self) -> None:
        """Makes all that was written durable.

        Raises:
            OSError: the disk refused; the writer must not be used again.
        """
        if self._durable < self.size:
            self.segment.file.sync()
            self._durable = self.size

    def finish(self) -> None:
        """Ends the segment with a CLOSE record, which vouches for all before it, and cuts the allocated rest off.

        Raises:
            OSError: the disk refused; the writer must not be used again.
        """
        self.sync()
        self.write(RecordKind.CLOSE, (), 0)
        self.segment.file.truncate(self.size)
        self._allocated = self.size
        self.sync()
