"""The hash of the key space at a revision: two members with the same compaction that hash the same revision agree.

It counts what etcd's HashKV counts (CRC-32 of zlib over our own events, so that values are not equal to etcd's): each
event up to the revision, in order. An event at or below the compact revision counts only if it would survive a
compaction at the hash's revision and is no tombstone. So it does not matter how much of a compaction was done already.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final
from zlib import crc32

import lmdb

from .keys import stored_key
from .layout import DELETE, EVENT_BODY_AT, EVENT_ID, event_kv

if TYPE_CHECKING:
    from .read import ReadView

DEFAULT_SLICE_EVENTS: Final = 2000
"""About 2 ms of work for small values."""

MAX_SLICE_BYTES: Final = 8 << 20

_SEED: Final = crc32(b"key")
"""Of an empty key space the hash is this, and not 0, which looks like none at all (etcd, too, begins with a name)."""


class KvHash:
    """A hash under way. It ends with its view.

    Attributes:
        hash: the value so far, complete when ``step`` said so.
        hash_revision: up to where it counts.
        compact_revision: the last compaction in the view, -1 for none.
    """

    def __init__(self, view: ReadView, hash_revision: int) -> None:
        self.hash = _SEED
        self.hash_revision = hash_revision
        self.compact_revision = view.compact_revision
        self._view = view
        self._compacted_end = EVENT_ID.pack(max(view.compact_revision, 0) + 1, 0)
        self._end = EVENT_ID.pack(hash_revision + 1, 0)
        self._next = EVENT_ID.pack(0, 0)

    def step(self, max_events: int = DEFAULT_SLICE_EVENTS) -> bool:
        """Hashes the next events.

        Args:
            max_events: how many to look at.

        Returns:
            Whether the hash is complete.

        Raises:
            ReadExpiredError: the view is too old.
        """
        with self._view.translated():
            return self._step(max_events)

    def run(self) -> int:
        """Does all steps at once."""
        while not self.step():
            pass
        return self.hash

    def _step(self, max_events: int) -> bool:
        transaction, tables = self._view.transaction, self._view.tables
        cursor = transaction.cursor(tables.events)
        if not cursor.set_range(self._next):
            return True
        signposts = transaction.cursor(tables.signposts)
        walked = walked_bytes = 0
        for event_id, record in islice(cursor.iternext(), max_events):
            if event_id >= self._end:
                return True
            if event_id >= self._compacted_end or self._survives(signposts, event_id, record):
                self.hash = crc32(record[EVENT_BODY_AT:], crc32(event_id, self.hash))
            self._next = event_id + b"\0"
            walked += 1
            walked_bytes += len(record)
            if walked_bytes > MAX_SLICE_BYTES:
                return False
        return walked < max_events

    def _survives(self, signposts: lmdb.Cursor[bytes], event_id: bytes, record: bytes) -> bool:
        """Whether the event is a put and the newest of its key at or below ``hash_revision``."""
        kind, kv = event_kv(event_id, record)
        return kind != DELETE and self._view.past.newest(signposts, stored_key(kv[0]), self._end) == event_id
