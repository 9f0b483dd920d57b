"""Reads a log's directory after a start: which segments count, what they say, and what a crash left behind."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from oarlock.storage.disk import Disk
from oarlock.storage.log.errors import LogIdentityError, LogMissingError, LogOrderError
from oarlock.storage.log.index import EntryIndex
from oarlock.storage.log.layout import (
    HEADER_BYTES,
    HardState,
    Identity,
    Position,
    Record,
    RecordKind,
    SegmentHeader,
    decode_segment_header,
    decode_start,
    decode_write,
    salt_of,
)
from oarlock.storage.log.scan import TornTail, check_closed, records, torn_tail
from oarlock.storage.log.segment import PART_SUFFIX, Segment, segment_name, segment_sequence
from oarlock.wire.errors import DamageError


class Recovered(NamedTuple):
    """A log as its directory holds it.

    Attributes:
        segments: those that hold live entries, oldest first, the last of them the one to append to.
        entry_index: where the entries stand.
        hard_state: the newest.
        end: where the records of the last segment end; all before is synced.
        torn: the write that a crash cut short, cut off by now, or None.
    """

    segments: list[Segment]
    entry_index: EntryIndex
    hard_state: HardState
    end: int
    torn: TornTail | None


class _Replay:
    """Builds the state of a log from its records, in order.

    It begins with the header of the oldest segment; the later headers only repeat what the records before them said.
    """

    def __init__(self, header: SegmentHeader) -> None:
        # Older segments may be gone, and with them the term at the base; 0 is below every term.
        self.index = EntryIndex(Position(header.first_index - 1, 0))
        self.hard_state = header.hard_state
        self.start = header.start

    def add(self, record: Record, segment: Segment) -> None:
        """Takes one record.

        Raises:
            DamageError: the record contradicts those before it.
        """
        if record.kind == RecordKind.START:
            self.start = decode_start(record.body, segment.path, record.offset)
        elif record.kind == RecordKind.WRITE:
            self._add_write(record, segment)

    def _add_write(self, record: Record, segment: Segment) -> None:
        write = decode_write(record.body, segment.path, record.offset)
        self.hard_state = write.hard_state
        if 0 < write.truncate_from <= self.index.start.index:
            # It replaced entries of segments that are gone, because all of them lie before the log's start by now.
            self.index = EntryIndex(Position(write.truncate_from - 1, 0))
        terms = [row.term for row in write.rows]
        try:
            self.index.check_append(write.first_index, terms, write.truncate_from)
        except LogOrderError as error:
            raise DamageError(segment.path, record.offset, error.message) from None
        if write.truncate_from:
            self.index.truncate(write.truncate_from)
        if terms:
            self.index.append(write.first_index, terms, segment.header.sequence, record.offset, record.end)

    def finish(self, path: Path, end: int) -> None:
        """Drops what lies before the log's start.

        Raises:
            DamageError: the log ends before its start.
        """
        if not self.index.start.index <= self.start.index <= self.index.last_index:
            first, last = self.index.first_index, self.index.last_index
            problem = f"the log should begin after entry {self.start.index}, but holds {first} to {last}"
            raise DamageError(path, end, problem)
        self.index.drop_prefix(self.start)


def has_log(disk: Disk, directory: Path) -> bool:
    """Whether the directory holds a log."""
    return any(segment_sequence(name) is not None for name in disk.list(directory))


def recover(disk: Disk, directory: Path, identity: Identity) -> Recovered:
    """Reads the log, cuts a torn tail off, removes what earlier crashes left over, and syncs.

    Args:
        disk: where the directory is.
        directory: the log's.
        identity: whose log it must be.

    Raises:
        LogMissingError: the directory holds no log.
        LogIdentityError: it is another member's log.
        DamageError: a segment is damaged or missing; names file and offset. Nothing was changed.
        OSError: the disk refused.
    """
    paths = _segment_paths(disk, directory)
    if not paths:
        raise LogMissingError(f"{LogMissingError.text} in {directory}")
    opened: list[Segment] = []
    try:
        recovered = _recover(disk, paths, opened, identity)
    except BaseException:
        for segment in opened:
            segment.file.close()
        raise
    first_sequence = recovered.segments[0].header.sequence
    for sequence, path in paths.items():
        if sequence < first_sequence:
            disk.remove(path)
    for name in disk.list(directory):
        if name.endswith(PART_SUFFIX):
            disk.remove(directory / name)
    return recovered


def _recover(disk: Disk, paths: dict[int, Path], opened: list[Segment], identity: Identity) -> Recovered:
    newest = max(paths)
    last = _open(disk, paths[newest], newest, identity, opened)
    data = last.file.read(0, last.file.size())
    found = list(records(data, last.salt))
    segments = [last]
    start = _newest_start(last, found)
    while segments[0].header.first_index > start.index + 1:
        segments.insert(0, _open_before(disk, paths, segments[0], identity, opened))
    replay = _Replay(segments[0].header)
    for segment in segments[:-1]:
        _replay_finished(replay, segment)
    for record in found:
        replay.add(record, last)
    end = found[-1].end if found else HEADER_BYTES
    torn = torn_tail(last.path, data, end, last.salt)
    replay.finish(last.path, end)
    if torn is not None:
        last.file.truncate(end)
    _make_durable(last, data, found, end)
    return Recovered(segments, replay.index, replay.hard_state, end, torn)


def _make_durable(segment: Segment, data: bytes, found: list[Record], end: int) -> None:
    """What is read at a start may so far be in the page cache only; it is counted as durable from here on.

    It is written again first. The process before may have ended because a sync failed; its pages count as clean since,
    and a sync alone would save nothing of them. The last record says up to where an earlier sync had succeeded.
    """
    synced = found[-1].durable if found else HEADER_BYTES
    if synced < end:
        segment.file.write([data[synced:end]], synced)
    segment.file.sync()


def _segment_paths(disk: Disk, directory: Path) -> dict[int, Path]:
    named = [(segment_sequence(name), directory / name) for name in disk.list(directory)]
    return {sequence: path for sequence, path in named if sequence is not None}


def _open(disk: Disk, path: Path, sequence: int, identity: Identity, opened: list[Segment]) -> Segment:
    file = disk.open(path)
    try:
        data = file.read(0, HEADER_BYTES)
        header = decode_segment_header(data, path)
        if path.name != segment_name(header.sequence, header.first_index):
            raise DamageError(path, 0, f"the header is that of {segment_name(header.sequence, header.first_index)}")
        _check_identity(path, header.identity, identity)
    except BaseException:
        file.close()
        raise
    segment = Segment(path, file, header, salt_of(data))
    opened.append(segment)
    return segment


def _check_identity(path: Path, found: Identity, expected: Identity) -> None:
    if found != expected:
        raise LogIdentityError(
            f"{path}: the log belongs to member {found.member_id:x} of cluster {found.cluster_id:x}, "
            f"not to member {expected.member_id:x} of cluster {expected.cluster_id:x}"
        )


def _open_before(
    disk: Disk, paths: dict[int, Path], segment: Segment, identity: Identity, opened: list[Segment]
) -> Segment:
    before = segment.header.sequence - 1
    if before not in paths:
        raise DamageError(segment.path, 0, f"segment {before:016x}, which comes before this one, is missing")
    return _open(disk, paths[before], before, identity, opened)


def _newest_start(segment: Segment, found: list[Record]) -> Position:
    for record in reversed(found):
        if record.kind == RecordKind.START:
            return decode_start(record.body, segment.path, record.offset)
    return segment.header.start


def _replay_finished(replay: _Replay, segment: Segment) -> None:
    data = segment.file.read(0, segment.file.size())
    last = None
    for last in records(data, segment.salt):
        replay.add(last, segment)
    check_closed(segment.path, data, last)
