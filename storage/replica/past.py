"""Reads at a revision that is not the present one, and walks through the history for watchers.

``history`` has one line for each event of a key, in the order of revisions. So the newest event of a key at or below
revision R is the line before the first line of R + 1: one seek and one step back.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import lmdb

from oarlock.wire.errors import DamageError
from oarlock.wire.operations import KeyValue

from .keys import SHORT_BYTES, stored_bounds, stored_key, whole_keys
from .layout import DELETE, EVENT_ID, EVENT_ID_BYTES, TOMBSTONE_MARK, event_key, event_kv
from .tables import Tables
from .walk import in_chunks, key_chunks

Change = tuple[int, KeyValue, int]
"""(type, kv, sub-revision); the kv of a deletion has only key and mod_revision."""


class Past:
    """The history as one transaction sees it. Revisions are not checked here but by the view that owns this.

    Args:
        transaction: the view's.
        tables: of the replica.
        path: the file, for errors.
    """

    def __init__(
        self,
        transaction: lmdb.Transaction[bytes],
        tables: Tables,
        path: Path,
    ) -> None:
        self._transaction = transaction
        self._tables = tables
        self._path = path

    def whole_key(self, stored: bytes) -> bytes:
        """The key that is stored as ``stored``."""
        if len(stored) <= SHORT_BYTES:
            return stored
        key = self._transaction.get(stored, None, self._tables.long_keys)
        if key is None:
            raise DamageError(self._path, 0, f"table long_keys lacks {stored[-8:].hex()}")
        return key

    def has_long_keys(self, first: bytes, last: bytes | None) -> bool:
        """Whether there is, or was, a long key between two stored keys (``last`` excluded)."""
        cursor = self._transaction.cursor(self._tables.long_keys)
        found = cursor.set_range(first) if first else cursor.first()
        return found and (last is None or cursor.key() < last)

    def get(self, key: bytes, revision: int) -> KeyValue | None:
        """The key after ``revision``; None if it was not there."""
        line = self._newest_line(self._lines(), stored_key(key), revision)
        return None if line is None else self._kv(line)

    def scan(self, start: bytes, end: bytes | None, revision: int, keys_only: bool) -> Iterator[KeyValue]:
        """The keys from ``start`` up to ``end`` after ``revision``, in order."""
        for _, line in self._lines_of_range(start, end, revision):
            kv = self._kv(line)
            yield (kv[0], b"", *kv[2:]) if keys_only else kv

    def count_chunks(self, start: bytes, end: bytes | None, revision: int) -> Iterator[int]:
        """How many keys ``scan`` would give, chunk by chunk, without a look at the events."""
        return map(len, in_chunks(self._lines_of_range(start, end, revision)))

    def changes(
        self, start: bytes, end: bytes | None, first_revision: int, last_revision: int
    ) -> Iterator[tuple[int, Change | None]]:
        """All events from one revision to another (both included), in the order in which they happened.

        Yields:
            The revision, and the change; None for a key outside of the range, so that a caller can bound the walk.
        """
        cursor = self._transaction.cursor(self._tables.events)
        if not cursor.set_range(EVENT_ID.pack(first_revision, 0)):
            return
        behind = EVENT_ID.pack(last_revision + 1, 0)
        for event_id, record in cursor.iternext():
            if event_id >= behind:
                return
            key = event_key(record)
            wanted = start <= key and (end is None or key < end)
            yield EVENT_ID.unpack(event_id)[0], _change(event_id, record) if wanted else None

    def changes_of_key(self, key: bytes, first_revision: int, last_revision: int) -> Iterator[tuple[int, Change]]:
        """As ``changes``, of one key, by its own lines."""
        cursor = self._lines()
        if not cursor.set_range_dup(stored_key(key), EVENT_ID.pack(first_revision, 0)):
            return
        behind = EVENT_ID.pack(last_revision + 1, 0)
        for line in cursor.iternext_dup():
            if line >= behind:
                return
            event_id = line[:EVENT_ID_BYTES]
            yield EVENT_ID.unpack(event_id)[0], _change(event_id, self._event(event_id))

    def changes_of_range(
        self, start: bytes, end: bytes | None, first_revision: int, last_revision: int
    ) -> Iterator[tuple[int, Change | None]]:
        """As ``changes``, by the shorter way where the range is one key."""
        if end == start + b"\0":
            return self.changes_of_key(start, first_revision, last_revision)
        return self.changes(start, end, first_revision, last_revision)

    def _lines(self) -> lmdb.Cursor[bytes]:
        return self._transaction.cursor(self._tables.history)

    def _newest_line(self, cursor: lmdb.Cursor[bytes], stored: bytes, revision: int) -> bytes | None:
        """The line of the newest event at or below ``revision``, None if there is none or it is a tombstone."""
        if cursor.set_range_dup(stored, EVENT_ID.pack(revision + 1, 0)):
            found = cursor.prev_dup()
        else:
            found = cursor.set_key(stored) and cursor.last_dup()
        if not found:
            return None
        line = cursor.value()
        return None if line[EVENT_ID_BYTES:] == TOMBSTONE_MARK else line

    def _lines_of_range(self, start: bytes, end: bytes | None, revision: int) -> Iterator[tuple[bytes, bytes]]:
        """(key, line) of what was there after ``revision``, in key order."""
        first, last = stored_bounds(start, end)
        found = self._present(chain.from_iterable(key_chunks(self._lines(), first, last)), revision)
        return whole_keys(found, start, end, self.whole_key) if self.has_long_keys(first, last) else found

    def _present(self, stored_keys: Iterator[bytes], revision: int) -> Iterator[tuple[bytes, bytes]]:
        cursor = self._lines()
        for stored in stored_keys:
            line = self._newest_line(cursor, stored, revision)
            if line is not None:
                yield stored, line

    def _event(self, event_id: bytes) -> bytes:
        record = self._transaction.get(event_id, None, self._tables.events)
        if record is None:
            raise DamageError(self._path, 0, f"table events lacks {EVENT_ID.unpack(event_id)}")
        return record

    def _kv(self, line: bytes) -> KeyValue:
        event_id = line[:EVENT_ID_BYTES]
        return event_kv(event_id, self._event(event_id))[1]


def _change(event_id: bytes, record: bytes) -> Change:
    kind, kv = event_kv(event_id, record)
    if kind == DELETE:
        kv = (kv[0], b"", 0, kv[3], 0, 0)
    return kind, kv, EVENT_ID.unpack(event_id)[1]
