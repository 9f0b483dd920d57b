"""The write-ahead log: what Raft must not forget, on disk, with the newest entries in memory as well."""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from oarlock.storage.disk import Disk
from oarlock.storage.log.cache import RecentEntries, fitting
from oarlock.storage.log.errors import LogExistsError, LogFailedError, LogOrderError
from oarlock.storage.log.index import EntryIndex
from oarlock.storage.log.layout import (
    HEADER_BYTES,
    MAX_BODY_BYTES,
    HardState,
    Identity,
    Position,
    RecordKind,
    SegmentHeader,
    encode_start,
    encode_write,
)
from oarlock.storage.log.reading import find_at, read_places
from oarlock.storage.log.recovery import Recovered, has_log, recover
from oarlock.storage.log.scan import TornTail
from oarlock.storage.log.segment import Segment, SegmentWriter, count_unneeded, create_segment
from oarlock.storage.log.summary import Summary, remove_summary, write_summary
from oarlock.wire.entries import Entry
from oarlock.wire.errors import ConfigurationError, OarlockError, RequestTooLargeError, StoppedError

_CLOSED = "oarlock: the log is closed"


@dataclass(frozen=True)
class LogOptions:
    """Sizes of a log, all in bytes.

    Attributes:
        segment_bytes: a segment that would grow beyond this is finished and the next one begun; at most 1 GiB, because
            offsets are 4 bytes. 64 MiB: few files, and little kept for the sake of a segment's last entry.
        preallocate_bytes: how much is allocated ahead of the writes, 0 for nothing. 4 MiB: a thousandth of the syncs
            pays for it, and an idle member holds no more than that.
        cache_bytes: bound of the newest entries in memory. 32 MiB: a second of full load, within the coordinator's
            budget.
    """

    segment_bytes: int = 64 << 20
    preallocate_bytes: int = 4 << 20
    cache_bytes: int = 32 << 20

    def __post_init__(self) -> None:
        if not HEADER_BYTES < self.segment_bytes <= MAX_BODY_BYTES:
            rule = f"more than {HEADER_BYTES} and at most {MAX_BODY_BYTES}"
            raise ConfigurationError(f"segment_bytes is {self.segment_bytes}: it must be {rule}")
        if self.preallocate_bytes < 0 or self.cache_bytes < 0:
            raise ConfigurationError("preallocate_bytes and cache_bytes must not be negative")


class Log:
    """An open log. Make one with ``create`` or ``open``.

    Threads: one thread, the writer, calls ``append``, ``sync``, ``truncate_prefix``, ``reset`` and ``close``; any
    thread calls the rest. Two locks keep them apart, and neither is ever held across a write or a sync:

    - ``_lock`` guards the index and the cache, for microseconds.
    - ``_files_lock`` is held by a reader from looking up where entries stand until it has read them, and by the
      writer only to close files that are no longer needed. So a descriptor never closes under a reader.

    Attributes:
        directory, identity: where it is, and whose.
        torn_tail: what was cut off when it was opened.
        unread: the segments that were not read when it was opened, and where they ended, for ``verification``.

    Invariants:
    1. Entries can be read once ``append`` returned, and survive a crash once ``sync`` returned.
    2. After a failed write or sync nothing is written any more (``LogFailedError``); see docs/log.md for why.
    3. ``_segments`` are the files from the oldest needed one to the one being written, by their numbers, in order.
    """

    def __init__(self, directory: Path, disk: Disk, identity: Identity, state: Recovered, options: LogOptions) -> None:
        self.directory = directory
        self.identity = identity
        self.torn_tail: TornTail | None = state.torn
        self._disk = disk
        self._options = options
        self._hard_state = state.hard_state
        self._index = state.entry_index
        self._segments = {segment.header.sequence: segment for segment in state.segments}
        self._sealed = state.sealed
        self._is_distrusted = False
        self.unread = [(segment, state.sealed[segment.header.sequence].size) for segment in state.unread]
        self._cache = RecentEntries(options.cache_bytes)
        self._writer = SegmentWriter(state.segments[-1], state.end, options.preallocate_bytes)
        self._failure: OarlockError | None = None
        self._closed = False
        self._lock = Lock()
        self._files_lock = Lock()

    @classmethod
    def create(cls, directory: Path, disk: Disk, identity: Identity, options: LogOptions | None = None) -> Log:
        """Makes an empty log, durable when this returns.

        Args:
            directory: where to; made if need be.
            disk: the file system.
            identity: whose log it is, for good.
            options: sizes.

        Raises:
            LogExistsError: the directory holds a log.
            OSError: the disk refused; no log is there, or an empty one.
        """
        if has_log(disk, directory):
            raise LogExistsError(f"{LogExistsError.text} in {directory}")
        disk.make_directory(directory)
        start, hard_state = Position(0, 0), HardState(0, 0)
        segment = create_segment(disk, directory, SegmentHeader(identity, 1, 1, start, hard_state))
        state = Recovered([segment], EntryIndex(start), hard_state, HEADER_BYTES, None, {}, [])
        return cls(directory, disk, identity, state, options or LogOptions())

    @classmethod
    def open(cls, directory: Path, disk: Disk, identity: Identity, options: LogOptions | None = None) -> Log:
        """Reads and checks the log that is there; ``torn_tail`` then tells what was cut off, for the caller to report.

        Raises:
            LogMissingError: the directory holds no log.
            LogIdentityError: it is another member's log.
            DamageError: a segment is damaged or missing; names file and offset. Nothing was changed.
            OSError: the disk refused.
        """
        return cls(directory, disk, identity, recover(disk, directory, identity), options or LogOptions())

    def first_index(self) -> int:
        """The index of the first entry; one more than ``last_index`` if there is none."""
        return self._index.first_index

    def last_index(self) -> int:
        """The index of the last entry, or that of ``start`` if there is none."""
        return self._index.last_index

    @property
    def start(self) -> Position:
        """The position just before the first entry: a snapshot's, or (0, 0)."""
        return self._index.start

    @property
    def hard_state(self) -> HardState:
        """Term and vote as last appended."""
        return self._hard_state

    @property
    def segment_paths(self) -> list[Path]:
        """The files of the log, oldest first."""
        with self._files_lock:
            return [segment.path for segment in self._segments.values()]

    def term(self, index: int) -> int:
        """The term of the entry at ``index``, or of ``start``.

        Raises:
            LogCompactedError: ``index`` lies before ``start``.
            LogUnavailableError: ``index`` lies after the last entry.
        """
        with self._lock:
            return self._index.term(index)

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """The entries from ``low`` up to, without, ``high``: one, and more while the payloads fit ``max_bytes``.

        Raises:
            LogCompactedError: ``low`` lies before the first entry.
            LogUnavailableError: ``high`` lies more than one after the last entry.
            DamageError: what is on the disk is not what was written.
            StoppedError: the log is closed, and the entries are not in memory.
        """
        with self._lock:
            self._index.check_range(low, high)
            if low >= high:
                return []
            if low >= self._cache.first_index(high):
                return self._cache.get(low, high, max_bytes)
        return self._entries_from_disk(low, high, max_bytes)

    def find(self, kind: int, low: int) -> list[int]:
        """The indexes of all entries of ``kind`` from ``low`` on. Those that are not in memory are not read for it, but
        for what their records say of them first.

        Raises:
            LogCompactedError: ``low`` lies before the first entry.
            LogUnavailableError: ``low`` lies more than one after the last entry.
            DamageError: what is on the disk is not what was written.
            StoppedError: the log is closed.
        """
        with self._files_lock:
            if self._closed:
                raise StoppedError(_CLOSED)
            with self._lock:
                high = self._index.last_index + 1
                self._index.check_range(low, max(low, high))
                border = max(low, min(high, self._cache.first_index(high)))
                places = self._index.places(low, border, sys.maxsize) if low < border else []
                recent = self._cache.get(border, high, sys.maxsize) if border < high else []
            found = find_at(self._segments, places, kind, low, border)
        return found + [entry.index for entry in recent if entry.kind == kind]

    def _entries_from_disk(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        with self._files_lock:
            if self._closed:
                raise StoppedError(_CLOSED)
            with self._lock:
                self._index.check_range(low, high)
                border = max(low, min(high, self._cache.first_index(high)))
                places = self._index.places(low, border, max(1, max_bytes))
                recent = self._cache.get(border, high, max_bytes) if border < high else []
            older = read_places(self._segments, places, low, border)
        if not older or older[-1].index + 1 == border:
            older += recent
        return fitting(older, max_bytes)

    def append(
        self, entries: Sequence[Entry], hard_state: HardState | None = None, truncate_from: int | None = None
    ) -> None:
        """Writes one record, or none if nothing is new.

        It is durable once ``sync`` returned; before that a crash leaves it whole or not at all.

        Args:
            entries: continue the log, or the part of it that ``truncate_from`` leaves; may be empty.
            hard_state: the new term and vote; None: unchanged.
            truncate_from: drops the entries from this index on first, which conflict with the leader's; None: none.

        Raises:
            LogOrderError: the arguments do not continue the log; nothing was written.
            RequestTooLargeError: they are more than 1 GiB; nothing was written.
            LogFailedError: the disk failed, now or earlier.
        """
        self._check_usable()
        state = hard_state if hard_state is not None else self._hard_state
        dropped_from = truncate_from if truncate_from is not None else 0
        if not entries and not dropped_from and state == self._hard_state:
            return
        terms = [entry.term for entry in entries]
        first_index = entries[0].index if entries else 0
        self._check_append(entries, state, terms, first_index, dropped_from)
        parts, length = _encode(state, dropped_from, entries)
        offset, end = self._write(RecordKind.WRITE, parts, length)
        with self._lock:
            if dropped_from:
                self._index.truncate(dropped_from)
                self._cache.truncate(dropped_from)
            if terms:
                self._index.append(first_index, terms, self._writer.segment.header.sequence, offset, end)
                self._cache.append(entries)
        self._hard_state = state

    def _check_append(
        self, entries: Sequence[Entry], state: HardState, terms: list[int], first_index: int, dropped_from: int
    ) -> None:
        if state.term < self._hard_state.term:
            raise LogOrderError(f"term {state.term} cannot follow term {self._hard_state.term}: terms never fall")
        self._index.check_append(first_index, terms, dropped_from)
        for index, entry in enumerate(entries, first_index):
            if entry.index != index:
                raise LogOrderError(f"entry {entry.index} stands where {index} is due: indexes rise by one")

    def sync(self) -> None:
        """Makes all that was appended durable: one fdatasync, none if nothing is due.

        Raises:
            LogFailedError: the disk failed, now or earlier.
        """
        self._check_usable()
        try:
            self._writer.sync()
        except OSError as error:
            raise self._fail("sync", error) from error

    def truncate_prefix(self, index: int) -> None:
        """Drops the entries up to ``index``, which a snapshot holds; durable when this returns.

        Does nothing if it was done before.

        Raises:
            LogUnavailableError: ``index`` lies after the last entry.
            LogFailedError: the disk failed, now or earlier.
        """
        self._check_usable()
        if index <= self._index.start.index:
            return
        start = Position(index, self._index.term(index))
        body = encode_start(start)
        self._write(RecordKind.START, [body], len(body))
        self.sync()
        with self._lock:
            self._index.drop_prefix(start)
            self._cache.drop_prefix(index)
        self._remove_unneeded()

    def reset(self, index: int, term: int) -> None:
        """Empties the log and lets it go on after the snapshot at ``index`` and ``term``; durable when this returns.

        Raises:
            LogOrderError: ``index`` lies before the log's start.
            LogFailedError: the disk failed, now or earlier.
        """
        self._check_usable()
        if index < self._index.start.index:
            raise LogOrderError(f"a snapshot at {index} cannot take a log back that starts after {self.start.index}")
        start = Position(index, term)
        # The old segment stays unfinished: once the new one has its name, nothing before it is read any more.
        self._begin_segment(start, index + 1)
        with self._lock:
            self._index = EntryIndex(start)
            self._cache = RecentEntries(self._options.cache_bytes)
        self._remove_unneeded()

    def distrust(self) -> None:
        """What the log holds is known to be damaged: the next start reads all of it. Any thread may call it."""
        self._is_distrusted = True
        remove_summary(self._disk, self.directory)

    def close(self) -> None:
        """Syncs, marks the end as a clean one, and closes the files. A failed log is closed as it is.

        Raises:
            LogFailedError: the disk failed now.
        """
        try:
            if self._failure is None:
                self._finish_segment()
        except OSError as error:
            raise self._fail("sync", error) from error
        finally:
            if self._failure is None:
                self._failure = StoppedError(_CLOSED)
            with self._files_lock:
                self._closed = True
                for segment in self._segments.values():
                    segment.file.close()

    def _write(self, kind: RecordKind, parts: Sequence[bytes], length: int) -> tuple[int, int]:
        if not self._writer.has_room(length, self._options.segment_bytes):
            self._rotate()
        try:
            return self._writer.write(kind, parts, length)
        except OSError as error:
            raise self._fail("write", error) from error

    def _rotate(self) -> None:
        try:
            self._finish_segment()
        except OSError as error:
            raise self._fail("sync", error) from error
        self._begin_segment(self._index.start, self._index.last_index + 1)

    def _finish_segment(self) -> None:
        self._writer.finish()
        segment = self._writer.segment
        self._sealed[segment.header.sequence] = segment.file.seal()
        if not self._is_distrusted:
            write_summary(self._disk, self.directory, Summary(self._sealed, self._hard_state, self._index))

    def _begin_segment(self, start: Position, first_index: int) -> None:
        sequence = self._writer.segment.header.sequence + 1
        header = SegmentHeader(self.identity, sequence, first_index, start, self._hard_state)
        try:
            segment = create_segment(self._disk, self.directory, header)
        except OSError as error:
            raise self._fail("begin a segment of", error) from error
        with self._files_lock:
            self._segments[sequence] = segment
        self._writer = SegmentWriter(segment, HEADER_BYTES, self._options.preallocate_bytes)

    def _remove_unneeded(self) -> None:
        segments = list(self._segments.values())
        count = count_unneeded([segment.header.first_index for segment in segments], self._index.start.index)
        unneeded: list[Segment] = segments[:count]
        with self._files_lock:
            for segment in unneeded:
                del self._segments[segment.header.sequence]
                self._sealed.pop(segment.header.sequence, None)
                segment.file.close()
        try:
            for segment in unneeded:
                self._disk.remove(segment.path)
        except OSError as error:
            raise self._fail("remove a segment of", error) from error

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _fail(self, action: str, error: OSError) -> LogFailedError:
        path = self._writer.segment.path
        self._failure = LogFailedError(f"{LogFailedError.text}: could not {action} {path}: {error.strerror or error}")
        return self._failure


def _encode(state: HardState, dropped_from: int, entries: Sequence[Entry]) -> tuple[list[bytes], int]:
    try:
        parts, length = encode_write(state, dropped_from, entries)
    except struct.error as error:
        raise LogOrderError(f"a number does not fit its field in the log: {error}") from None
    if length > MAX_BODY_BYTES:
        raise RequestTooLargeError(f"{RequestTooLargeError.text}: {length} bytes in one append to the log")
    return parts, length
