"""Reads at a revision that is not the present one, and walks through the history for watchers.

The newest event of a key at or below revision R is found backwards, from the first signpost above R, or, where there is
none, from the key's record in ``current``: from forerunner to forerunner until one is at or below R. A worked example,
with a signpost at every fourth version in place of every eighth (``x`` is a tombstone, ``*`` a signpost)::

    revision    3    5    7    8*   9    12x*   15   16
    version     1    2    3    4    5           1    2

    R = 6       the first signpost above it is 8: 8 -> 7 -> 5, the answer
    R = 9       12x -> 9
    R = 12      no signpost above it, and ``current`` has 16: 16 -> 15 -> no event: the key was not there
    R = 15      16 -> 15
    R = 99      ``current`` has 16, the answer

Every step is in one life of the key, since a tombstone is always a signpost: whoever begins above it, begins there.
A forerunner that a compaction removed is never asked for: it was removed since its successor is at or below the compact
revision too, and so is nearer to every R that can be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import chain, groupby
from pathlib import Path

import lmdb

from oarlock.wire.errors import DamageError
from oarlock.wire.operations import KeyValue

from .keys import SHORT_BYTES, stored_bounds, stored_key, whole_keys
from .layout import DELETE, EVENT_ID, EVENT_ID_BYTES, NO_EVENT, event_key, event_kv, forerunner_of
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
        event_id = self.newest(self._signposts(), stored_key(key), EVENT_ID.pack(revision + 1, 0))
        return None if event_id is None else self._kv(event_id)

    def newest(self, signposts: lmdb.Cursor[bytes], stored: bytes, behind: bytes) -> bytes | None:
        """The newest event of a key before a moment.

        Args:
            signposts: a cursor of this table, which is moved.
            stored: the key, as it is stored.
            behind: an event id, not below that of the last compaction; what is sought is below it.

        Returns:
            The event's id, None if the key was not there.
        """
        event_id = signposts.value() if signposts.set_range_dup(stored, behind) else self._present_event(stored)
        while event_id >= behind:
            event_id = self._before(event_id, self._event(event_id))
        return None if event_id == NO_EVENT else event_id

    def scan(self, start: bytes, end: bytes | None, revision: int, keys_only: bool) -> Iterator[KeyValue]:
        """The keys from ``start`` up to ``end`` after ``revision``, in order."""
        for _, event_id in self._events_of_range(start, end, revision):
            kv = self._kv(event_id)
            yield (kv[0], b"", *kv[2:]) if keys_only else kv

    def count_chunks(self, start: bytes, end: bytes | None, revision: int) -> Iterator[int]:
        """How many keys ``scan`` would give, chunk by chunk, without a look at the events."""
        return map(len, in_chunks(self._events_of_range(start, end, revision)))

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
        """As ``changes``, of one key, from signpost to signpost: never more than eight events at once."""
        stored = stored_key(key)
        begin, behind = EVENT_ID.pack(max(first_revision, 1), 0), EVENT_ID.pack(last_revision + 1, 0)
        signposts = self._signposts()
        found = signposts.set_range_dup(stored, begin)
        while found and begin < behind:
            signpost = signposts.value()
            yield from self._chain(begin, signpost, behind)
            begin = signpost + b"\0"
            found = signposts.next_dup()
        yield from self._chain(begin, self._present_event(stored), behind)

    def _chain(self, begin: bytes, newest: bytes, behind: bytes) -> Iterator[tuple[int, Change]]:
        """The changes of a key from ``begin`` on up to and with ``newest``, but none from ``behind`` on."""
        found: list[tuple[bytes, bytes]] = []
        event_id = newest
        while event_id >= begin:
            record = self._event(event_id)
            if event_id < behind:
                found.append((event_id, record))
            event_id = self._before(event_id, record)
        for event_id, record in reversed(found):
            yield EVENT_ID.unpack(event_id)[0], _change(event_id, record)

    def changes_of_range(
        self, start: bytes, end: bytes | None, first_revision: int, last_revision: int
    ) -> Iterator[tuple[int, Change | None]]:
        """As ``changes``, by the shorter way where the range is one key."""
        if end == start + b"\0":
            return self.changes_of_key(start, first_revision, last_revision)
        return self.changes(start, end, first_revision, last_revision)

    def _signposts(self) -> lmdb.Cursor[bytes]:
        return self._transaction.cursor(self._tables.signposts)

    def _events_of_range(self, start: bytes, end: bytes | None, revision: int) -> Iterator[tuple[bytes, bytes]]:
        """(key, event id) of what was there after ``revision``, in key order."""
        first, last = stored_bounds(start, end)
        found = self._present(self._keys(first, last), EVENT_ID.pack(revision + 1, 0))
        return whole_keys(found, start, end, self.whole_key) if self.has_long_keys(first, last) else found

    def _keys(self, first: bytes, last: bytes | None) -> Iterator[bytes]:
        """All stored keys of a range that are or were there, each once: those that are, and those with a signpost."""
        present, signposts = (
            chain.from_iterable(key_chunks(self._transaction.cursor(table), first, last))
            for table in (self._tables.current, self._tables.signposts)
        )
        return (stored for stored, _ in groupby(merge(present, signposts)))

    def _present(self, stored_keys: Iterator[bytes], behind: bytes) -> Iterator[tuple[bytes, bytes]]:
        signposts = self._signposts()
        for stored in stored_keys:
            event_id = self.newest(signposts, stored, behind)
            if event_id is not None:
                yield stored, event_id

    def _present_event(self, stored: bytes) -> bytes:
        """The event that the key is of at present, ``NO_EVENT`` if it is not there."""
        row = self._transaction.get(stored, None, self._tables.current)
        return NO_EVENT if row is None else row[:EVENT_ID_BYTES]

    def _event(self, event_id: bytes) -> bytes:
        record = self._transaction.get(event_id, None, self._tables.events)
        if record is None:
            raise DamageError(self._path, 0, f"table events lacks {EVENT_ID.unpack(event_id)}")
        return record

    def _before(self, event_id: bytes, record: bytes) -> bytes:
        """The forerunner of an event, which is before it: a search has an end whatever the file has become."""
        forerunner = forerunner_of(record)
        if forerunner >= event_id:
            raise DamageError(self._path, 0, f"table events has a wrong forerunner of {EVENT_ID.unpack(event_id)}")
        return forerunner

    def _kv(self, event_id: bytes) -> KeyValue:
        return event_kv(event_id, self._event(event_id))[1]


def _change(event_id: bytes, record: bytes) -> Change:
    kind, kv = event_kv(event_id, record)
    if kind == DELETE:
        kv = (kv[0], b"", 0, kv[3], 0, 0)
    return kind, kv, EVENT_ID.unpack(event_id)[1]
