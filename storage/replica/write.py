"""One write transaction over a replica: the effects of the log entries that arrived together."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Final, Literal
from zlib import crc32

import lmdb

from oarlock.wire.errors import CompactedError, FutureRevisionError, LeaseExistsError, LeaseNotFoundError, RequestError
from oarlock.wire.operations import Event, KeyValue

from .keys import LMDB_KEY_BYTES, SHORT_BYTES, stored_key
from .layout import (
    ALARM,
    CHECKSUM,
    CURRENT,
    DELETE,
    EVENT_BYTES,
    EVENT_ID,
    EVENT_ID_BYTES,
    LEASE,
    NO_EVENT,
    PUT,
    TTL,
    Meta,
    event_body,
    event_record,
    is_signpost,
)
from .read import ReadView
from .tables import META_KEY, Tables

STATE_HASH_BYTES: Final = 16

_EFFECT: Final = Struct(">BIQI")  # kind, length of what follows, revision, sub
_EVENT, _GRANT, _REVOKE, _COMPACT, _RECORD, _NO_RECORD = range(1, 7)

_pack_event_id = EVENT_ID.pack
_pack_current = CURRENT.pack
_unpack_current = CURRENT.unpack
_pack_effect = _EFFECT.pack


class WriteView(ReadView):
    """Writes, and reads that see them. Leaving the context commits, or, after ``Replica.write_on``, leaves the
    transaction to whoever writes next; leaving it by an exception undoes everything since the last commit.

    One view spans many log entries. Each entry is any number of operations, each ended by ``finish_operation``, and
    then ``end_entry``. An operation's changes share the revision after ``revision``, with sub-revisions 0, 1, …::

        with replica.write() as view:
            view.put(b"a", b"1", 0)              # revision 2, sub 0
            view.put(b"b", b"2", 0)              # revision 2, sub 1
            view.finish_operation()              # -> 2
            view.end_entry(index=1, term=1, position=1)

    Nothing can be undone inside an entry: check an operation before its first write. Do not write to what a ``scan``
    of the same view is still walking through: collect its keys first.

    Attributes:
        with_previous: whether puts tell the key before. It costs a read of the old value, and may interest nobody.
            Deletes always tell it.
        changes: the events so far, in order, with their previous kv: for watchers, without a second read.
        applied_index, applied_term, position, state_hash: as in ``Meta``, of the last entry that was ended.
    """

    def __init__(
        self,
        transaction: lmdb.Transaction[bytes],
        tables: Tables,
        meta: Meta,
        path: Path,
        *,
        on_commit: Callable[[Meta, float], None],
        on_abort: Callable[[BaseException], None],
        on_left: Callable[[WriteView], None] | None = None,
    ) -> None:
        super().__init__(transaction, tables, meta, path)
        self.applied_index = meta.applied_index
        self.applied_term = meta.applied_term
        self.position = meta.position
        self.state_hash = meta.state_hash
        self.with_previous = True
        self.changes: list[Event] = []
        self._sub = 0
        self._effects: list[bytes] = []
        self._write = transaction.put
        self._append = transaction.cursor(tables.events).put
        self._signposts = tables.signposts
        self._on_commit = on_commit
        self._on_abort = on_abort
        self._on_left = on_left

    def __enter__(self) -> WriteView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if error is not None:
            self._undo(error)
            return False
        try:
            if self._sub or self._effects:
                raise AssertionError("an entry was begun and not ended")
            if self._on_left is None:
                self._commit()
            else:
                self._on_left(self)
        except BaseException as failure:
            self._undo(failure)
            raise
        return False

    @property
    def meta(self) -> Meta:
        """The replicated facts as of the last entry that was ended."""
        return Meta(
            self.applied_index,
            self.applied_term,
            self.revision,
            self.compact_revision,
            self.position,
            self.state_hash,
        )

    def commit(self) -> None:
        """Commits what was left open.

        Raises:
            ReplicaFullError, ReplicaFailedError, DamageError: as ``Replica.write``; everything since the last commit
                was undone.
        """
        try:
            self._commit()
        except BaseException as failure:
            self._undo(failure)
            raise

    def _undo(self, error: BaseException) -> None:
        self.transaction.abort()
        self._on_abort(error)

    def _commit(self) -> None:
        meta = self.meta
        self._write(META_KEY, meta.encode(), db=self.tables.meta)
        begin_s = time.monotonic()
        self.transaction.commit()
        self._on_commit(meta, time.monotonic() - begin_s)

    # --- keys ---

    def put(self, key: bytes, value: bytes, lease: int) -> KeyValue | None:
        """Sets a key. It is then attached to ``lease`` and to no other.

        Args:
            key: not empty.
            value: any bytes.
            lease: an existing lease, 0 for none.

        Returns:
            The key before, None if it was not there, or without ``with_previous``.

        Raises:
            LeaseNotFoundError: there is no such lease; nothing was changed.
        """
        if lease and self.lease(lease) is None:
            raise LeaseNotFoundError
        stored = key if len(key) <= SHORT_BYTES else self._store_long_key(key)
        revision, sub = self.revision + 1, self._sub
        row = self._get(stored, None, self._current)
        if row is None:
            previous, create, version, old_lease, forerunner = None, revision, 1, 0, NO_EVENT
        else:
            forerunner = row[:EVENT_ID_BYTES]
            mod, _, create, version, old_lease = _unpack_current(row)
            previous = (
                (key, self._value(key, row, mod), create, mod, version, old_lease) if self.with_previous else None
            )
            version += 1
        event_id = self._add_event(forerunner, event_body(PUT, create, version, lease, key, value))
        self._write(stored, _pack_current(revision, sub, create, version, lease), True, True, False, self._current)
        if is_signpost(PUT, version, len(value)):
            self._write(stored, event_id, True, True, False, self._signposts)
        if lease != old_lease:
            self._move(stored, old_lease, lease)
        self.changes.append((PUT, (key, value, create, revision, version, lease), previous))
        self._sub = sub + 1
        return previous

    def delete(self, key: bytes) -> KeyValue | None:
        """Deletes a key and detaches it from its lease.

        Returns:
            The key before; None if it was not there, and then nothing has changed.
        """
        stored = stored_key(key)
        row = self._get(stored, None, self._current)
        if row is None:
            return None
        mod, _, create, version, lease = _unpack_current(row)
        previous = key, self._value(key, row, mod), create, mod, version, lease
        event_id = self._add_event(row[:EVENT_ID_BYTES], event_body(DELETE, 0, 0, 0, key, b""))
        self.transaction.delete(stored, b"", self._current)
        self._write(stored, event_id, True, True, False, self._signposts)
        if lease:
            self._move(stored, lease, 0)
        self.changes.append((DELETE, (key, b"", 0, self.revision + 1, 0, 0), previous))
        self._sub += 1
        return previous

    def _add_event(self, forerunner: bytes, body: bytes) -> bytes:
        """Adds the next event to its table and to the effects of the entry; returns its id."""
        revision, sub = self.revision + 1, self._sub
        event_id = _pack_event_id(revision, sub)
        body_crc32 = crc32(body)
        self._append(event_id, event_record(forerunner, body, body_crc32), True, True, True)
        effect = _pack_effect(_EVENT, CHECKSUM.size + len(body), revision, sub)
        self._effects += (effect, CHECKSUM.pack(body_crc32), body)
        return event_id

    def finish_operation(self) -> int:
        """Ends an operation: if it changed a key, the revision grows by one.

        Returns:
            The revision now.
        """
        if self._sub:
            self.revision += 1
            self._sub = 0
        return self.revision

    def _value(self, key: bytes, row: bytes, mod: int) -> bytes:
        """The value of a key, whose row in ``current`` says that it is of revision ``mod``."""
        event = self._get(row[:EVENT_ID_BYTES], None, self._events)
        if event is None:
            raise self._no_event(key, mod)
        return event[EVENT_BYTES + len(key) :]

    def _store_long_key(self, key: bytes) -> bytes:
        stored = stored_key(key)
        self._write(stored, key, db=self.tables.long_keys)
        return stored

    def _has_pending_changes(self) -> bool:
        return self._sub > 0

    # --- leases ---

    def grant_lease(self, lease: int, ttl_s: int) -> None:
        """Makes a lease.

        Raises:
            LeaseExistsError: there is one with this id; nothing was changed.
        """
        if not self._write(LEASE.pack(lease), TTL.pack(ttl_s), overwrite=False, db=self.tables.leases):
            raise LeaseExistsError
        self._note(_GRANT, LEASE.pack(lease) + TTL.pack(ttl_s))

    def revoke_lease(self, lease: int) -> int:
        """Deletes a lease and all keys attached to it, in byte order, as changes of the operation under way.

        Returns:
            How many keys were deleted.

        Raises:
            LeaseNotFoundError: there is no such lease; nothing was changed.
        """
        if self.lease(lease) is None:
            raise LeaseNotFoundError
        keys = self.lease_keys(lease)
        for key in keys:
            self.delete(key)
        self.transaction.delete(LEASE.pack(lease), b"", self.tables.leases)
        self._note(_REVOKE, LEASE.pack(lease))
        return len(keys)

    def _move(self, stored: bytes, old_lease: int, lease: int) -> None:
        if old_lease:
            self.transaction.delete(LEASE.pack(old_lease), stored, self.tables.lease_keys)
        if lease:
            self._write(LEASE.pack(lease), stored, db=self.tables.lease_keys)

    # --- other replicated facts ---

    def set_compact_revision(self, revision: int) -> None:
        """Makes all revisions below ``revision`` unreadable. The space comes back by and by, see ``compaction``.

        Raises:
            CompactedError: it is not above the last compaction.
            FutureRevisionError: it is above the store's revision.
        """
        if revision <= self.compact_revision:
            raise CompactedError(detail=max(self.compact_revision, 0))
        if revision > self.revision:
            raise FutureRevisionError
        self.compact_revision = revision
        self._note(_COMPACT, EVENT_ID.pack(revision, 0))

    def set_alarm(self, member: int, alarm: int, active: bool) -> None:
        """Raises or clears an alarm of a member (``wire.operations.Alarm``); no error if it already is so."""
        if active:
            self.put_record("alarms", ALARM.pack(member, alarm), b"")
        else:
            self.delete_record("alarms", ALARM.pack(member, alarm))

    def put_record(self, table: str, key: bytes, value: bytes) -> None:
        """Sets a record of the state machine's own tables (``layout.RECORD_TABLES``).

        Raises:
            RequestError: the key is empty or longer than 511 bytes.
        """
        if not 1 <= len(key) <= LMDB_KEY_BYTES:
            raise RequestError(f"oarlock: a record's key has 1 to {LMDB_KEY_BYTES} bytes, not {len(key)}")
        self._write(key, value, db=self.tables.records[table])
        self._note(_RECORD, b"%s %d %b" % (table.encode(), len(key), key + value))

    def delete_record(self, table: str, key: bytes) -> bool:
        """Deletes a record; False if there was none."""
        if not self.transaction.delete(key, b"", self.tables.records[table]):
            return False
        self._note(_NO_RECORD, b"%s %b" % (table.encode(), key))
        return True

    # --- entries ---

    def end_entry(self, index: int, term: int, position: int) -> None:
        """Ends a log entry: its effects become one link of the state hash, and it counts as applied.

        Args:
            index: the entry's log index, above ``applied_index``.
            term: the entry's term.
            position: how many writes were applied up to and with this entry.
        """
        if index <= self.applied_index or position < self.position:
            raise AssertionError(f"entry {index} (position {position}) after {self.applied_index} ({self.position})")
        if self._sub:
            raise AssertionError("an operation was begun and not finished")
        link = blake2b(self.state_hash, digest_size=STATE_HASH_BYTES)
        link.update(_EFFECT.pack(0, 0, index, 0))
        link.update(b"".join(self._effects))
        self.state_hash = link.digest()
        self._effects.clear()
        self.applied_index, self.applied_term, self.position = index, term, position

    def _note(self, kind: int, effect: bytes) -> None:
        self._effects += (_pack_effect(kind, len(effect), 0, 0), effect)
