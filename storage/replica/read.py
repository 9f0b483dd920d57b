"""Reads of a replica at one revision: one LMDB read transaction."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, islice, starmap
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias, TypeVar

import lmdb

from oarlock.wire.errors import CompactedError, DamageError, FutureRevisionError
from oarlock.wire.operations import Event, KeyValue, event_bytes

from .errors import LayoutError, ReadExpiredError, engine_error
from .hashing import KvHash
from .keys import SHORT_BYTES, Row, stored_bounds, stored_key, whole_keys
from .layout import ALARM, CURRENT, CURRENT_BYTES, EVENT_BYTES, EVENT_ID_BYTES, LEASE, TTL, Meta
from .past import Change, Past
from .tables import Tables
from .walk import SLOW_CHUNK_ROWS, chunks, in_chunks, key_chunks

_unpack_current = CURRENT.unpack
_VALUE_AT = EVENT_BYTES

CHUNK_BYTES: Final = 1 << 18
"""Of keys and values in a chunk, but for the last row: what a caller takes at least who works in slices of about a
millisecond."""
DEFAULT_PAGE_EVENTS = 5000
"""About 10 ms of work."""

T = TypeVar("T")

Stored: TypeAlias = tuple[list[Row], list[bytes]]
"""Rows of ``current`` with whole keys, and their records of ``events``; none of these where values are not wanted."""


class ReadView:
    """The replica as it was after one transaction, whatever is written meanwhile.

    Use it as a context manager. Results are plain tuples; iterators read on while they are consumed, so they end with
    the view. A view belongs to the replica's thread.

    Attributes:
        revision: the store's revision in this view.
        compact_revision: the last compaction, -1 for none.
        opened_at_s: when it began, on the monotonic clock.
        transaction, tables, path: LMDB's, for the modules of this package.
        past: the history, for the modules of this package.

    Raises (any method): ReadExpiredError if the view was open for longer than the replica allows, DamageError if the
    tables contradict each other, ReplicaFailedError if the engine fails.
    """

    def __init__(
        self,
        transaction: lmdb.Transaction[bytes],
        tables: Tables,
        meta: Meta,
        path: Path,
        *,
        opened_at_s: float = 0.0,
        on_close: Callable[[ReadView], None] | None = None,
    ) -> None:
        self.revision = meta.revision
        self.compact_revision = meta.compact_revision
        self.opened_at_s = opened_at_s
        self.transaction = transaction
        self.tables = tables
        self.path = path
        self._on_close = on_close
        self._expired = False
        self._get = transaction.get
        self._current = tables.current
        self._events = tables.events
        self.past = Past(transaction, tables, path)

    def __enter__(self) -> ReadView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self.close()
        return False

    def close(self) -> None:
        """Ends the view. It is no error to do it twice."""
        self.transaction.abort()
        if self._on_close is not None:
            self._on_close(self)

    def expire(self) -> None:
        """Ends the view for being too old; whoever still reads gets ``ReadExpiredError``."""
        self._expired = True
        self.close()

    # --- keys ---

    def get(self, key: bytes, revision: int = 0) -> KeyValue | None:
        """One key.

        Args:
            key: not empty.
            revision: 0 for the present, else the state after that revision.

        Raises:
            CompactedError: the revision is below ``compact_revision``.
            FutureRevisionError: the revision is above ``revision``.
        """
        if revision and self._is_past(revision):
            with self.translated():
                return self.past.get(key, revision)
        try:
            row = self._get(key if len(key) <= SHORT_BYTES else stored_key(key), None, self._current)
            if row is None:
                return None
            mod, _, create, version, lease = _unpack_current(row)
            event = self._get(row[:EVENT_ID_BYTES], None, self._events)
        except (lmdb.Error, LayoutError, struct.error) as error:
            raise self._failure(error) from error
        if event is None:
            raise self._no_event(key, mod)
        return key, event[_VALUE_AT + len(key) :], create, mod, version, lease

    def scan(
        self, start: bytes, end: bytes | None, *, revision: int = 0, keys_only: bool = False
    ) -> Iterator[KeyValue]:
        """The keys from ``start`` up to ``end`` (exclusive, None for no end), in order.

        Args:
            start: the first key wanted; empty for the first of all.
            end: the first key not wanted.
            revision: as in ``get``.
            keys_only: leave the values empty, which spares half of the work.

        Raises:
            CompactedError, FutureRevisionError: as in ``get``, at once and not at the first ``next``.
        """
        return chain.from_iterable(self.scan_chunks(start, end, revision=revision, keys_only=keys_only))

    def scan_chunks(
        self, start: bytes, end: bytes | None, *, revision: int = 0, keys_only: bool = False, most: int | None = None
    ) -> Iterator[list[KeyValue]]:
        """As ``scan``, in lists of at most 256 rows that end where their values reach ``CHUNK_BYTES``.

        Args:
            start, end, revision, keys_only: as in ``scan``.
            most: rows wanted in all, None for all.
        """
        if revision and self._is_past(revision):
            found = _bounded(islice(self.past.scan(start, end, revision, keys_only), most))
        else:
            found = starmap(_kvs_of, self._present_rows(start, end, keys_only, most))
        return self._guarded(found)

    def scan_stored(
        self, start: bytes, end: bytes | None, *, revision: int = 0, keys_only: bool = False, most: int | None = None
    ) -> Iterator[Stored] | None:
        """As ``scan_chunks``, of rows and records as they are stored, for who makes something else of them than kvs.

        Args:
            start, end, revision, keys_only, most: as in ``scan_chunks``.

        Returns:
            None where ``revision`` is not the present one: what was then is gathered from the history.
        """
        if revision and self._is_past(revision):
            return None
        return self._guarded(self._present_rows(start, end, keys_only, most))

    def count(self, start: bytes, end: bytes | None, *, revision: int = 0) -> int:
        """How many keys ``scan`` would give."""
        return sum(self.count_chunks(start, end, revision=revision))

    def count_chunks(self, start: bytes, end: bytes | None, *, revision: int = 0) -> Iterator[int]:
        """How many keys ``scan`` would give, as numbers to be added: each of about a chunk, but the number of all keys
        at present is known."""
        if revision and self._is_past(revision):
            return self._guarded(self.past.count_chunks(start, end, revision))
        return self._guarded(self._present_counts(start, end))

    def _present_counts(self, start: bytes, end: bytes | None) -> Iterator[int]:
        if not start and end is None:
            yield int(self.transaction.stat(self._current)["entries"])
            return
        first, last = stored_bounds(start, end)
        if self.past.has_long_keys(first, last):
            yield from map(len, self._rows(start, end))
        else:
            yield from map(len, key_chunks(self.transaction.cursor(self._current), first, last))

    def _present_rows(self, start: bytes, end: bytes | None, keys_only: bool, most: int | None) -> Iterator[Stored]:
        for rows in self._rows(start, end):
            if any(len(row) != CURRENT_BYTES for _, row in rows):
                raise DamageError(self.path, 0, f"a record of the wrong length at or after key {rows[0][0][:64]!r}")
            if most is not None:
                if len(rows) > most:
                    del rows[most:]
                most -= len(rows)
            if keys_only:
                yield rows, []
            else:
                yield from self._with_records(rows)
            if most == 0:
                return

    def _with_records(self, rows: list[Row]) -> Iterator[Stored]:
        """The rows in parts that end where their records reach ``CHUNK_BYTES``, and these records."""
        get, events = self._get, self._events
        records: list[bytes] = []
        size_bytes = begin = 0
        for key, row in rows:
            record = get(row[:EVENT_ID_BYTES], None, events)
            if record is None:
                raise self._no_event(key, _unpack_current(row)[0])
            records.append(record)
            size_bytes += len(record)
            if size_bytes >= CHUNK_BYTES:
                yield rows[begin : begin + len(records)], records
                begin += len(records)
                records, size_bytes = [], 0
        if records:
            yield rows[begin:] if begin else rows, records

    def _rows(self, start: bytes, end: bytes | None) -> Iterator[list[Row]]:
        """Rows of ``current`` with whole keys, in chunks."""
        first, last = stored_bounds(start, end)
        found = chunks(self.transaction.cursor(self._current), first, last)
        if not self.past.has_long_keys(first, last):
            return found
        return in_chunks(whole_keys(chain.from_iterable(found), start, end, self.past.whole_key))

    # --- leases and records ---

    def lease(self, lease: int) -> int | None:
        """The granted TTL of a lease in seconds, None if there is no such lease."""
        ttl = self._look_up(LEASE.pack(lease), self.tables.leases)
        return None if ttl is None else int(TTL.unpack(ttl)[0])

    def leases(self) -> Iterator[tuple[int, int]]:
        """All leases with their granted TTL in seconds."""
        with self.translated():
            for lease, ttl in self.transaction.cursor(self.tables.leases):
                yield LEASE.unpack(lease)[0], TTL.unpack(ttl)[0]

    def lease_keys(self, lease: int) -> list[bytes]:
        """The keys attached to a lease, in byte order."""
        with self.translated():
            cursor = self.transaction.cursor(self.tables.lease_keys)
            if not cursor.set_key(LEASE.pack(lease)):
                return []
            return sorted(self.past.whole_key(stored) for stored in cursor.iternext_dup())

    def get_record(self, table: str, key: bytes) -> bytes | None:
        """A record of the state machine's own tables (``layout.RECORD_TABLES``)."""
        return self._look_up(key, self.tables.records[table])

    def scan_records(self, table: str, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """The records from ``start`` up to ``end`` (exclusive, None for no end) in the order of their keys."""
        with self.translated():
            yield from chain.from_iterable(chunks(self.transaction.cursor(self.tables.records[table]), start, end))

    def alarms(self) -> list[tuple[int, int]]:
        """(member, alarm) of the alarms that are raised, in order."""
        return [ALARM.unpack(record) for record, _ in self.scan_records("alarms")]

    # --- history ---

    def history(self, start: bytes, end: bytes | None, first_revision: int, last_revision: int) -> Iterator[Change]:
        """The events of a range in the order in which they happened, for watches.

        Args:
            start: the first key wanted; empty for the first of all.
            end: the first key not wanted, None for no end.
            first_revision: where to begin; the compact revision itself can still be read (etcd).
            last_revision: where to end (included).

        Raises:
            CompactedError: ``first_revision`` is below ``compact_revision``, at once.
        """
        self._refuse_compacted(first_revision)
        found = self.past.changes_of_range(start, end, first_revision, last_revision)
        return self._guarded(_wanted(found))

    def history_page(
        self,
        start: bytes,
        end: bytes | None,
        first_revision: int,
        last_revision: int,
        *,
        max_bytes: int,
        max_events: int = DEFAULT_PAGE_EVENTS,
        previous: bool = False,
    ) -> tuple[list[Event], int]:
        """One slice of ``history``. It ends at a revision's end: no revision is ever split.

        Args:
            start, end, first_revision, last_revision: as in ``history``.
            max_bytes: no further revision is begun once keys and values (also previous ones) have this many bytes.
            max_events: no further revision is begun once this many events were looked at, wanted or not.
            previous: give the events their previous kv, as far as it was not compacted away.

        Returns:
            The events, and the revision to go on from: ``last_revision + 1`` if nothing is left.

        Raises:
            CompactedError: ``first_revision`` is below ``compact_revision``.
        """
        self._refuse_compacted(first_revision)
        events: list[Event] = []
        looked_at = page_bytes = 0
        last = first_revision
        with self.translated():
            for revision, change in self.past.changes_of_range(start, end, first_revision, last_revision):
                if revision != last and (looked_at >= max_events or page_bytes >= max_bytes):
                    return events, revision
                last = revision
                looked_at += 1
                if change is not None:
                    kind, kv, _ = change
                    before = self._before(kv) if previous else None
                    events.append((kind, kv, before))
                    page_bytes += event_bytes(events[-1])
        return events, last_revision + 1

    def _before(self, kv: KeyValue) -> KeyValue | None:
        """The kv of the revision before an event's, None if there was none or it is compacted (etcd)."""
        revision = kv[3] - 1
        return self.past.get(kv[0], revision) if revision >= self.compact_revision else None

    def hash_kv(self, revision: int = 0) -> KvHash:
        """A hash of the key space at a revision, to be computed in steps while this view is open.

        Args:
            revision: 0 for the present.

        Raises:
            CompactedError, FutureRevisionError: as in ``get``.
        """
        if revision:
            self._is_past(revision)
        return KvHash(self, revision or self.revision)

    # --- errors ---

    def _is_past(self, revision: int) -> bool:
        """Whether a read at ``revision`` must look into the history."""
        if revision > self.revision:
            raise FutureRevisionError
        self._refuse_compacted(revision)
        return revision != self.revision or self._has_pending_changes()

    def _refuse_compacted(self, revision: int) -> None:
        if revision < self.compact_revision or revision < 0:
            raise CompactedError(detail=max(self.compact_revision, 0))

    def _has_pending_changes(self) -> bool:
        return False

    def _no_event(self, key: bytes, revision: int) -> DamageError:
        return DamageError(self.path, 0, f"no event of revision {revision} for key {key[:64]!r}")

    def _look_up(self, key: bytes, table: lmdb._Database) -> bytes | None:
        try:
            return self._get(key, None, table)
        except lmdb.Error as error:
            raise self._failure(error) from error

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turns the engine's errors into ours, for those who use ``transaction`` themselves."""
        try:
            yield
        except (lmdb.Error, struct.error) as error:
            raise self._failure(error) from error

    def _guarded(self, items: Iterator[T]) -> Iterator[T]:
        with self.translated():
            yield from items

    def _failure(self, error: Exception) -> Exception:
        if self._expired:
            return ReadExpiredError()
        return engine_error(error, self.path)


def _bounded(kvs: Iterator[KeyValue]) -> Iterator[list[KeyValue]]:
    chunk: list[KeyValue] = []
    size_bytes = 0
    for kv in kvs:
        chunk.append(kv)
        size_bytes += len(kv[0]) + len(kv[1])
        if len(chunk) >= SLOW_CHUNK_ROWS or size_bytes >= CHUNK_BYTES:
            yield chunk
            chunk, size_bytes = [], 0
    if chunk:
        yield chunk


def _kvs_of(rows: list[Row], records: list[bytes]) -> list[KeyValue]:
    kvs: list[Any] = []
    value = b""
    for index in range(len(rows)):
        key, row = rows[index]
        if records:
            value = records[index][_VALUE_AT + len(key) :]
        mod, _, create, version, lease = _unpack_current(row)
        kvs.append((key, value, create, mod, version, lease))
    return kvs


def _wanted(changes: Iterator[tuple[int, Change | None]]) -> Iterator[Change]:
    for _, change in changes:
        if change is not None:
            yield change
