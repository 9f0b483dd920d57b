"""A slow walk over the whole replica that looks for damage: every event's checksum, and that the tables agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, NoReturn

import lmdb

from oarlock.wire.errors import DamageError
from oarlock.wire.operations import KeyValue

from .keys import SHORT_BYTES, stored_key
from .layout import (
    CURRENT,
    DELETE,
    EVENT,
    EVENT_ID,
    EVENT_ID_BYTES,
    LEASE,
    NO_EVENT,
    PUT,
    event_is_whole,
    event_key,
    event_kv,
    forerunner_of,
    is_signpost,
)
from .read import ReadView
from .replica import Replica
from .tables import read_meta

DEFAULT_SLICE_ROWS: Final = 500
"""About 3 ms of work."""

MAX_SLICE_BYTES: Final = 4 << 20

NO_LEASE: Final = LEASE.pack(0)


class _Place(NamedTuple):
    """Where the walk stands: the next phase, and the last row that was looked at (None: none yet)."""

    phase: int = 0
    last: tuple[bytes, bytes] | None = None


class Scrubber:
    """Walks a replica in slices, each in a read of its own, while it is written to.

    Every check concerns one row and what it points to, within one read; so changes between slices do no harm.
    """

    def __init__(self) -> None:
        self._place = _Place()

    def step(self, replica: Replica, max_rows: int = DEFAULT_SLICE_ROWS) -> bool:
        """Looks at the next rows.

        Args:
            replica: the same at every step.
            max_rows: how many rows to look at.

        Returns:
            Whether a pass over everything is complete; the next step begins another.

        Raises:
            DamageError: a row is not what was written, or the tables contradict each other. The next step begins
                a new pass.
        """
        place, self._place = self._place, _Place()
        with replica.read() as view, view.translated():
            self._place = _Checks(view).run(place, max_rows)
        return self._place.phase == 0 and self._place.last is None


class _Phase(NamedTuple):
    table: lmdb._Database
    duplicates: bool
    check: Callable[[bytes, bytes], None]


class _Checks:
    """The checks of one slice."""

    def __init__(self, view: ReadView) -> None:
        self._path = view.path
        self._transaction = view.transaction
        self._tables = view.tables
        self._signposts = view.transaction.cursor(view.tables.signposts)
        self._compacted_end = EVENT_ID.pack(max(view.compact_revision, 0) + 1, 0)

    def run(self, place: _Place, max_rows: int) -> _Place:
        """Checks up to ``max_rows`` rows of one table; returns where to go on."""
        read_meta(self._transaction, self._tables)
        phases = self._phases()
        phase = phases[place.phase]
        row_bytes, last = 0, place.last
        cursor = self._transaction.cursor(phase.table)
        for rows, (key, value) in enumerate(_rows_after(cursor, place.last, phase.duplicates)):
            if rows >= max_rows or row_bytes > MAX_SLICE_BYTES:
                return _Place(place.phase, last)
            phase.check(key, value)
            row_bytes += len(value)
            last = (key, value if phase.duplicates else b"")
        return _Place((place.phase + 1) % len(phases))

    def _phases(self) -> tuple[_Phase, ...]:
        tables = self._tables
        return (
            _Phase(tables.events, False, self._check_event),
            _Phase(tables.current, False, self._check_current),
            _Phase(tables.signposts, True, self._check_signpost),
            _Phase(tables.lease_keys, True, self._check_attachment),
            _Phase(tables.long_keys, False, self._check_long_key),
        )

    def _check_event(self, event_id: bytes, record: bytes) -> None:
        if not event_is_whole(record):
            self._fail(f"the event {_name(event_id)} does not match its checksum")
        kind, kv = event_kv(event_id, record)
        stored = stored_key(kv[0])
        if is_signpost(kind, kv[4], len(kv[1])) and not self._signposts.set_key_dup(stored, event_id):
            self._fail(f"table signposts lacks {_name(event_id)}")
        self._check_forerunner(event_id, record, kind, kv)
        if not self._agrees(self._get(stored, self._tables.current), stored, event_id, record, kind):
            self._fail(f"table current contradicts the event {_name(event_id)}")

    def _check_forerunner(self, event_id: bytes, record: bytes, kind: int, kv: KeyValue) -> None:
        forerunner = forerunner_of(record)
        if (forerunner == NO_EVENT) != (kind == PUT and kv[4] == 1) or forerunner >= event_id:
            self._fail(f"the event {_name(event_id)} has the forerunner {_name(forerunner)}")
        if forerunner < self._compacted_end:
            return
        before = self._get(forerunner, self._tables.events)
        if before is None:
            self._fail(f"table events lacks {_name(forerunner)}, the forerunner of {_name(event_id)}")
        kind_before, kv_before = event_kv(forerunner, before)
        follows = kind == DELETE or (kv_before[2], kv_before[4] + 1) == (kv[2], kv[4])
        if kind_before != PUT or kv_before[0] != kv[0] or not follows:
            self._fail(f"the event {_name(event_id)} has the forerunner {_name(forerunner)}")

    def _agrees(self, row: bytes | None, stored: bytes, event_id: bytes, record: bytes, kind: int) -> bool:
        """Whether the row of ``current`` may be that of the key whose event this is: the event's, or a newer one."""
        if row is None:
            if not (self._signposts.set_key(stored) and self._signposts.last_dup()):
                return False
            newest = self._signposts.value()  # the tombstone; were it a put, then its own check would fail
            return newest > event_id or (newest == event_id and kind == DELETE)
        if row[:EVENT_ID_BYTES] == event_id:
            return kind == PUT and row == _current_of(event_id, record)
        return row[:EVENT_ID_BYTES] > event_id

    def _check_current(self, stored: bytes, row: bytes) -> None:
        event_id = row[:EVENT_ID_BYTES]
        record = self._get(event_id, self._tables.events)
        if (
            record is None
            or row != _current_of(event_id, record)
            or stored != stored_key(event_kv(event_id, record)[1][0])
        ):
            self._fail(f"table current contradicts the event {_name(event_id)} of key {stored[:64]!r}")
        lease = row[-LEASE.size :]
        if lease != NO_LEASE and not self._transaction.cursor(self._tables.lease_keys).set_key_dup(lease, stored):
            self._fail(f"table lease_keys lacks key {stored[:64]!r}")
        self._check_long_form(stored)

    def _check_long_form(self, stored: bytes) -> None:
        if len(stored) > SHORT_BYTES and self._get(stored, self._tables.long_keys) is None:
            self._fail(f"table long_keys lacks {stored[-8:].hex()}")

    def _check_signpost(self, stored: bytes, event_id: bytes) -> None:
        record = self._get(event_id, self._tables.events)
        if record is None or stored != stored_key(event_key(record)):
            self._fail(f"table signposts has {_name(event_id)} for key {stored[:64]!r}, and table events has not")
        kind, kv = event_kv(event_id, record)
        if not is_signpost(kind, kv[4], len(kv[1])):
            self._fail(f"table signposts has {_name(event_id)}, of version {kv[4]}")
        self._check_long_form(stored)

    def _check_attachment(self, lease: bytes, stored: bytes) -> None:
        row = self._get(stored, self._tables.current)
        if self._get(lease, self._tables.leases) is None or row is None or row[-LEASE.size :] != lease:
            self._fail(f"key {stored[:64]!r} is not attached to the lease {lease.hex()}")

    def _check_long_key(self, stored: bytes, key: bytes) -> None:
        is_known = self._get(stored, self._tables.current) is not None or self._signposts.set_key(stored)
        if stored_key(key) != stored or not is_known:
            self._fail(f"table long_keys has a wrong key for {stored[-8:].hex()}")

    def _get(self, key: bytes, table: lmdb._Database) -> bytes | None:
        return self._transaction.get(key, None, table)

    def _fail(self, problem: str) -> NoReturn:
        raise DamageError(self._path, 0, problem)


def _rows_after(
    cursor: lmdb.Cursor[bytes], last: tuple[bytes, bytes] | None, duplicates: bool
) -> Iterator[tuple[bytes, bytes]]:
    """The rows behind ``last``, which may be gone by now."""
    if last is None:
        found = cursor.first()
    elif duplicates and cursor.set_range_dup(*last):
        found = cursor.value() != last[1] or cursor.next()
    else:
        found = cursor.set_range(last[0]) and (cursor.key() != last[0] or cursor.next_nodup())
    return cursor.iternext() if found else iter(())


def _current_of(event_id: bytes, record: bytes) -> bytes:
    """What ``current`` has for a key whose newest event this is."""
    _, _, kind, create, version, lease, _ = EVENT.unpack_from(record)
    return CURRENT.pack(*EVENT_ID.unpack(event_id), create, version, lease) if kind == PUT else b""


def _name(event_id: bytes) -> str:
    if len(event_id) < EVENT_ID_BYTES:
        return f"{event_id.hex()!r} (no event id)"
    revision, sub = EVENT_ID.unpack_from(event_id)
    return f"{revision}.{sub}"
