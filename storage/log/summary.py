"""What the finished segments of a log say, in one file beside them, so that a start need not read them again.

It is written when a segment is finished, by a rotation or a clean stop: the state that a replay of all records so far
would come to, and for each segment what the file system said of the file then. A start trusts the summary as long as
the file system still says the same: nobody has written to those files since, nor replaced them. Otherwise, and where
the summary is missing or damaged itself, every record is read and checked. Nothing rests on the summary being there,
so it is not forced to disk.

    summary   magic 8 | format 2 | zero 6 | newest segment 8 | term 8 | vote 8 | count of segments 8
              | rows: segment 8, inode 8, size 8, modified 8, changed 8 | index (``EntryIndex.dump``) | crc32 of all 4
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from oarlock.storage.disk import Disk, Fingerprint
from oarlock.storage.log.index import EntryIndex
from oarlock.storage.log.layout import HardState
from oarlock.storage.log.segment import PART_SUFFIX

SUMMARY_NAME = "summary"
_FORMAT = 1
_MAGIC = b"OarSum\r\n"
_HEAD = struct.Struct("<8sH6xQQQQ")
_ROW = struct.Struct("<QQQqq")
_CHECKSUM = struct.Struct("<I")


class Summary(NamedTuple):
    """The state of a log at the end of a finished segment.

    Attributes:
        sealed: the fingerprint of each segment that holds live entries, by its number; the highest is the finished one.
        hard_state: the newest.
        entry_index: where the entries stand.
        has_grown: more may have been written to the newest of these segments since.
    """

    sealed: Mapping[int, Fingerprint]
    hard_state: HardState
    entry_index: EntryIndex
    has_grown: bool = False

    @property
    def newest(self) -> int:
        """The number of the last segment that it speaks of."""
        return max(self.sealed)

    @property
    def end(self) -> int:
        """Up to where in that segment."""
        return self.sealed[self.newest].size


def write_summary(disk: Disk, directory: Path, summary: Summary) -> None:
    """Replaces the summary. Where the disk refuses there is none, or the one before: the next start takes longer."""
    rows = [_ROW.pack(sequence, *found) for sequence, found in summary.sealed.items()]
    head = _HEAD.pack(_MAGIC, _FORMAT, summary.newest, *summary.hard_state, len(rows))
    data = b"".join([head, *rows, summary.entry_index.dump()])
    path = directory / SUMMARY_NAME
    part = path.with_name(path.name + PART_SUFFIX)
    with suppress(OSError):
        file = disk.create(part)
        try:
            file.write([data, _CHECKSUM.pack(crc32(data))], 0)
        finally:
            file.close()
        disk.rename(part, path)


def remove_summary(disk: Disk, directory: Path) -> None:
    """Has the next start read everything."""
    with suppress(OSError):
        disk.remove(directory / SUMMARY_NAME)


def read_summary(disk: Disk, directory: Path, paths: Mapping[int, Path]) -> Summary | None:
    """The summary, if it is whole and the segments that it speaks of are as they were; else None.

    The newest of them may have grown if it is the log's last: a start appends to what a clean stop had finished.

    Args:
        disk: where the directory is.
        directory: the log's.
        paths: the segments that are there, by their numbers; some of those in the summary may be gone, being dropped.
    """
    with suppress(OSError):
        summary = _decode(_content(disk, directory / SUMMARY_NAME))
        if summary is None or summary.newest not in paths:
            return None
        changed = [each for each in summary.sealed if each in paths and _has_changed(disk, paths[each], summary, each)]
        if not changed or changed == [max(paths)] == [summary.newest]:
            return summary._replace(has_grown=bool(changed))
    return None


def _has_changed(disk: Disk, path: Path, summary: Summary, sequence: int) -> bool:
    file = disk.open(path)
    try:
        return file.fingerprint() != summary.sealed[sequence]
    finally:
        file.close()


def _content(disk: Disk, path: Path) -> bytes:
    file = disk.open(path)
    try:
        return file.read(0, file.size())
    finally:
        file.close()


def _decode(data: bytes) -> Summary | None:
    end = len(data) - _CHECKSUM.size
    if end < _HEAD.size or _CHECKSUM.unpack_from(data, end)[0] != crc32(data[:end]):
        return None
    magic, version, newest, term, vote, count = _HEAD.unpack_from(data)
    if magic != _MAGIC or version != _FORMAT:
        return None
    try:
        rows = [_ROW.unpack_from(data, _HEAD.size + at * _ROW.size) for at in range(count)]
        index = EntryIndex.load(data[_HEAD.size + count * _ROW.size : end])
    except (struct.error, ValueError):
        return None
    summary = Summary({row[0]: Fingerprint(*row[1:]) for row in rows}, HardState(term, vote), index)
    return summary if rows and summary.newest == newest else None
