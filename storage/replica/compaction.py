"""Removes, slice by slice, what a compaction made superfluous.

A compaction at revision R keeps of each key its newest event at or below R, and all above R. A tombstone below R goes
too; one exactly at R stays, so that a watch from R sees it (etcd 3.5.16).

After a compaction at D each key has at most one event at or below D. So for the next one, at R, it is enough to walk
the events from D to R: each makes the event before it, of the same key, superfluous. What lies below D and was not
touched since costs nothing. A worked example, D = 4 and R = 8 (``x`` is a tombstone)::

    key   events              walked    removed               left
    a     2    5  7  9        5, 7      2 (by 5), 5 (by 7)    7, 9
    b     3                                                   3
    c     4x                  4x        4x (below R)
    d        6x               6x        its forerunner, 6x
    e     3     8x            8x        3 (by 8x)             8x (exactly R)
"""

from __future__ import annotations

from itertools import islice
from struct import Struct
from typing import Final, NamedTuple

from oarlock.wire.errors import DamageError

from .keys import SHORT_BYTES, stored_key
from .layout import DELETE, EVENT_ID, NO_EVENT, event_is_whole, event_kv, forerunner_of
from .read import ReadView
from .replica import Replica
from .write import WriteView

DEFAULT_SLICE_EVENTS: Final = 500
"""About 3 ms of work."""

MAX_SLICE_BYTES: Final = 8 << 20
"""Events are read whole; this bounds a slice of large values."""

_PROGRESS_KEY: Final = b"compaction"
_PROGRESS: Final = Struct(">QQQI")


class _Progress(NamedTuple):
    """How far the removal got; kept in ``local``, so that a restart or a copy goes on from there.

    Attributes:
        done: all is removed that a compaction at this revision makes superfluous.
        target: the compaction under way, or ``done``.
        revision, sub: the next event to look at.
    """

    done: int = 0
    target: int = 0
    revision: int = 0
    sub: int = 0


class _Event(NamedTuple):
    """What is to be known of an event that is walked."""

    event_id: bytes
    forerunner: bytes
    key: bytes
    kind: int


class Compactor:
    """Brings a replica's space in line with its compact revision. Has no state of its own."""

    def is_done(self, view: ReadView) -> bool:
        """Whether nothing is left to remove."""
        return _load(view).done >= view.compact_revision

    def step(self, replica: Replica, max_events: int = DEFAULT_SLICE_EVENTS) -> bool:
        """Does one slice, in a write transaction of its own.

        Args:
            replica: not in a transaction of this thread.
            max_events: how many events to look at.

        Returns:
            Whether nothing is left to remove.

        Raises:
            DamageError, ReplicaFullError, ReplicaFailedError: as ``Replica.write``; the slice was undone.
        """
        with replica.read() as view:
            if self.is_done(view):
                return True
        with replica.write() as view:
            progress = _load(view)
            if progress.done == progress.target:
                progress = _Progress(progress.done, view.compact_revision, progress.done, 0)
            progress = _slice(view, progress, max_events)
            view.transaction.put(_PROGRESS_KEY, _PROGRESS.pack(*progress), db=view.tables.local)
            return progress.done >= view.compact_revision


def _load(view: ReadView) -> _Progress:
    record = view.transaction.get(_PROGRESS_KEY, db=view.tables.local)
    return _Progress() if record is None else _Progress(*_PROGRESS.unpack(record))


def _slice(view: WriteView, progress: _Progress, max_events: int) -> _Progress:
    """Handles the next events; returns the progress afterwards."""
    events = _next_events(view, progress, max_events)
    target = EVENT_ID.pack(progress.target, 0)
    for event in events:
        stored = stored_key(event.key)
        if event.forerunner != NO_EVENT:
            _remove(view, event.forerunner, stored)
        if event.kind == DELETE and event.event_id < target:
            _remove(view, event.event_id, stored)
            _forget_long_key(view, event.key)
    if not events:
        return _Progress(progress.target, progress.target, progress.target, 0)
    revision, sub = EVENT_ID.unpack(events[-1].event_id)
    return progress._replace(revision=revision, sub=sub + 1)


def _next_events(view: WriteView, progress: _Progress, max_events: int) -> list[_Event]:
    """The next events, collected before anything is removed under the cursor."""
    cursor = view.transaction.cursor(view.tables.events)
    if not cursor.set_range(EVENT_ID.pack(progress.revision, progress.sub)):
        return []
    end = EVENT_ID.pack(progress.target + 1, 0)
    found: list[_Event] = []
    found_bytes = 0
    for event_id, record in islice(cursor.iternext(), max_events):
        if event_id >= end or found_bytes > MAX_SLICE_BYTES:
            break
        if not event_is_whole(record):  # what it says would be removed
            raise DamageError(view.path, 0, f"the event {EVENT_ID.unpack(event_id)} does not match its checksum")
        kind, kv = event_kv(event_id, record)
        found.append(_Event(event_id, forerunner_of(record), kv[0], kind))
        found_bytes += len(record)
    return found


def _remove(view: WriteView, event_id: bytes, stored: bytes) -> None:
    """Removes an event, and its signpost if it has one."""
    view.transaction.delete(event_id, b"", view.tables.events)
    view.transaction.delete(stored, event_id, view.tables.signposts)


def _forget_long_key(view: WriteView, key: bytes) -> None:
    """Where nothing is left of a long key: what is there is in ``current``, what was, ends with a signpost."""
    if len(key) <= SHORT_BYTES:
        return
    stored = stored_key(key)
    is_there = view.transaction.get(stored, None, view.tables.current) is not None
    if not is_there and not view.transaction.cursor(view.tables.signposts).set_key(stored):
        view.transaction.delete(stored, b"", view.tables.long_keys)
